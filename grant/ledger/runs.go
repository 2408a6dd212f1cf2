package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
)

// SaveRun stores what a run says about itself; the last record of a run stays.
func (l *Coordination) SaveRun(ctx context.Context, r grant.RunRecord) error {
	text, err := json.Marshal(r) //nolint:gosec // its Pass is one over the topic, no password
	if err != nil {
		return fmt.Errorf("record of run %s: %w", r.Run, err)
	}
	return l.retry(ctx, "saving the record of run "+r.Run.String(), func() error {
		if err := l.client.HSet(ctx, l.keys.runs, r.Run.String(), text).Err(); err != nil {
			return fmt.Errorf("%s: %w", l.keys.runs, err)
		}
		return nil
	})
}

// Runs returns the records of all runs, oldest first. Records that cannot be read are joined into the error; the others
// are returned all the same.
func (l *Coordination) Runs(ctx context.Context) ([]grant.RunRecord, error) {
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

// grantedBy adds up how many users the runs of a spec say that they granted.
func grantedBy(runs []grant.RunRecord, spec string) (n int64) {
	for i := range runs {
		if runs[i].Spec == spec {
			n += runs[i].Tally.Granted
		}
	}
	return n
}
