// Package reconcile repairs what an audit found, where the ledger and the topic still say what is right: users whose record is in
// the topic and who are not granted get the campaign by hand; bits and entries that contradict each other are made to agree; an
// index that lacks chunks is completed. The journal has the reason. Of everything else it says what a person has to do.
package reconcile

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	Flawed  []grant.UserID       // of whom bitmap and journal say different things
	Chunks  []uint64             // that the index lacks
	Left    map[audit.Kind]int64 // what is only named, and how many users or records it is about
}

// list returns the list that users of a kind of findings belong to; nil: it is not repaired here.
func (w *Work) list(kind audit.Kind) *[]grant.UserID {
	switch kind { //nolint:exhaustive // the others are not repaired here
	case audit.Missing:
		return &w.Missing
	case audit.BitOnly, audit.EntryOnly, audit.Twice:
		return &w.Flawed
	}
	return nil
}

// Anything reports whether there is anything to repair.
func (w *Work) Anything() bool { return len(w.Missing)+len(w.Flawed)+len(w.Chunks) > 0 }

// Read reads what is to be done: a list of user IDs, one a line, who are missing; the file of granter audit --ids; or the JSON
// report of an audit, if it names all of the missing users. IDs are read as those of the campaign.
func Read(data []byte, in *grant.Input) (*Work, error) {
	sum := sha256.Sum256(data)
	w := &Work{ID: "reconcile-" + hex.EncodeToString(sum[:8]), Left: map[audit.Kind]int64{}}
	var err error
	form := userid.FormOf(in)
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		err = w.report(trimmed, &form)
	} else {
		err = w.lines(data, &form)
	}
	for _, list := range []*[]grant.UserID{&w.Missing, &w.Flawed} {
		slices.SortFunc(*list, grant.UserID.Compare)
		*list = slices.Compact(*list)
	}
	return w, err
}

func (w *Work) report(data []byte, form *userid.Form) error {
	var r audit.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("no report of granter audit --json: %w", err)
	}
	for _, f := range r.Findings {
		if f.Kind == audit.Unlisted {
			_, chunk, _ := strings.Cut(f.Where, " ") // "chunk 12", or "bucket 4711"
			n, err := strconv.ParseUint(chunk, 10, 64)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Where, err)
			}
			w.Chunks = append(w.Chunks, n)
			continue
		}
		list := w.list(f.Kind)
		if list == nil {
			w.Left[f.Kind] += f.Count
			continue
		}
		if int64(len(f.Users)) != f.Count {
			return fmt.Errorf("the report names %d of %d users in %s (%s): audit again with --ids FILE, and give that file",
				len(f.Users), f.Count, f.Where, f.Kind)
		}
		for _, text := range f.Users {
			user, err := form.Parse(text)
			if err != nil {
				return err
			}
			*list = append(*list, user)
		}
	}
	return nil
}

func (w *Work) lines(data []byte, form *userid.Form) error {
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
		user, err := form.Parse(text)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		list := w.list(audit.Kind(kind))
		if list == nil {
			w.Left[audit.Kind(kind)]++
			continue
		}
		*list = append(*list, user)
	}
	return lines.Err()
}

// Result says what became of one user.
type Result string

// The results.
const (
	Granted Result = "granted" // by this, now or by an earlier attempt with the same file; in a dry run: would be
	Had     Result = "had_it"  // somebody or something was faster; nothing is wrong with the user by now
	Refused Result = "refused" // see Why: such as somebody who is excluded
)

// Outcome is what became of one user.
type Outcome struct {
	User   grant.UserID `json:"user"`
	Result Result       `json:"result"`
	Why    string       `json:"why,omitempty"`
}

// Acts do acts about users, and repair: ledger.Acts.
type Acts interface {
	Do(ctx context.Context, acts []ledger.UserAct, dry bool) ([]ledger.ActResult, error)
	Mend(ctx context.Context, users []grant.UserID, act grant.Act, dry bool) ([]ledger.Mended, error)
	ListChunks(ctx context.Context, chunks []uint64) error
}

// batch is how many users are granted at once.
const batch = 10_000

// Do completes the index, makes bits and entries agree, and then grants those who are missing, by hand. It may be repeated: who
// was granted by the same file counts as granted again.
func Do(ctx context.Context, acts Acts, w *Work, who, why string, dry bool) ([]Outcome, error) {
	if len(w.Chunks) > 0 && !dry {
		if err := acts.ListChunks(ctx, w.Chunks); err != nil {
			return nil, err
		}
	}
	out := make([]Outcome, 0, len(w.Missing)+len(w.Flawed))
	for users := range slices.Chunk(w.Flawed, batch) {
		act := grant.Act{ID: w.ID, Kind: grant.ActHand, Who: who, Via: "cli", Reason: why}
		mended, err := acts.Mend(ctx, users, act, dry)
		if err != nil {
			return out, err
		}
		for _, m := range mended {
			o := Outcome{User: m.User, Result: cmp.Or(Result(m.What), Had)}
			if m.Err != nil {
				o.Result, o.Why = Refused, m.Err.Error()
			}
			out = append(out, o)
		}
	}
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

// Next says what a person has to do about what is not repaired here, because neither ledger nor topic says what is right.
func Next(kind audit.Kind) string {
	switch kind {
	case audit.Extra:
		return "the topic has no record of them: granter verify says which run granted them; " +
			"if they should not have it: granter revoke --file"
	case audit.Excluded, audit.Unreadable, audit.Swapped, audit.Misplaced:
		return "restore these chunks or buckets from a backup, or the ledger by granter import or granter rebuild"
	case audit.RolledBack, audit.PartitionAdded, audit.NotComplete:
		return "start granter run once more: it grants what is missing, and nobody twice"
	case audit.NoLetter, audit.LettersGone:
		return "the records are still in the topic: granter rejected recover writes their dead letters again"
	case audit.TopicChanged, audit.Truncated:
		return "publish again who is lost, then granter run --new-topic"
	case audit.OutsideCanary:
		return "they keep what they have; if they should not: granter revoke --file"
	case audit.ActsGone:
		return "restore the ledger by granter import or granter rebuild --from, or do again what people did"
	case audit.HeldBack:
		return "audit again when the open transaction is over"
	default:
		return "the audit says what to do"
	}
}
