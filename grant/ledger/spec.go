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

// SpecConflictError says that the campaign was begun with another spec, and has grants.
type SpecConflictError struct {
	StoredHash string
	Stored     []byte // the canonical spec that was granted under
	GivenHash  string
	Given      []byte
}

func (e *SpecConflictError) Error() string {
	return fmt.Sprintf("the campaign has been granted under another spec (%.12s, given is %.12s): give the campaign another name, or its old spec back",
		e.StoredHash, e.GivenHash)
}

// StoredSpec is the spec that the ledger grants under.
type StoredSpec struct {
	Hash      string
	Canonical []byte
	StoredAt  time.Time // by the clock of the process that stored it
}

// EnsureSpec stores the spec of a campaign before its first grant. While nobody is granted, a new spec replaces the old
// one; after that only the same one is accepted, and any other is a *SpecConflictError.
func (l *Ledger) EnsureSpec(ctx context.Context, c *grant.Campaign) error {
	var stored []any
	err := l.retry(ctx, "storing the spec", func() error {
		if l.session.Load() == nil { // the first thing a run does; Begin loads them for what follows
			if err := l.loadScripts(ctx); err != nil {
				return err
			}
		}
		pipe := l.client.Pipeline()
		reply := specCall.command(ctx, []string{l.keys.spec, l.keys.chunks}, c.Hash, c.Canonical, time.Now().UTC().Format(time.RFC3339))
		if err := pipe.Process(ctx, reply); err != nil {
			return err
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		var err error
		stored, err = reply.Slice()
		return err
	})
	if err != nil {
		return err
	}
	if len(stored) != 2 {
		return fmt.Errorf("spec script: unexpected reply %v", stored)
	}
	hash, _ := stored[0].(string)
	canonical, _ := stored[1].(string)
	if hash != c.Hash {
		return &SpecConflictError{StoredHash: hash, Stored: []byte(canonical), GivenHash: c.Hash, Given: c.Canonical}
	}
	return nil
}

// Spec returns the stored spec, and whether there is one.
func (l *Ledger) Spec(ctx context.Context) (StoredSpec, bool, error) {
	var fields map[string]string
	err := l.retry(ctx, "reading the spec", func() (err error) {
		fields, err = l.client.HGetAll(ctx, l.keys.spec).Result()
		return err
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

// SaveRun stores what a run says about itself; the last record of a run stays.
func (l *Ledger) SaveRun(ctx context.Context, r grant.RunRecord) error {
	text, err := json.Marshal(r) //nolint:gosec // its Pass is one over the topic, no password
	if err != nil {
		return fmt.Errorf("record of run %s: %w", r.Run, err)
	}
	return l.retry(ctx, "saving the record of run "+r.Run.String(), func() error {
		return l.client.HSet(ctx, l.keys.runs, r.Run.String(), text).Err()
	})
}

// Runs returns the records of all runs, oldest first. Records that cannot be read are joined into the error; the others
// are returned all the same.
func (l *Ledger) Runs(ctx context.Context) ([]grant.RunRecord, error) {
	var fields map[string]string
	err := l.retry(ctx, "reading the records of runs", func() (err error) {
		fields, err = l.client.HGetAll(ctx, l.keys.runs).Result()
		return err
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
