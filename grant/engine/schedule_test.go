package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// dates returns an option for a run: when its campaign starts and ends, from now on. An end of 0 is none.
func dates(start, end time.Duration) func(*Run) {
	return func(r *Run) {
		r.Campaign.StartsAt = time.Now().Add(start)
		if end != 0 {
			r.Campaign.EndsAt = time.Now().Add(end)
		}
	}
}

func TestNobodyIsGrantedBeforeTheCampaignStarts(t *testing.T) {
	const wait = 12*time.Hour + 345678*time.Microsecond
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(dates(wait, 0))
		time.Sleep(wait - time.Nanosecond)
		synctest.Wait()
		require.Empty(t, w.store.users)
		require.Empty(t, w.topic.members, "it does not disturb those who work")
		require.Equal(t, "waiting for starts_at", p.Monitor.Ready())
		record, states := w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunWaiting}, states)
		require.Less(t, time.Since(record.UpdatedAt), 2*time.Second, "it is seen to be alive")
		ratio, left := p.Monitor.Progress()
		require.Zero(t, ratio)
		require.InDelta(t, -1, left, 0)

		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.NotEmpty(t, w.topic.calls(0), "it starts to the nanosecond")
		require.NoError(t, p.wait())
		w.requireAllGranted()
		_, states = w.store.record(p.Record.Run)
		require.Equal(t, []grant.RunState{grant.RunWaiting, grant.RunRunning, grant.RunFinished}, states)
	})
}

func TestWhoIsToldToStartNowDoesNotWait(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		began := time.Now()
		p := w.start(dates(time.Hour, 2*time.Hour), func(r *Run) { r.Now = true })
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Less(t, time.Since(began), time.Minute)
	})
}

func TestWaitingForTheStartCanBeStopped(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(*process)
		want error
	}{
		{"drained", func(p *process) { p.Drain() }, ErrDrained},
		{"cancelled", func(p *process) { p.cancel() }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
				p := w.start(dates(time.Hour, 0))
				time.Sleep(time.Minute)
				c.stop(p)
				require.ErrorIs(t, p.wait(), c.want)
				require.Empty(t, w.store.users)
				_, states := w.store.record(p.Record.Run)
				require.Equal(t, []grant.RunState{grant.RunWaiting, grant.RunStopped}, states)
			})
		})
	}
}

func TestTheEndOfTheCampaignIsTheFirstMomentWithoutGrants(t *testing.T) {
	for _, c := range []struct {
		name string
		end  time.Duration // from the moment when the run starts
		now  bool
		want error
		has  int
	}{
		{"just before the end", time.Nanosecond, false, nil, 100},
		{"at the end", 0, false, grant.ErrEnded, 0},
		{"just after the end", -time.Nanosecond, false, grant.ErrEnded, 0},
		{"long after the end, told to start now", -time.Hour, true, grant.ErrEnded, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
				p := w.start(func(r *Run) { r.Now, r.Campaign.EndsAt = c.now, time.Now().Add(c.end) })
				require.ErrorIs(t, p.wait(), c.want)
				require.Len(t, w.store.users, c.has)
				if c.want != nil {
					record, states := w.store.record(p.Record.Run)
					require.Equal(t, []grant.RunState{grant.RunFailed}, states)
					require.Contains(t, record.Error, "ends_at")
				}
			})
		})
	}
}

func TestWhenTheCampaignEndsInMidRunWhatIsInHandIsRefused(t *testing.T) {
	for _, following := range []bool{false, true} {
		inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
			w.topic.hold(0, 40)
			began := time.Now()
			p := w.start(dates(-time.Hour, time.Hour), func(r *Run) {
				r.Sharding.MaxDelay, r.Sharding.Linger, r.Follow = 9*time.Hour, 9*time.Hour, following
			})
			time.Sleep(time.Hour - time.Nanosecond)
			synctest.Wait()
			require.Empty(t, p.done)
			require.ErrorIs(t, p.wait(), grant.ErrEnded)
			require.Equal(t, began.Add(time.Hour), time.Now())
			require.Empty(t, w.store.users)
			require.Equal(t, grant.Offsets{0: 0}, w.store.at())
			record, states := w.store.record(p.Record.Run)
			require.Equal(t, []grant.RunState{grant.RunRunning, grant.RunFailed}, states)
			require.Contains(t, record.Error, grant.ErrEnded.Error())

			w.topic.release()
			late := w.start(dates(-2*time.Hour, 0), func(r *Run) { r.Campaign.EndsAt = began.Add(time.Hour) })
			require.ErrorIs(t, late.wait(), grant.ErrEnded)
			require.Empty(t, w.store.users)
		})
	}
}

func TestTheEndOfTheCampaignEndsTheWaitForOtherReplicas(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 40)
		began := time.Now()
		a := w.start(dates(-time.Hour, time.Hour))
		b := w.start(dates(-time.Hour, time.Hour))
		require.ErrorIs(t, a.wait(), grant.ErrEnded)
		require.ErrorIs(t, b.wait(), grant.ErrEnded)
		require.Equal(t, began.Add(time.Hour), time.Now())
		require.Equal(t, grant.Offsets{0: 40, 1: 100}, w.store.at())
	})
}

// The end ends a run that has not come to read anything, too.
func TestTheEndOfTheCampaignEndsTheWaitForABroker(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.prepare = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		require.ErrorIs(t, w.start(dates(-time.Hour, time.Hour)).wait(), grant.ErrEnded)
		require.Equal(t, began.Add(time.Hour), time.Now())
		require.Zero(t, w.store.has())
	})
}

// The clock of the timers stops while a machine is suspended, or a process frozen; the ledger's does not. What was in
// hand is refused, and the run ends, even when its own clock says that there is time.
func TestACampaignThatEndedWhileTheMachineWasSuspendedStops(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		p := w.start(dates(-time.Hour, time.Hour))
		within(time.Minute)
		before := w.store.has()
		require.Positive(t, before)
		w.store.change(func() { w.store.ahead = time.Hour - time.Minute })
		require.ErrorIs(t, p.wait(), grant.ErrEnded)
		require.Equal(t, before, w.store.has(), "nobody is granted any more")
		record, _ := w.store.record(p.Record.Run)
		require.Equal(t, grant.RunFailed, record.State)
	})
}

// The ledger's clock is the one that counts: the run waits for it, visibly, and nobody is dated before the start.
// The ledger refuses nothing of a run that has nothing to grant: it looks itself.
func TestAFollowerWithNothingToGrantEndsWithTheCampaign(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(follow, b.orders, dates(-time.Hour, time.Hour))
		w.settle()
		b.change(func() { b.ahead = time.Hour }) // as after a suspension, in which the timers did not run
		w.settle()
		require.Len(t, p.done, 1)
		require.NoError(t, p.wait())
	})
}

func TestALedgerWhoseClockIsBehindIsWaitedFor(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		const behind = 30 * time.Second
		b := newBoard()
		b.ahead, w.store.ahead = -behind, -behind
		began := time.Now()
		p := w.start(b.orders, dates(10*time.Second, 0))
		within(20 * time.Second)
		require.Equal(t, []grant.Cause{grant.CauseSchedule}, p.causes())
		require.Equal(t, grant.RunWaiting, p.record().State)
		require.NoError(t, p.wait())
		require.False(t, time.Now().Before(began.Add(10*time.Second+behind)))
		w.requireAllGranted()
	})
}

// A ledger may have several clocks. What one of them refuses waits, visibly, with the gate closed, and can be stopped.
func TestAPartOfTheLedgerWhoseClockIsBehindIsWaitedFor(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		w.store.ahead = -30 * time.Second
		p := w.start(b.orders, dates(time.Second, 0))
		within(20 * time.Second)
		require.Equal(t, []grant.Cause{grant.CauseSchedule}, p.causes())
		require.Equal(t, grant.RunRunning, p.record().State)
		require.Contains(t, p.Monitor.Holds()[0].Detail, "the ledger's clock says")
		require.Zero(t, w.store.has())

		second := w.start(b.orders, dates(-19*time.Second, 0))
		second.Drain()
		require.ErrorIs(t, second.wait(), ErrDrained)
		require.Zero(t, w.store.has())
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

func TestAFollowedCampaignThatEndsBeforeItsSnapshotIsGrantedIsNoSuccess(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.holds[0] = 40
		p := w.start(func(r *Run) { r.Follow, r.Campaign.EndsAt = true, time.Now().Add(time.Minute) })
		require.ErrorIs(t, p.wait(), grant.ErrEnded)
		require.Equal(t, int64(40), w.store.checkpoint[0])
	})
}
