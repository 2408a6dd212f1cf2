package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

func TestARunGrantsEverybodyAndFinishes(t *testing.T) {
	records := append(ids(500, 0, 3), malformed, outside, 0, 3, malformed)
	inWorld(t, newTopic(records, ids(300, 901, 70_000), nil), func(t *testing.T, w *world) {
		p := w.start()
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Equal(t, w.store.at(), w.topic.committed, "Kafka's tools see the same")

		s := p.Monitor.Snapshot()
		require.Equal(t, grant.Tally{Consumed: 805, Granted: 800, Duplicate: 2, Rejected: 2, Withheld: 1}, s.Tally)
		require.Equal(t, map[int]grant.Tally{
			0: {Consumed: 505, Granted: 500, Duplicate: 2, Rejected: 2, Withheld: 1}, 1: {Consumed: 300, Granted: 300}, 2: {},
		}, s.Partitions)
		ratio, left := s.Progress()
		require.InDelta(t, 1, ratio, 0)
		require.Zero(t, left)
		require.Empty(t, p.Monitor.Ready())

		record, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunRunning, grant.RunFinished}, states)
		require.Empty(t, record.Error)
		require.Equal(t, "one", record.Spec)
		require.Equal(t, "host", record.Host)
		require.Equal(t, time.Now(), record.UpdatedAt)
	})
}

func TestAnEmptyTopicIsFinishedAtOnce(t *testing.T) {
	inWorld(t, newTopic(nil, nil), func(t *testing.T, w *world) {
		require.NoError(t, w.start().wait())
		require.Equal(t, grant.Offsets{0: 0, 1: 0}, w.store.at())
	})
}

func TestASecondRunGrantsNobodyAgain(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		require.NoError(t, w.start().wait())
		w.topic.add(0, ids(50, 80, 1)...)
		p := w.start()
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Equal(t, grant.Tally{Consumed: 50, Granted: 30, Duplicate: 20}, p.Monitor.Snapshot().Tally)
	})
}

func TestARunStartsAtTheSmallerOfTheLedgersCheckpointAndKafkasCommit(t *testing.T) {
	for _, c := range []struct {
		name              string
		checkpoint, kafka int64 // −1: none
		want              int64
	}{
		{"neither has one", -1, -1, 0},
		{"the same", 30, 30, 30},
		{"the ledger lost its latest", 20, 30, 20},
		{"Kafka lost its latest", 30, 20, 20},
		{"only the ledger has one: the topic may be another", 30, -1, 0},
		{"only Kafka has one: the ledger lost everything", -1, 30, 0},
		{"somebody reset the group", 30, 0, 0},
		{"both at the end", 50, 50, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, newTopic(ids(50, 0, 1)), func(t *testing.T, w *world) {
				if c.checkpoint >= 0 {
					w.store.checkpoint[0] = c.checkpoint
					for id := range c.checkpoint {
						w.store.users[uint64(id)] = true
					}
				}
				if c.kafka >= 0 {
					w.topic.committed[0] = c.kafka
				}
				p := w.start()
				require.NoError(t, p.wait())
				w.requireAllGranted()
				require.Equal(t, []consumed{{0, c.want, 50}}, w.topic.calls(0))
				require.Equal(t, int64(50), w.topic.committed[0])
				require.Equal(t, 50-c.want, p.Monitor.Snapshot().Tally.Consumed)
			})
		})
	}
}

func TestACheckpointNeverPassesWhatTheLedgerAcknowledged(t *testing.T) {
	inWorld(t, newTopic(ids(200, 0, 1000)), func(t *testing.T, w *world) { // over four chunks
		refused := true
		w.store.grant = func(f *dense.Flush) (bool, error) {
			for _, d := range f.Deltas {
				if d.Chunk == 1 && refused {
					return false, errDown
				}
			}
			return true, nil
		}
		p := w.start()
		require.ErrorIs(t, p.wait(), errDown)
		require.Less(t, w.store.at()[0], int64(66), "record 66 is the first one in chunk 1")
		require.NotZero(t, w.store.has(), "the other shard went on")

		refused = false
		require.NoError(t, w.start().wait())
		w.requireAllGranted()
	})
}

// Kafka's offsets are for its tools, and for a ledger that lost its own: they must not be ahead of the ledger's.
func TestKafkaIsNotToldWhatTheLedgerHasNotTaken(t *testing.T) {
	inWorld(t, newTopic(ids(200, 0, 1)), func(t *testing.T, w *world) {
		w.store.write = func(context.Context) error { return errDown }
		require.ErrorIs(t, w.start().wait(), errDown)
		require.NotZero(t, w.store.has())
		require.Empty(t, w.topic.committed)
	})
}

// The lease is renewed, and the spec stored again should Redis have lost just that, also while no record comes.
func TestEachCheckpointMakesSureOfTheSpec(t *testing.T) {
	inWorld(t, newTopic(ids(200, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(follow)
		w.settle()
		w.store.change(func() { w.store.spec = "" })
		w.settle()
		w.store.change(func() { require.Equal(t, "one", w.store.spec) })
		w.store.change(func() { w.store.spec = "two" })
		require.ErrorIs(t, p.wait(), errConflict)
	})
}

func TestAnotherVersionOfTheCampaignIsRefusedBeforeAnybodyIsGranted(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		w.store.spec = "two"
		p := w.start()
		require.ErrorIs(t, p.wait(), errConflict)
		require.Empty(t, w.store.users)
		require.Empty(t, w.topic.calls(0))
		require.Empty(t, w.topic.members)
		record, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunFailed}, states)
		require.Contains(t, record.Error, errConflict.Error())
	})
}

func TestATopicThatCannotBeReadStopsTheRunBeforeItJoins(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		missing := errors.New("no such topic")
		w.topic.prepare = func(context.Context) error { return missing }
		p := w.start()
		require.ErrorIs(t, p.wait(), missing)
		require.Empty(t, w.topic.calls(0))
	})
}

func TestDrainGrantsWhatIsInHandAndLeavesACheckpoint(t *testing.T) {
	inWorld(t, newTopic(ids(1000, 0, 1), ids(1000, 5000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 100)
		w.topic.hold(1, 333)
		p := w.start(func(r *Run) { r.Sharding.MaxDelay = time.Hour }) // nothing is flushed that need not be
		w.settle()
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
		require.Equal(t, grant.Offsets{0: 100, 1: 333}, w.store.at())
		require.Equal(t, w.store.at(), w.topic.committed)
		require.Len(t, w.store.users, 433)
		record, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunRunning, grant.RunStopped}, states)
		require.Empty(t, record.Error)

		w.topic.release()
		p = w.start()
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Equal(t, grant.Tally{Consumed: 1567, Granted: 1567}, p.Monitor.Snapshot().Tally)
	})
}

func TestARunThatIsDrainedBeforeItStartsGrantsNobody(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(func(r *Run) { r.Drain() })
		require.ErrorIs(t, p.wait(), ErrDrained)
		require.Empty(t, w.store.users)
	})
}

func TestDrainEndsTheWaitForABrokerThatDoesNotAnswer(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		w.topic.prepare = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		p := w.start()
		began := time.Now()
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
		require.Equal(t, began, time.Now())
		_, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunStopped}, states)
	})
}

func TestCancellingStopsAtOnce(t *testing.T) {
	inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 100)
		p := w.start(func(r *Run) { r.Sharding.MaxDelay, r.Sharding.Linger = time.Hour, time.Hour })
		w.settle()
		before := w.store.has()
		began := time.Now()
		p.cancel()
		require.ErrorIs(t, p.wait(), context.Canceled)
		require.Equal(t, began, time.Now())
		require.Equal(t, before, w.store.has(), "what was pending is left for the next run")
		_, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunRunning, grant.RunStopped}, states)

		w.topic.release()
		require.NoError(t, w.start().wait())
		w.requireAllGranted()
	})
}

func TestWhatIsInFrontOfAGapIsGrantedBeforeTheRunStops(t *testing.T) {
	gap := errors.New("offsets 70 to 79 are gone")
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.fail(0, 70, gap)
		w.topic.hold(0, 70)
		w.topic.hold(1, 40)
		p := w.start()
		w.settle()
		w.topic.hold(0, 100)
		require.ErrorIs(t, p.wait(), gap)
		require.Equal(t, grant.Offsets{0: 70, 1: 40}, w.store.at())
		require.Len(t, w.store.users, 110)
		record, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunRunning, grant.RunFailed}, states)
		require.Contains(t, record.Error, gap.Error())
		require.Equal(t, grant.Tally{Consumed: 110, Granted: 110}, record.Tally)
	})
}

func TestALedgerThatFailsForGoodStopsTheRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse func(*store)
	}{
		{"at a flush", func(s *store) {
			s.grant = func(*dense.Flush) (bool, error) { return false, errDown }
		}},
		{"at a flush whose acknowledgement is lost", func(s *store) {
			s.grant = func(*dense.Flush) (bool, error) { return true, errDown }
		}},
		{"at a checkpoint", func(s *store) {
			s.write = func(context.Context) error { return errDown }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
				w.topic.hold(0, 100)
				p := w.start()
				w.settle()
				require.Equal(t, grant.Offsets{0: 100}, w.store.at())
				w.store.change(func() { c.refuse(w.store) })
				w.topic.release()
				require.ErrorIs(t, p.wait(), errDown)
				require.Equal(t, grant.Offsets{0: 100}, w.store.at())
				require.Equal(t, grant.Offsets{0: 100}, w.topic.committed)
				_, states := w.store.record(p.Record.Run)
				require.Equal(t, []grant.RunState{grant.RunRunning, grant.RunFailed}, states)

				w.store.grant, w.store.write = nil, nil
				require.NoError(t, w.start().wait())
				w.requireAllGranted()
			})
		})
	}
}

func TestACommitThatKafkaRefusesIsHarmless(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.commitErr = errors.New("coordinator not available")
		w.topic.hold(0, 60)
		p := w.start()
		w.settle()
		require.Equal(t, grant.Offsets{0: 60}, w.store.at())
		require.Empty(t, w.topic.committed)
		require.Positive(t, testutil.ToFloat64(p.metrics().KafkaErrors.WithLabelValues("broker")))

		w.topic.change(func() { w.topic.commitErr = nil })
		w.settle()
		require.Equal(t, grant.Offsets{0: 60}, w.topic.committed, "it is tried again although nothing came")
		w.topic.release()
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

func TestReportsThatFailAreHarmless(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.store.save = errors.New("no memory left for records")
		w.topic.leaveErr = errors.New("the coordinator went away")
		p := w.start()
		require.NoError(t, <-p.done)
		w.requireAllGranted()
	})
}

func TestFollowGoesOnUntilItIsDrained(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1), nil), func(t *testing.T, w *world) {
		p := w.start(follow)
		w.settle()
		require.Len(t, w.store.users, 10)
		w.topic.add(1, ids(20, 100, 1)...)
		w.settle()
		w.requireAllGranted()
		select {
		case err := <-p.done:
			require.Fail(t, "it ended", "%v", err)
		default:
		}
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}

func TestASnapshotDoesNotReadWhatCameLater(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 50)
		p := w.start()
		w.settle()
		w.topic.add(0, ids(100, 1000, 1)...)
		w.topic.release()
		require.NoError(t, p.wait())
		require.Equal(t, grant.Offsets{0: 100}, w.store.at())
		require.Len(t, w.store.users, 100)
	})
}
