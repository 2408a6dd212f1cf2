package status

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

var errAway = errors.New("Redis is away")

func TestOnlyWhoIsGoneWithoutAnEndIsLost(t *testing.T) {
	began := func(ago time.Duration) func(*grant.RunRecord) {
		return func(r *grant.RunRecord) { r.StartedAt = now.Add(-ago) }
	}
	silent := func(ago time.Duration) func(*grant.RunRecord) {
		return func(r *grant.RunRecord) { r.UpdatedAt = now.Add(-ago) }
	}
	pass := func(r *grant.RunRecord) { r.Pass = "canary 1%" }
	behind := func(r *grant.RunRecord) { // its clock is an hour behind Redis's
		r.Redis.ClockAhead = 3600
		r.StartedAt, r.UpdatedAt = r.StartedAt.Add(-time.Hour), r.UpdatedAt.Add(-time.Hour)
	}
	hour, minute, young := began(time.Hour), silent(time.Minute), began(30*time.Second)
	for _, c := range []struct {
		name string
		runs []grant.RunRecord
		want int
	}{
		{"nobody has run", nil, 0},
		{"all live", []grant.RunRecord{run(1, hour), run(2, hour, state(grant.RunWaiting))}, 0},
		{"finished, stopped, failed", []grant.RunRecord{
			run(1, hour, minute, state(grant.RunFinished)), run(2, hour, minute, state(grant.RunStopped)), run(3, hour, minute, state(grant.RunFailed)),
		}, 0},
		{"one of two was killed", []grant.RunRecord{run(1, hour, minute), run(2, hour)}, 1},
		{"killed while it waited for the start", []grant.RunRecord{run(1, hour, minute, state(grant.RunWaiting))}, 1},
		{"and replaced", []grant.RunRecord{run(1, hour, minute), run(2, hour), run(3, young)}, 0},
		{"two killed, one replaced", []grant.RunRecord{run(1, hour, minute), run(2, hour, minute), run(3, young)}, 1},
		{"replaced by one that has ended", []grant.RunRecord{run(1, hour, minute), run(2, young, state(grant.RunFinished))}, 0},
		{"killed again and again", []grant.RunRecord{run(1, hour, silent(10*time.Minute)), run(2, began(9*time.Minute), silent(5*time.Minute)), run(3, began(4*time.Minute))}, 0},
		{"so the last of them", []grant.RunRecord{run(1, hour, silent(10*time.Minute)), run(2, began(9*time.Minute), silent(5*time.Minute))}, 1},
		{"a quarter of an hour ago", []grant.RunRecord{run(1, hour, silent(15*time.Minute)), run(2, hour)}, 0},
		{"a canary", []grant.RunRecord{run(1, hour, minute, pass), run(2, hour)}, 0},
		{"a canary replaces nobody", []grant.RunRecord{run(1, hour, minute), run(2, young, pass)}, 1},
		{"clocks differ", []grant.RunRecord{run(1, hour, behind), run(2, hour, minute, behind), run(3, hour)}, 1},
	} {
		w := newWorld()
		w.runs = c.runs
		n, err := Lost(t.Context(), w)
		require.NoError(t, err)
		require.Equal(t, c.want, n, c.name)
	}
}

func TestWhoIsLostIsNotKnownWithoutTheLedger(t *testing.T) {
	for _, method := range []string{"control", "runs"} {
		w := newWorld()
		w.errs[method] = errAway
		_, err := Lost(t.Context(), w)
		require.ErrorIs(t, err, errAway)
	}
}
