package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// linger lets a run that has ended linger, in the background.
func (p *process) linger(outcome error) (done chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	p.world.t.Cleanup(cancel)
	done = make(chan error, 1)
	go func() { done <- p.Linger(ctx, outcome) }()
	return done
}

// Exit code 0 promises that everybody is granted, so it must not come from a process that could see that this no longer is.
func TestALossWhileARunLingersIsSaid(t *testing.T) {
	losses := map[string]func(*store) bool{"everything": (*store).loseEverything, "the last flush": (*store).loseFlush}
	for name, lose := range losses {
		inWorld(t, newTopic(ids(100, 0, 1), ids(300, 1000, 1)), func(t *testing.T, w *world) {
			p := w.start(newBoard().orders)
			require.NoError(t, p.wait())
			done := p.linger(nil)
			time.Sleep(10 * time.Minute)
			require.Empty(t, p.Monitor.Ready())
			w.store.change(func() { w.store.complete = false }) // somebody still looks
			require.True(t, lose(w.store))
			lost := time.Now()
			err := <-done
			require.ErrorIs(t, err, grant.ErrRegressed, name)
			require.ErrorContains(t, err, "start it again")
			require.LessOrEqual(t, time.Since(lost), surveyEvery)
			record, _ := w.store.record(p.Record.Run)
			require.Equal(t, grant.RunFailed, record.State)
			require.Equal(t, err.Error(), record.Error)
			require.InDelta(t, 1, testutil.ToFloat64(p.metrics().Regressions), 0)
			require.InDelta(t, 1, p.series("granter_run_state")["failed"], 0)
			require.Contains(t, p.Monitor.Ready(), "failed")

			require.NoError(t, w.start().wait())
			w.requireAllGranted()
		})
	}
}

func TestARunThatLingersSaysWhatIs(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		var users atomic.Int64
		users.Store(100)
		p := w.start(newBoard().orders, func(r *Run) {
			r.Count = func(context.Context) (int64, int64, error) { return users.Load(), 3, nil }
			r.Lost = func(context.Context) (int, error) { return 3, nil }
		})
		require.NoError(t, p.wait())
		done := p.linger(nil)
		time.Sleep(time.Minute)
		users.Store(150) // another run goes on
		w.topic.add(0, ids(50, 1000, 1)...)
		time.Sleep(time.Minute)
		require.InDelta(t, 150, testutil.ToFloat64(p.metrics().LedgerGranted), 0)
		require.InDelta(t, 3, testutil.ToFloat64(p.metrics().LedgerExcluded), 0)
		require.InDelta(t, 3, testutil.ToFloat64(p.metrics().Lost), 0)
		require.Equal(t, map[string]float64{"0": 150}, p.series("granter_partition_end_offset"))
		require.Zero(t, p.remaining(), "it was to grant what was there at its start")
		require.NoError(t, <-done)
	})
}

// What held a run that has ended holds nobody any more.
func TestARunThatHasEndedIsHeldByNothing(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionPause})
		p := w.start(b.orders)
		w.settle()
		require.InDelta(t, 1, sumOf(p.series("granter_hold_since_timestamp_seconds"))/float64(time.Now().Unix()), 0.1)
		require.InDelta(t, 1, sumOf(p.series("granter_hold")), 0)
		b.order(t, grant.Order{Action: grant.ActionAbort})
		require.ErrorIs(t, p.wait(), ErrAborted)
		require.Zero(t, sumOf(p.series("granter_hold")))
		require.Zero(t, sumOf(p.series("granter_hold_since_timestamp_seconds")))
		w.store.loseEverything()
		require.Empty(t, w.store.at())
		require.ErrorIs(t, <-p.linger(ErrAborted), ErrAborted, "it promised nothing")
	})
}

func sumOf(series map[string]float64) (sum float64) {
	for _, v := range series {
		sum += v
	}
	return sum
}
