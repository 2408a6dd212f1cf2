package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// SpecConflictError says that the campaign was begun with another spec, and has grants, or may get some any moment.
type SpecConflictError struct {
	StoredHash string
	Stored     []byte // the canonical spec that was granted under; nil: it is not known
	GivenHash  string
	Given      []byte
	Leased     time.Time // until when a run may grant under the stored spec; zero: users were granted under it
	Damage     string    // what is wrong with the ledger, if that took the search for it; empty: nothing
}

func (e *SpecConflictError) Error() string {
	hashes := fmt.Sprintf("(%.12s, given is %.12s)", e.StoredHash, e.GivenHash)
	switch {
	case !e.Leased.IsZero():
		return fmt.Sprintf("a run grants the campaign under another spec %s: give the campaign another name, or, if that spec is wrong, stop the run and start again; if the run was killed, start again after %s",
			hashes, e.Leased.UTC().Format(time.RFC3339))
	case e.Damage != "":
		return fmt.Sprintf("the campaign has been granted under another spec %s, although %s: start with the old spec, which repairs what can be, and see granter status --prove",
			hashes, e.Damage)
	}
	return "the campaign has been granted under another spec " + hashes + ": give the campaign another name, or its old spec back"
}

// StoredSpec is the spec that the ledger grants under.
type StoredSpec struct {
	Hash      string
	Canonical []byte
	StoredAt  time.Time // by the clock of the process that stored it
}

// Spec returns the stored spec, and whether there is one.
func (l *Ledger) Spec(ctx context.Context) (StoredSpec, bool, error) {
	var fields map[string]string
	err := l.retry(ctx, "reading the spec", func() (err error) {
		if fields, err = l.client.HGetAll(ctx, l.keys.spec).Result(); err != nil {
			return fmt.Errorf("%s: %w", l.keys.spec, err)
		}
		return nil
	})
	if err != nil || len(fields) == 0 {
		return StoredSpec{}, false, err
	}
	at, err := time.Parse(time.RFC3339, fields["stored_at"])
	if err != nil {
		return StoredSpec{}, false, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.spec, err)
	}
	return StoredSpec{Hash: fields["hash"], Canonical: []byte(fields["canonical"]), StoredAt: at}, true, nil
}

// SaveRun stores what a run says about itself; the last record of a run stays. One that says that the run is over gives
// its lease back.
func (l *Ledger) SaveRun(ctx context.Context, r grant.RunRecord) error {
	text, err := json.Marshal(r) //nolint:gosec // its Pass is one over the topic, no password
	if err != nil {
		return fmt.Errorf("record of run %s: %w", r.Run, err)
	}
	return l.retry(ctx, "saving the record of run "+r.Run.String(), func() error {
		if err := l.client.HSet(ctx, l.keys.runs, r.Run.String(), text).Err(); err != nil {
			return fmt.Errorf("%s: %w", l.keys.runs, err)
		}
		if r.State.Over() {
			return l.giveBack(ctx)
		}
		return nil
	})
}

// Runs returns the records of all runs, oldest first. Records that cannot be read are joined into the error; the others
// are returned all the same.
func (l *Ledger) Runs(ctx context.Context) ([]grant.RunRecord, error) {
	var fields map[string]string
	err := l.retry(ctx, "reading the records of runs", func() (err error) {
		if fields, err = l.client.HGetAll(ctx, l.keys.runs).Result(); err != nil {
			return fmt.Errorf("%s: %w", l.keys.runs, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var bad []error
	runs := make([]grant.RunRecord, 0, len(fields))
	for id, text := range fields {
		var r grant.RunRecord
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			bad = append(bad, fmt.Errorf("%w: record of run %s: %w", ErrInconsistent, id, err))
			continue
		}
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b grant.RunRecord) int { return cmp.Compare(a.Run, b.Run) })
	return runs, errors.Join(bad...)
}
