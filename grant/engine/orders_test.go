package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// long is a topic that a run without a limit needs ten minutes for, or so.
func long() *topic {
	tp := newTopic(ids(20_000, 0, 1), ids(20_000, 20_000, 1), ids(20_000, 40_000, 1), ids(20_000, 60_000, 1))
	tp.pace = 2 * time.Second
	return tp
}

func (p *process) causes() []grant.Cause {
	var out []grant.Cause
	for _, h := range p.Monitor.Holds() {
		out = append(out, h.Cause)
	}
	return out
}

func (p *process) record() grant.RunRecord {
	r, _ := p.world.store.record(p.Record.Run)
	return r
}

// within lets time pass, and everything happen that happens in it.
func within(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestEveryReplicaPausesWithinASecondAndGoesOn(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		first, second := w.start(b.orders), w.start(b.orders)
		within(time.Minute)
		require.NotZero(t, w.store.has())
		paused := b.order(t, grant.Order{Action: grant.ActionPause})
		within(time.Second)
		for _, p := range []*process{first, second} {
			require.Equal(t, []grant.Cause{grant.CauseOperator}, p.causes())
			require.Equal(t, paused.Version, p.record().Control, "it says that it obeys")
			require.Empty(t, p.Monitor.Ready(), "a paused replica is healthy")
		}
		before := w.store.has()
		within(5 * time.Minute)
		require.Equal(t, before, w.store.has(), "nobody is granted while paused")
		require.Zero(t, first.Monitor.Snapshot().Stalled, "what is paused is not stalled")
		require.InDelta(t, 1, first.series("granter_hold")["operator_pause"], 0)

		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, first.wait())
		require.NoError(t, second.wait())
		require.InDelta(t, 0, first.series("granter_hold")["operator_pause"], 0)
		w.requireAllGranted()
	})
}

// A replica that comes into a paused campaign grants nobody.
func TestWhoStartsIntoAPauseWaits(t *testing.T) {
	inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionPause})
		p := w.start(b.orders)
		within(2 * time.Minute)
		require.Zero(t, w.store.has())
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

func TestThrottleHoldsOverAllReplicas(t *testing.T) {
	for _, rate := range []int64{7, 50, 400} {
		tp := newTopic(ids(20_000, 0, 1), ids(20_000, 20_000, 1), ids(20_000, 40_000, 1), ids(20_000, 60_000, 1))
		inWorld(t, tp, func(t *testing.T, w *world) {
			b := newBoard()
			b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: rate})
			first, second := w.start(b.orders), w.start(b.orders)
			within(10 * time.Second)
			before := w.store.has()
			within(time.Minute)
			require.InEpsilon(t, 60*rate, w.store.has()-before, 0.05, "at %d users/s", rate)
			require.Equal(t, []grant.Cause{grant.CauseThrottle}, first.causes())

			second.Drain()
			require.ErrorIs(t, second.wait(), ErrDrained)
			within(10 * time.Second)
			before = w.store.has()
			within(time.Minute)
			require.InEpsilon(t, 60*rate, w.store.has()-before, 0.05, "one alone may take all, at %d users/s", rate)
			b.order(t, grant.Order{Action: grant.ActionThrottle})
			require.NoError(t, first.wait())
			w.requireAllGranted()
		})
	}
}

// A replica that has no work left leaves the whole budget to the others.
func TestThrottleIsNotSplitInHalves(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(40_000, 20_000, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 200})
		first, second := w.start(b.orders), w.start(b.orders)
		within(10 * time.Second)
		before := w.store.has()
		within(60 * time.Second)
		require.InEpsilon(t, 60*200, w.store.has()-before, 0.05)
		b.order(t, grant.Order{Action: grant.ActionThrottle})
		require.NoError(t, first.wait())
		require.NoError(t, second.wait())
		w.requireAllGranted()
	})
}

func TestAbortEndsThoseThatRunAndLaterOnesUntilResume(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		first, second := w.start(b.orders), w.start(b.orders, func(r *Run) { r.Campaign.StartsAt = time.Now().Add(time.Hour) })
		within(time.Minute)
		b.order(t, grant.Order{Action: grant.ActionAbort, Who: "minji@ops", Why: "wrong emoticon"})
		require.ErrorIs(t, first.wait(), ErrAborted)
		require.ErrorIs(t, second.wait(), ErrAborted, "it is ended while it waits, too")
		require.Equal(t, grant.RunAborted, first.record().State)
		require.NotEmpty(t, w.store.at(), "it leaves a checkpoint")
		consumed, granted := first.Monitor.Snapshot().Tally.Consumed, w.store.has()

		for _, option := range []func(*Run){follow, func(*Run) {}, func(r *Run) { r.Now = true }} {
			began := time.Now()
			again := w.start(b.orders, option)
			err := again.wait()
			require.ErrorIs(t, err, ErrAborted)
			require.Equal(t, began, time.Now(), "before it does anything")
			require.ErrorContains(t, err, "aborted by minji@ops at ")
			require.ErrorContains(t, err, ": wrong emoticon.")
			require.ErrorContains(t, err, "granter resume")
			require.Equal(t, err.Error(), again.record().Error)
		}
		b.order(t, grant.Order{Action: grant.ActionThrottle})
		require.ErrorIs(t, w.start(b.orders).wait(), ErrAborted, "no other order lifts it")
		require.Equal(t, granted, w.store.has(), "nobody is granted meanwhile")

		b.order(t, grant.Order{Action: grant.ActionResume})
		again := w.start(b.orders)
		require.NoError(t, again.wait())
		require.Equal(t, 80_000-consumed, again.Monitor.Snapshot().Tally.Consumed, "it goes on at the checkpoint")
		w.requireAllGranted()
	})
}

// Who stands by, as under a supervisor that starts again whatever ends, waits for resume at its start, and is ended by an
// abort afterwards.
func TestWhoStandsByWaitsForResume(t *testing.T) {
	standBy := func(r *Run) { r.StandBy = true }
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionAbort, Who: "minji@ops", Why: "wrong emoticon"})
		checks := 0
		p := w.start(b.orders, standBy, func(r *Run) { r.Recheck = func(context.Context) error { checks++; return nil } })
		within(10 * time.Minute)
		require.Zero(t, w.store.has())
		require.Equal(t, []grant.Cause{grant.CauseAborted}, p.causes())
		require.Contains(t, p.Monitor.Holds()[0].Detail, "aborted by minji@ops at ")
		require.Empty(t, p.Monitor.Ready(), "it is as it should be")
		b.order(t, grant.Order{Action: grant.ActionResume})
		within(time.Minute)
		require.Empty(t, p.causes())
		require.NotZero(t, w.store.has())
		require.Equal(t, 1, checks, "much may have changed since preflight passed")
		b.order(t, grant.Order{Action: grant.ActionAbort})
		require.ErrorIs(t, p.wait(), ErrAborted)

		again := w.start(b.orders, standBy)
		within(time.Minute)
		b.change(func() { b.control = grant.Control{} })
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 1000})
		granted := w.store.has()
		within(time.Minute)
		b.order(t, grant.Order{Action: grant.ActionThrottle})
		within(time.Minute)
		require.Equal(t, granted, w.store.has(), "an abort that Redis lost ends by resume, not by another order")
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, again.wait())
		w.requireAllGranted()
	})
	inWorld(t, newTopic(ids(500, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 200}, Who: "minji@ops", Why: "over"})
		require.NoError(t, w.start(b.orders, follow, standBy).wait(), "there is something to do still")
		require.Equal(t, 200, w.store.has())
		p := w.start(b.orders, follow, standBy)
		within(time.Minute)
		require.Equal(t, []grant.Cause{grant.CauseFinished}, p.causes())
		require.Empty(t, p.Monitor.Ready())
		b.order(t, grant.Order{Action: grant.ActionResume})
		within(time.Minute)
		w.requireAllGranted()
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}

func TestFinishEndsThoseWhoFollow(t *testing.T) {
	inWorld(t, newTopic(ids(500, 0, 1), ids(500, 1000, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		first, second := w.start(follow, b.orders), w.start(follow, b.orders)
		within(time.Minute)
		w.topic.add(0, ids(300, 500, 1)...)
		ends := w.topic.end()
		w.topic.add(1, ids(300, 1500, 1)...)
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: ends})
		require.NoError(t, first.wait())
		require.NoError(t, second.wait())
		require.GreaterOrEqual(t, w.store.at()[0], ends[0])
		require.GreaterOrEqual(t, w.store.at()[1], ends[1])
	})
}

// An order to finish holds for runs that begin later, whoever is in the topic by then, until somebody resumes.
func TestWhoStartsAfterAFinishEndsThere(t *testing.T) {
	inWorld(t, newTopic(ids(500, 0, 1), ids(500, 1000, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 400}})
		for _, option := range []func(*Run){follow, func(*Run) {}, follow} {
			p := w.start(b.orders, option)
			require.NoError(t, p.wait())
			require.Equal(t, grant.RunFinished, p.record().State)
			require.Equal(t, 400, w.store.has(), "a partition that the order does not know has nothing to grant")
		}
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, w.start(b.orders).wait())
		w.requireAllGranted()
	})
}

// The last order to finish counts, also for a run that obeys one before; and so does taking it back.
func TestASecondFinishCountsAndSoDoesTakingItBack(t *testing.T) {
	inWorld(t, newTopic(ids(60_000, 0, 1)), func(t *testing.T, w *world) {
		w.topic.pace = 2 * time.Second
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
		p := w.start(follow, b.orders)
		within(10 * time.Second)
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 30_000}})
		within(10 * time.Second)
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 40_000}})
		b.order(t, grant.Order{Action: grant.ActionThrottle})
		require.NoError(t, p.wait())
		require.Equal(t, 40_000, w.store.has())

		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 50_000}})
		p = w.start(follow, b.orders)
		within(10 * time.Second)
		b.order(t, grant.Order{Action: grant.ActionResume})
		b.order(t, grant.Order{Action: grant.ActionThrottle})
		within(20 * time.Minute)
		w.requireAllGranted()
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained, "it follows again")
	})
}

// A run that is paused does not finish before it may go on.
func TestFinishWaitsForResume(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(follow, b.orders)
		within(time.Minute)
		ends := w.topic.end()
		b.order(t, grant.Order{Action: grant.ActionPause})
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: ends})
		within(2 * time.Minute)
		require.Less(t, w.store.has(), 80_000)
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// A Redis that loses a pause must not make anybody go on.
func TestALostPauseIsStillObeyed(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
		p := w.start(b.orders)
		within(time.Minute)
		b.order(t, grant.Order{Action: grant.ActionPause})
		within(time.Second)
		before := w.store.has()
		b.change(func() { b.control = grant.Control{} })
		within(2 * time.Minute)
		require.Equal(t, before, w.store.has())
		require.Contains(t, p.causes(), grant.CauseOperator)
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

type temporary struct{ again bool }

func (temporary) Error() string     { return "no orders" }
func (e temporary) Temporary() bool { return e.again }

func TestNobodyIsGrantedBeforeTheOrdersAreKnown(t *testing.T) {
	inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.err = temporary{again: true}
		p := w.start(b.orders)
		within(time.Minute)
		require.Zero(t, w.store.has())
		b.change(func() { b.err = nil })
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
	for _, err := range []error{temporary{again: true}, temporary{again: false}, errors.New("no orders")} {
		inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
			b := newBoard()
			b.err = err
			require.ErrorContains(t, w.start(b.orders).wait(), "no orders")
			require.Zero(t, w.store.has())
		})
	}
}

// While the orders cannot be read, the last ones hold.
func TestOrdersThatCannotBeReadChangeNothing(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(b.orders)
		within(time.Minute)
		b.change(func() { b.err = errors.New("connection refused") })
		within(10 * time.Second)
		require.Equal(t, []grant.Cause{grant.CauseUnavailable}, p.causes())
		require.Contains(t, p.Monitor.Holds()[0].Detail, "connection refused")
		b.change(func() { b.err = nil })
		within(time.Second)
		require.Empty(t, p.causes())
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// measured is an option for a run whose servers are as a test says.
func measured(m *atomic.Pointer[grant.Measurement]) func(*Run) {
	return func(r *Run) {
		r.Measure = func(context.Context, time.Duration) grant.Measurement { return *m.Load() }
	}
}

func TestFeedbackSlowsDownPausesAndSpeedsUp(t *testing.T) {
	tp := newTopic(ids(200_000, 0, 1))
	tp.pace = 40 * time.Millisecond // about 1,600 users/s
	inWorld(t, tp, func(t *testing.T, w *world) {
		var m atomic.Pointer[grant.Measurement]
		m.Store(&grant.Measurement{})
		p := w.start(newBoard().orders, measured(&m))
		rate := func(d time.Duration) float64 {
			before := w.store.has()
			within(d)
			return float64(w.store.has()-before) / d.Seconds()
		}
		full := rate(5 * time.Second)
		slowing := []grant.Hold{{Cause: grant.CauseLatency, Detail: "700ms"}}
		m.Store(&grant.Measurement{Slow: slowing})
		within(4 * time.Second)
		require.Equal(t, []grant.Cause{grant.CauseLatency}, p.causes())
		slow := rate(time.Second)
		require.Less(t, slow, full/2)
		require.Positive(t, p.series("granter_feedback_limit_users_per_second")[""])
		within(10 * time.Second)
		require.InDelta(t, slowest, rate(10*time.Second), slowest/10, "it never stops altogether")

		m.Store(&grant.Measurement{Unsure: true})
		require.InDelta(t, slowest, rate(10*time.Second), slowest/10, "it does not speed up by guessing")
		m.Store(&grant.Measurement{Slow: slowing, Stop: []grant.Hold{{Cause: grant.CauseCritical, Detail: "96%"}}})
		within(2 * time.Second)
		require.Zero(t, rate(time.Minute))
		m.Store(&grant.Measurement{})
		within(30 * time.Second)
		require.InEpsilon(t, full, rate(5*time.Second), 0.1)
		require.Zero(t, p.series("granter_feedback_limit_users_per_second")[""])
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}

func TestAPostponedStart(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(dates(4*time.Minute, 0), b.orders)
		within(2 * time.Minute)
		require.Equal(t, []grant.Cause{grant.CauseSchedule}, p.causes())
		later := time.Now().Add(5 * time.Minute)
		b.order(t, grant.Order{Action: grant.ActionPostpone, StartsAt: &later})
		within(time.Second)
		require.InDelta(t, later.Unix(), p.series("granter_campaign_start_timestamp_seconds")[""], 0)
		early := w.start(dates(2*time.Minute, 0), b.orders, func(r *Run) { r.Now = true })
		within(5*time.Minute - 2*time.Second)
		require.Zero(t, w.store.has(), "not even --now starts before what an operator said")
		within(2 * time.Second)
		require.NotZero(t, w.store.has())
		require.NoError(t, p.wait())
		require.NoError(t, early.wait())
		w.requireAllGranted()
	})
}

// Preflight runs again a minute before the start. If it fails then, the run holds until it passes.
func TestPreflightRunsAgainBeforeTheStart(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		var mu sync.Mutex
		var checks []time.Duration
		began, failing := time.Now(), true
		p := w.start(dates(3*time.Minute, 0), b.orders, func(r *Run) {
			r.Recheck = func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				checks = append(checks, time.Since(began))
				if failing {
					return errors.New("redis.memory")
				}
				return nil
			}
		})
		within(2*time.Minute - time.Second)
		mu.Lock()
		require.Empty(t, checks)
		mu.Unlock()
		within(3 * time.Minute)
		mu.Lock()
		require.Equal(t, 2*time.Minute, checks[0])
		require.Greater(t, len(checks), 12)
		mu.Unlock()
		require.Equal(t, []grant.Cause{grant.CausePreflight, grant.CauseSchedule}, p.causes())
		require.Zero(t, w.store.has())
		mu.Lock()
		failing = false
		mu.Unlock()
		within(recheckEvery + time.Second)
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

func TestAMissedStartIsSaid(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		late := func(r *Run) { r.Campaign.StartsAt = time.Now().Add(-2 * time.Minute) }
		first := w.start(late)
		require.NoError(t, first.wait())
		require.InDelta(t, 120, first.series("granter_start_delay_seconds")[""], 5)
		second := w.start(late)
		require.NoError(t, second.wait())
		require.Zero(t, second.series("granter_start_delay_seconds")[""], "it goes on with what was begun")
	})
}

// A pass that withholds users has a checkpoint of its own in the ledger, and nothing is committed to Kafka.
func TestAPartialPassMovesNoOffsets(t *testing.T) {
	inWorld(t, newTopic(append(ids(1000, 0, 1), ids(100, 0, 1)...)), func(t *testing.T, w *world) {
		w.store.includes = func(id uint64) bool { return id%10 == 0 }
		p := w.start(func(r *Run) { r.Pass.Private, r.Pass.Includes = true, w.store.includes })
		require.NoError(t, p.wait())
		require.Equal(t, grant.Tally{Consumed: 1100, Granted: 100, Duplicate: 10, Withheld: 990}, p.Monitor.Snapshot().Tally)
		require.Empty(t, w.topic.committed)
	})
}

func TestRejectsHaveSamples(t *testing.T) {
	inWorld(t, newTopic([]int64{1, malformed, malformed, malformed, 2}), func(t *testing.T, w *world) {
		p := w.start()
		require.NoError(t, p.wait())
		counts, samples := p.Monitor.Rejects()
		require.Equal(t, map[string]int64{"malformed": 3}, counts)
		require.Equal(t, []int64{1, 2}, []int64{samples[0].Offset, samples[1].Offset})
		require.Equal(t, samples, p.record().Samples)
	})
}

func TestEveryCauseHasASeries(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(newBoard().orders)
		require.NoError(t, p.wait())
		for _, cause := range grant.Causes() {
			require.Contains(t, p.series("granter_hold"), string(cause))
			require.Contains(t, p.series("granter_hold_since_timestamp_seconds"), string(cause))
		}
	})
}
