package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

func TestARebalanceGoesOnWhereTheGenerationBeforeWas(t *testing.T) {
	inWorld(t, newTopic(ids(200, 0, 1), ids(200, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 120)
		w.topic.hold(1, 150)
		p := w.start(func(r *Run) { r.Sharding.MaxDelay, r.Sharding.Linger = time.Hour, time.Hour })
		w.settle()
		w.topic.change(w.topic.rebalance)
		w.settle()
		require.Equal(t, grant.Offsets{0: 120, 1: 150}, w.store.at(), "the end of a generation flushes")
		require.Equal(t, []int{0, 1}, p.Monitor.Snapshot().Assigned)
		require.InDelta(t, 2, testutil.ToFloat64(p.metrics().Generations), 0)
		w.topic.release()
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Equal(t, []consumed{{0, 0, 200}, {0, 120, 200}}, w.topic.calls(0))
		require.Equal(t, grant.Tally{Consumed: 400, Granted: 400}, p.Monitor.Snapshot().Tally)
	})
}

func TestReplicasShareThePartitionsAndFinishTogether(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1), ids(100, 2000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 50)
		w.topic.hold(1, 50)
		a := w.start()
		w.settle()
		require.Equal(t, []int{0, 1, 2}, a.Monitor.Snapshot().Assigned)
		b := w.start()
		w.settle()
		require.Equal(t, []int{0, 2}, a.Monitor.Snapshot().Assigned)
		require.Equal(t, []int{1}, b.Monitor.Snapshot().Assigned)

		w.topic.hold(1, 100) // b can finish its own
		w.settle()
		require.Equal(t, grant.Offsets{0: 50, 1: 100, 2: 100}, w.store.at())
		require.Empty(t, b.done, "it waits for the other")
		w.topic.release()
		require.NoError(t, a.wait())
		require.NoError(t, b.wait())
		w.requireAllGranted()
		sum := a.Monitor.Snapshot().Tally.Add(b.Monitor.Snapshot().Tally)
		require.Equal(t, grant.Tally{Consumed: 300, Granted: 300}, sum)
	})
}

func TestAReplicaTakesOverWhenAnotherDies(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 20)
		a := w.start(func(r *Run) { r.Sharding.MaxDelay, r.Sharding.Linger = time.Hour, time.Hour })
		b := w.start()
		w.settle()
		w.topic.hold(0, 50)
		w.settle()
		require.Equal(t, grant.Offsets{0: 20, 1: 100}, w.store.at(), "a has 30 records in hand, b waits for it")
		a.cancel()
		require.Error(t, a.wait())
		w.settle()
		require.Equal(t, []int{0, 1}, b.Monitor.Snapshot().Assigned)
		w.topic.release()
		require.NoError(t, b.wait())
		w.requireAllGranted()
	})
}

func TestAReplicaWithoutPartitionsStandsBy(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 50)
		a := w.start()
		b := w.start()
		w.settle()
		s := b.Monitor.Snapshot()
		require.Empty(t, s.Assigned)
		require.Empty(t, b.Monitor.Ready(), "it does all that there is to do")
		ratio, left := s.Progress()
		require.InDelta(t, 1, ratio, 0)
		require.Zero(t, left)
		anHourPasses()
		record, _ := w.store.record(b.Record.Run)
		require.Less(t, time.Since(record.UpdatedAt), 2*time.Second, "it is seen to be alive")
		require.Less(t, b.Monitor.CheckpointAge(), 2.0)

		a.cancel()
		require.Error(t, a.wait())
		w.settle()
		require.Equal(t, []int{0}, b.Monitor.Snapshot().Assigned)
		w.topic.release()
		require.NoError(t, b.wait())
		w.requireAllGranted()
	})
}

func TestAReplicaThatWaitsForOthersIsSeenToBeAlive(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 50)
		a, b := w.start(), w.start()
		anHourPasses()
		require.Empty(t, b.Monitor.Ready())
		require.Zero(t, b.Monitor.Snapshot().Stalled)
		require.Zero(t, b.Monitor.Snapshot().Rate)
		require.Equal(t, "partitions make no progress", a.Monitor.Ready())
		record, _ := w.store.record(b.Record.Run)
		require.Equal(t, grant.RunRunning, record.State)
		require.Less(t, time.Since(record.UpdatedAt), 2*time.Second)
		b.Drain()
		require.ErrorIs(t, b.wait(), ErrDrained)
		w.topic.release()
		require.NoError(t, a.wait())
	})
}

func TestAPartitionThatIsAddedInMidRunIsReadUpToItsEnd(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 50)
		p := w.start()
		w.settle()
		w.topic.add(0, 998) // came after the start
		w.topic.grow(ids(30, 500, 1))
		w.settle()
		require.Equal(t, []int{0, 1}, p.Monitor.Snapshot().Assigned)
		w.topic.add(1, 999)
		w.topic.release()
		require.NoError(t, p.wait())
		require.Equal(t, []consumed{{1, 0, 30}}, w.topic.calls(1))
		require.Equal(t, grant.Offsets{0: 100, 1: 30}, w.store.at())
		require.Len(t, w.store.users, 130)
	})
}

func TestALossIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		follow bool
		hold   int64 // where the partition stands when the ledger loses something
		lose   func(*store) bool
		next   func(*world) // what happens then
	}{
		{"a flush", false, 100, (*store).loseFlush, func(w *world) { w.topic.release() }},
		{"many flushes", false, 300, func(s *store) bool { return s.lose(12) }, func(w *world) { w.topic.release() }},
		{"everything, the spec too", false, 300, (*store).loseEverything, func(w *world) { w.topic.release() }},
		{"while no record comes", true, 1000, func(s *store) bool { return s.lose(5) }, func(*world) {}},
		{"everything, while no record comes", true, 1000, (*store).loseEverything, func(*world) {}},
		{"at the end of a generation", true, 1000, func(s *store) bool { return s.lose(5) },
			func(w *world) { w.topic.change(w.topic.rebalance) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, newTopic(ids(1000, 0, 100)), func(t *testing.T, w *world) {
				w.topic.hold(0, c.hold)
				p := w.start(func(r *Run) { r.Follow = c.follow })
				w.settle()
				require.Equal(t, grant.Offsets{0: c.hold}, w.store.at())
				require.True(t, c.lose(w.store))
				c.next(w)
				w.settle()
				if c.follow {
					p.Drain()
					require.ErrorIs(t, p.wait(), ErrDrained)
				} else {
					require.NoError(t, p.wait())
				}
				w.requireAllGranted()
				require.InDelta(t, 1, testutil.ToFloat64(p.metrics().Regressions), 0)
				require.Equal(t, w.store.granted, p.Monitor.Snapshot().Tally.Granted)
				require.Greater(t, w.store.granted, int64(1000), "what was lost is granted again")
			})
		})
	}
}

func TestALossIsNoticedWhileTheRunWaitsForOtherReplicas(t *testing.T) {
	for _, lose := range []int{1, 4, 1 << 30} {
		inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
			w.topic.hold(0, 10)
			a, b := w.start(), w.start()
			w.settle()
			require.Equal(t, grant.Offsets{0: 10, 1: 100}, w.store.at())
			require.True(t, w.store.lose(lose))
			w.settle()
			require.Equal(t, grant.Offsets{0: 10, 1: 100}, w.store.at(), "both have repaired what was theirs")
			w.topic.release()
			require.NoError(t, a.wait())
			require.NoError(t, b.wait())
			w.requireAllGranted()
		})
	}
}

func TestALossWhileDrainingLosesNobody(t *testing.T) {
	inWorld(t, newTopic(ids(500, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 200)
		p := w.start()
		w.settle()
		w.store.change(func() {
			w.store.grant = func(*dense.Flush) (bool, error) { return false, grant.ErrRegressed }
		})
		w.topic.hold(0, 210)
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
		require.LessOrEqual(t, w.store.at()[0], int64(210))

		w.store.grant = nil
		w.topic.release()
		require.NoError(t, w.start().wait())
		w.requireAllGranted()
	})
}

// Retention may have removed the generation's first records long ago.
func TestAfterALossNothingIsReadFromBeforeTheLastCommit(t *testing.T) {
	inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 100)
		first := w.start(follow)
		w.settle()
		first.Drain()
		require.ErrorIs(t, first.wait(), ErrDrained)

		second := w.start(follow) // Kafka has 100 when its generation begins
		w.topic.hold(0, 400)
		w.settle()
		w.topic.hold(0, 800)
		w.settle()
		require.True(t, w.store.lose(1)) // the last checkpoint, and nobody's grant
		w.settle()
		calls := w.topic.calls(0)
		require.Len(t, calls, 3)
		require.GreaterOrEqual(t, calls[2].from, int64(400))
		w.topic.release()
		w.settle()
		second.Drain()
		require.ErrorIs(t, second.wait(), ErrDrained)
		w.requireAllGranted()
	})
}

func TestALossThatTheLedgerCannotRecoverFromStopsTheRun(t *testing.T) {
	inWorld(t, newTopic(ids(500, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 200)
		p := w.start()
		w.settle()
		w.store.loseEverything()
		w.store.change(func() { w.store.spec = "two" }) // somebody else was faster
		require.ErrorIs(t, p.wait(), errConflict)
		require.Empty(t, w.store.users)
	})
}

// A defect that would look like one more duplicate: a gap found after a loss must still stop the run.
func TestAGapAfterALossStopsTheRun(t *testing.T) {
	gap := errors.New("offsets 70 to 79 are gone")
	inWorld(t, newTopic(ids(500, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 200)
		p := w.start()
		w.settle()
		w.topic.fail(0, 70, gap)
		w.store.loseEverything()
		require.ErrorIs(t, p.wait(), gap)
		require.Equal(t, grant.Offsets{0: 70}, w.store.at())
		require.Len(t, w.store.users, 70)
	})
}
