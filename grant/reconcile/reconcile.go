// Package reconcile repairs what an audit found, as far as people can decide that it is to be repaired: users whose record is in
// the topic and who are not granted get the campaign by hand, with the reason in the journal. What it does not repair, it names.
package reconcile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
)

// Work is what is to be done.
type Work struct {
	ID      string // of the act: the same file is the same act, which is done to a user once
	Missing []grant.UserID
	Left    map[audit.Kind]int64 // what is only named, and how many users or records it is about
}

// Read reads what is to be done: a list of user IDs, one a line, who are missing; the file of granter audit --ids; or the JSON
// report of an audit, if it names all of the missing users.
func Read(data []byte, maxID uint64) (*Work, error) {
	sum := sha256.Sum256(data)
	w := &Work{ID: "reconcile-" + hex.EncodeToString(sum[:8]), Left: map[audit.Kind]int64{}}
	var err error
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		err = w.report(trimmed, maxID)
	} else {
		err = w.lines(data, maxID)
	}
	slices.SortFunc(w.Missing, grant.UserID.Compare)
	w.Missing = slices.Compact(w.Missing)
	return w, err
}

func (w *Work) report(data []byte, maxID uint64) error {
	var r audit.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("no report of granter audit --json: %w", err)
	}
	for _, f := range r.Findings {
		if f.Kind != audit.Missing {
			w.Left[f.Kind] += f.Count
			continue
		}
		if int64(len(f.Users)) != f.Count {
			return fmt.Errorf("the report names %d of %d missing users in %s: audit again with --ids FILE, and give that file",
				len(f.Users), f.Count, f.Where)
		}
		for _, text := range f.Users {
			user, err := userid.Parse(text, maxID)
			if err != nil {
				return err
			}
			w.Missing = append(w.Missing, user)
		}
	}
	return nil
}

func (w *Work) lines(data []byte, maxID uint64) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		kind, text, ofAudit := strings.Cut(line, ",")
		switch {
		case line == "" || line == "kind,user":
			continue
		case !ofAudit:
			kind, text = string(audit.Missing), line
		}
		user, err := userid.Parse(text, maxID)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if audit.Kind(kind) != audit.Missing {
			w.Left[audit.Kind(kind)]++
			continue
		}
		w.Missing = append(w.Missing, user)
	}
	return lines.Err()
}

// Result says what became of one user.
type Result string

// The results.
const (
	Granted Result = "granted" // by this, now or by an earlier attempt with the same file; in a dry run: would be
	Had     Result = "had_it"  // somebody or something was faster
	Refused Result = "refused" // see Why: such as somebody who is excluded
)

// Outcome is what became of one user.
type Outcome struct {
	User   grant.UserID `json:"user"`
	Result Result       `json:"result"`
	Why    string       `json:"why,omitempty"`
}

// Acts do acts about users: ledger.Acts.
type Acts interface {
	Do(ctx context.Context, acts []ledger.UserAct, dry bool) ([]ledger.ActResult, error)
}

// batch is how many users are granted at once.
const batch = 10_000

// Do grants those who are missing, by hand. It may be repeated: who was granted by the same file counts as granted again.
func Do(ctx context.Context, acts Acts, w *Work, who, why string, dry bool) ([]Outcome, error) {
	out := make([]Outcome, 0, len(w.Missing))
	for users := range slices.Chunk(w.Missing, batch) {
		list := make([]ledger.UserAct, len(users))
		for i, user := range users {
			act := grant.Act{ID: w.ID, Kind: grant.ActHand, Who: who, Via: "cli", Reason: why}
			list[i] = ledger.UserAct{User: user, Act: act}
		}
		results, err := acts.Do(ctx, list, dry)
		if err != nil {
			return out, err
		}
		for i, r := range results {
			o := Outcome{User: users[i], Result: Granted}
			switch {
			case r.Err == nil:
			case errors.Is(r.Err, grant.ErrUnchanged), r.Before.Place == grant.PlaceGranted:
				o.Result = Had
			default:
				o.Result, o.Why = Refused, r.Err.Error()
			}
			out = append(out, o)
		}
	}
	return out, nil
}
