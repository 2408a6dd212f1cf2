package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Redis comes back without the last orders, and before any replica looks somebody orders something: the new order has a
// lower version than those that are lost, and counts all the same.
func TestAnOrderRightAfterALossIsObeyed(t *testing.T) {
	lose := func(t *testing.T, b *board, then grant.Order) {
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 90})
		within(time.Second)
		b.change(func() { b.control = grant.Control{} })
		b.order(t, then)
		within(time.Second)
	}
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(b.orders)
		within(time.Minute)
		lose(t, b, grant.Order{Action: grant.ActionPause})
		before := w.store.has()
		within(time.Minute)
		require.Equal(t, before, w.store.has())
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 50})
		p := w.start(b.orders)
		within(time.Minute)
		lose(t, b, grant.Order{Action: grant.ActionAbort})
		require.ErrorIs(t, p.wait(), ErrAborted)
	})
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 50})
		p := w.start(follow, b.orders)
		within(time.Minute)
		ends := w.topic.end()
		lose(t, b, grant.Order{Action: grant.ActionFinish, Ends: ends})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// What Redis lost may be a resume. Then it says that the campaign is paused, and so it is.
func TestALostResumePauses(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		paused := b.order(t, grant.Order{Action: grant.ActionPause})
		b.order(t, grant.Order{Action: grant.ActionResume})
		p := w.start(b.orders)
		within(time.Minute)
		b.change(func() { b.control = paused })
		within(time.Second)
		before := w.store.has()
		within(time.Minute)
		require.Equal(t, before, w.store.has())
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// The same with an abort: who finds it ends.
func TestALostResumeAborts(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		aborted := b.order(t, grant.Order{Action: grant.ActionAbort})
		b.order(t, grant.Order{Action: grant.ActionResume})
		p := w.start(b.orders)
		within(time.Minute)
		b.change(func() { b.control = aborted })
		require.ErrorIs(t, p.wait(), ErrAborted)
	})
}

// Redis loses an order to finish: the replicas keep to it. Of two the one counts that ends earlier.
func TestALostFinishIsStillObeyed(t *testing.T) {
	earlier := &grant.Finish{Version: 1, Ends: grant.Offsets{0: 90}}
	later := &grant.Finish{Version: 1, Ends: grant.Offsets{0: 9000}}
	for _, left := range []*grant.Finish{nil, earlier, later} {
		inWorld(t, newTopic(ids(10_000, 0, 1)), func(t *testing.T, w *world) {
			b := newBoard()
			b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 1})
			b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 100}})
			p := w.start(follow, b.orders)
			within(time.Second)
			b.change(func() { b.control = grant.Control{Finish: left} })
			within(time.Second)
			b.change(func() { b.control.Throttle = 0 })
			require.NoError(t, p.wait())
			want := 100
			if left != nil {
				want = min(want, int(left.Ends[0]))
			}
			require.Equal(t, want, w.store.has())
		})
	}
}

// --now counts again when the postponement is taken back.
func TestAPostponementThatIsTakenBackDoesNotHoldWhoIsToStartNow(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		later := time.Now().Add(5 * time.Hour)
		checks := 0
		early := w.process(dates(2*time.Hour, 0), b.orders, func(r *Run) {
			r.Now, r.Recheck = true, func(context.Context) error { checks++; return nil }
		})
		b.order(t, grant.Order{Action: grant.ActionPostpone, StartsAt: &later})
		done := make(chan error, 1)
		go func() { done <- early.Do(t.Context()) }()
		within(time.Minute)
		require.Zero(t, w.store.has())
		b.order(t, grant.Order{Action: grant.ActionPostpone})
		within(time.Minute)
		require.Equal(t, 1, checks, "it has been a while since preflight passed")
		require.NoError(t, <-done)
		w.requireAllGranted()
	})
}

// A postponement that comes in time by Redis's clock counts, also where the start has come by the replica's clock.
func TestAPostponementInTheLastMomentHolds(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(dates(time.Minute, 0), b.orders)
		canary := w.start(dates(time.Minute, 0), b.orders, func(r *Run) { r.Now = true })
		within(2 * time.Second)
		require.NotZero(t, w.store.has())
		canary.Drain()
		require.ErrorIs(t, canary.wait(), ErrDrained)
		within(time.Minute)
		later := time.Now().Add(10 * time.Minute)
		b.change(func() { b.control = grant.Control{Version: 1, StartsAt: &later} })
		within(time.Second)
		require.Equal(t, []grant.Cause{grant.CauseSchedule}, p.causes())
		require.True(t, later.Equal(p.Ledger.(*client).notBefore), "what is in hand is judged by it, too")
		before := w.store.has()
		within(8 * time.Minute)
		require.Equal(t, before, w.store.has())
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// A run that was told to start early is not held by the date of the others.
func TestAPostponementDoesNotHoldACanaryThatRuns(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(dates(24*time.Hour, 0), b.orders, func(r *Run) { r.Now = true })
		within(time.Minute)
		later := time.Now().Add(48 * time.Hour)
		b.order(t, grant.Order{Action: grant.ActionPostpone, StartsAt: &later})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// gated returns an open gate, and a board with a budget, in a bubble.
func gated(t *testing.T, fn func(g *Gate, b *board)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		g := NewGate(b)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { g.Refill(ctx); close(over) }()
		fn(g, b)
		cancel()
		<-over
	})
}

// What was admitted without a limit, and comes back under one, is none of the limit's.
func TestALimitBeginsWithNothing(t *testing.T) {
	gated(t, func(g *Gate, _ *board) {
		for _, set := range []func(){
			func() { g.Set(true, 100, 0) }, func() { g.Set(true, 0, 100) }, func() { g.Set(true, 100, 50) },
		} {
			g.Set(true, 0, 0)
			require.Equal(t, 4096, g.Admit(4096))
			set()
			g.Return(4000)
			require.Zero(t, g.Admit(4096))
			within(time.Second)
			require.LessOrEqual(t, g.Admit(4096), 2)
		}
	})
}

// Duplicates cost nothing of a limit, but a long stretch of them, all of which come back, saves nothing up for a rush.
func TestDuplicatesSaveUpNothing(t *testing.T) {
	gated(t, func(g *Gate, _ *board) {
		g.Set(true, 1000, 0)
		all := func() (sum int) {
			for n := g.Admit(4096); n > 0; n = g.Admit(4096) {
				sum += n
			}
			return sum
		}
		records := 0
		for range 300 {
			n := all()
			records += n
			within(200 * time.Millisecond)
			g.Return(n)
		}
		require.Greater(t, records, 2*60_000, "they are read faster than anybody is granted")
		granted := 0
		for range 50 {
			granted += all()
			within(20 * time.Millisecond)
		}
		require.LessOrEqual(t, granted, 2000, "in one second: half of one is saved up by the budget, and half by the gate")
	})
}

// A budget that fails once, and then is not asked again, is not said to fail for ever.
func TestAFailureOfTheBudgetPasses(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
		p := w.start(b.orders)
		within(time.Minute)
		b.change(func() { b.err = errors.New("connection refused") })
		within(5 * time.Second)
		require.Contains(t, p.causes(), grant.CauseUnavailable)
		b.change(func() { b.err = nil })
		b.order(t, grant.Order{Action: grant.ActionThrottle})
		b.change(func() { b.takeErr = errors.New("i/o timeout") })
		within(5 * time.Second)
		require.Empty(t, p.causes())
		require.NoError(t, p.wait())
	})
}

// What fails for as long as anything is tried again ends the run: a budget that is broken does not mend itself, and nobody
// can stop a run that cannot read its orders. One that has not begun goes on waiting.
func TestARunThatCannotBeSteeredEnds(t *testing.T) {
	for name, test := range map[string]struct {
		fail func(*board)
		says string
	}{
		"the budget": {func(b *board) { b.takeErr = errors.New("granter:{c}:budget is broken") }, "cannot be used for 2m0s"},
		"the orders": {
			func(b *board) { b.err = errors.New("granter:{c}:control is broken") },
			"the orders of operators cannot be read for 2m0s",
		},
	} {
		inWorld(t, long(), func(t *testing.T, w *world) {
			b := newBoard()
			b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
			waits := w.start(dates(time.Hour, 0), b.orders)
			p := w.start(b.orders)
			within(time.Minute)
			b.change(func() { test.fail(b) })
			within(119 * time.Second)
			b.change(func() { b.err, b.takeErr = nil, nil })
			within(10 * time.Second)
			require.Empty(t, waits.record().Error)
			require.Equal(t, []grant.Cause{grant.CauseThrottle}, p.causes(), name)

			b.change(func() { test.fail(b) })
			err := p.wait()
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, "is broken")
			require.Equal(t, grant.RunFailed, p.record().State)
			within(10 * time.Minute)
			require.Equal(t, grant.RunWaiting, waits.record().State, "it grants nobody")
			b.change(func() { b.err, b.takeErr = nil, nil })
			waits.Drain()
			require.ErrorIs(t, waits.wait(), ErrDrained)
		})
	}
}

// A record that cannot be stored does not keep orders waiting.
func TestOrdersDoNotWaitForRecords(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(b.orders)
		within(time.Minute)
		refuse := func(ctx context.Context) error {
			select {
			case <-time.After(2 * time.Minute): // as long as the ledger tries
			case <-ctx.Done():
			}
			return errDown
		}
		w.store.change(func() { w.store.saving = refuse })
		within(10 * time.Second)
		b.order(t, grant.Order{Action: grant.ActionPause})
		within(time.Second)
		before := w.store.has()
		require.Equal(t, []grant.Cause{grant.CauseOperator}, p.causes())
		within(time.Minute)
		require.Equal(t, before, w.store.has())
		w.store.change(func() { w.store.saving = nil })
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// A limit excuses those who wait for it, and nobody else.
func TestAStalledPartitionIsReportedUnderALimit(t *testing.T) {
	inWorld(t, newTopic(ids(20_000, 0, 1), ids(20_000, 20_000, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 100})
		w.topic.hold(1, 100)
		p := w.start(b.orders)
		within(3 * time.Minute)
		require.Equal(t, 1, p.Monitor.Snapshot().Stalled)
		w.topic.release()
		within(5 * time.Second)
		require.Zero(t, p.Monitor.Snapshot().Stalled)
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
	parts := newTopic(ids(20, 0, 1), ids(20, 20, 1), ids(20, 40, 1), ids(20, 60, 1), ids(20, 80, 1))
	inWorld(t, parts, func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 1})
		p := w.start(b.orders, func(r *Run) { r.Monitor.stall = 3 * time.Second })
		for range 90 {
			within(time.Second)
			require.Zero(t, p.Monitor.Snapshot().Stalled, "who waits for his turn is not stalled")
		}
		require.NoError(t, p.wait())
	})
}

// A measurement that takes longer than the time between two does not make feedback mistake the rate.
func TestFeedbackGoesByTheTimeThatPassed(t *testing.T) {
	tp := newTopic(ids(200_000, 0, 1))
	tp.pace = 40 * time.Millisecond // 1,600 users/s
	inWorld(t, tp, func(t *testing.T, w *world) {
		var takes atomic.Int64
		var slow atomic.Bool
		takes.Store(int64(2500 * time.Millisecond))
		p := w.start(newBoard().orders, func(r *Run) {
			r.Measure = func(context.Context, time.Duration) grant.Measurement {
				time.Sleep(time.Duration(takes.Load()))
				if slow.Load() {
					return grant.Measurement{Slow: []grant.Hold{{Cause: grant.CauseLatency, Detail: "slow"}}}
				}
				return grant.Measurement{}
			}
		})
		within(11 * time.Second)
		slow.Store(true)
		within(2500 * time.Millisecond)
		limit := func() float64 { return p.series("granter_feedback_limit_users_per_second")[""] }
		require.InEpsilon(t, 0.7*1600, limit(), 0.1)
		takes.Store(int64(100 * time.Millisecond))
		slow.Store(false)
		within(3 * time.Second)
		require.NotZero(t, limit(), "it is not lifted at once")
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}

// funcBudget is a Budget.
type funcBudget func(want, rate int64) int64

func (b funcBudget) Take(_ context.Context, want, rate int64) (int64, error) {
	return b(want, rate), nil
}

// Of two limits the lower one says how much is kept in stock, and so how much may be admitted at once.
func TestOfTwoLimitsTheLowerOneCounts(t *testing.T) {
	for _, c := range []struct {
		shared int64
		own    float64
	}{{1000, 0}, {1000, 1e6}, {0, 1000}, {1_000_000, 1000}} {
		g := NewGate(funcBudget(func(want, _ int64) int64 { return want }))
		g.Set(true, c.shared, c.own)
		g.refill(t.Context(), time.Second)
		require.Equal(t, 60, g.stock, c)
	}
}

// What a budget hands out while the limit changes was for the limit before: under the new one it admits nobody.
func TestWhatCameFromABudgetThatNoLongerCountsAdmitsNobody(t *testing.T) {
	for _, change := range []func(g *Gate){func(g *Gate) { g.Set(true, 10, 0) }, func(g *Gate) { g.Set(true, 100_000, 10) }} {
		var g *Gate
		before := func() { change(g) }
		g = NewGate(funcBudget(func(want, _ int64) int64 {
			before()
			return want
		}))
		g.Set(true, 100_000, 0)
		g.refill(t.Context(), refillEvery)
		require.Zero(t, g.Admit(4096))
		before = func() {}
		g.refill(t.Context(), 100*time.Millisecond)
		require.Equal(t, 1, g.Admit(4096))
	}
}

// A replica's own limit saves up half a second's worth at most, however long its lanes had nothing to do, or the shared
// budget gave nothing.
func TestAnOwnLimitSavesUpHalfASecond(t *testing.T) {
	gated(t, func(g *Gate, b *board) {
		g.Set(true, 1_000_000, 1000)
		b.change(func() { b.takeErr = errors.New("i/o timeout") })
		within(time.Hour)
		b.change(func() { b.takeErr = nil })
		admitted := 0
		for range 50 {
			within(20 * time.Millisecond)
			for n := g.Admit(4096); n > 0; n = g.Admit(4096) {
				admitted += n
			}
		}
		require.InDelta(t, 1500, admitted, 60, "in one second: half of one was saved up")
	})
}

// An open transaction is a cause that stops nothing but its partitions: since when, and what waits, is said.
func TestAnOpenTransactionIsACause(t *testing.T) {
	inWorld(t, newTopic(ids(20_000, 0, 1), ids(20_000, 20_000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(1, 100)
		p := w.start(newBoard().orders)
		within(time.Minute)
		began := time.Now()
		p.Monitor.OpenTransaction(1, 100, 7)
		within(openFor - time.Second)
		p.Monitor.OpenTransaction(1, 100, 9)
		require.Empty(t, p.causes(), "a producer that commits now and then is no trouble")
		within(2 * time.Second)
		require.Equal(t, []grant.Cause{grant.CauseTransaction}, p.causes())
		hold := p.Monitor.Holds()[0]
		since := began.UTC().Format(time.TimeOnly)
		require.Equal(t, "partition 1: 9 records wait behind offset 100 since "+since+" UTC", hold.Detail)
		require.True(t, began.Equal(hold.Since))
		require.InDelta(t, 1, p.series("granter_hold")["open_transaction"], 0)
		p.Monitor.OpenTransaction(1, 200, 9)
		within(time.Second)
		require.Empty(t, p.causes(), "that is another one")
		within(openFor)
		require.NotEmpty(t, p.causes())
		p.Monitor.OpenTransaction(1, 0, 0)
		within(time.Second)
		require.Empty(t, p.causes())
		w.topic.release()
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}
