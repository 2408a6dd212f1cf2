package grant

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding"
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
		require.Equal(t, []RunState{RunWaiting}, states)
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
		require.Equal(t, []RunState{RunWaiting, RunRunning, RunFinished}, states)
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
				require.Equal(t, []RunState{RunWaiting, RunStopped}, states)
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
		{"at the end", 0, false, ErrEnded, 0},
		{"just after the end", -time.Nanosecond, false, ErrEnded, 0},
		{"long after the end, told to start now", -time.Hour, true, ErrEnded, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
				p := w.start(func(r *Run) { r.Now, r.Campaign.EndsAt = c.now, time.Now().Add(c.end) })
				require.ErrorIs(t, p.wait(), c.want)
				require.Len(t, w.store.users, c.has)
				if c.want != nil {
					record, states := w.store.record(p.Record.Run)
					require.Equal(t, []RunState{RunFailed}, states)
					require.Contains(t, record.Error, "ends_at")
				}
			})
		})
	}
}

func TestWhenTheCampaignEndsInMidRunWhatIsInHandIsGranted(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 40)
		began := time.Now()
		p := w.start(dates(-time.Hour, time.Hour), func(r *Run) { r.Sharding.MaxDelay, r.Sharding.Linger = 9*time.Hour, 9*time.Hour })
		time.Sleep(time.Hour - time.Nanosecond)
		synctest.Wait()
		require.Empty(t, p.done)
		require.ErrorIs(t, p.wait(), ErrEnded)
		require.Equal(t, began.Add(time.Hour), time.Now())
		require.Equal(t, map[int]int64{0: 40}, w.store.at())
		record, states := w.store.record(p.Record.Run)
		require.Equal(t, []RunState{RunRunning, RunFailed}, states)
		require.Contains(t, record.Error, ErrEnded.Error())

		w.topic.release()
		require.ErrorIs(t, w.start(dates(-2*time.Hour, 0), func(r *Run) { r.Campaign.EndsAt = began.Add(time.Hour) }).wait(), ErrEnded)
		require.Len(t, w.store.users, 40)
	})
}

func TestTheEndOfTheCampaignEndsTheWaitForOtherReplicas(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 40)
		began := time.Now()
		a := w.start(dates(-time.Hour, time.Hour))
		b := w.start(dates(-time.Hour, time.Hour))
		require.ErrorIs(t, a.wait(), ErrEnded)
		require.ErrorIs(t, b.wait(), ErrEnded)
		require.Equal(t, began.Add(time.Hour), time.Now())
		require.Equal(t, map[int]int64{0: 40, 1: 100}, w.store.at())
	})
}

// The clock of the timers stands still while a machine is suspended; that of the date does not. So every checkpoint
// looks at the date.
func TestACampaignThatEndedWhileTheMachineWasSuspendedStops(t *testing.T) {
	inWorld(t, newTopic(nil), func(t *testing.T, w *world) {
		p := w.process(dates(-time.Hour, time.Hour))
		ledger := p.Ledger
		require.NoError(t, ledger.EnsureSpec(t.Context(), p.Campaign))
		_, err := ledger.Begin(t.Context())
		require.NoError(t, err)
		gen := &committing{Generation: &generation{ctx: t.Context()}, committed: map[int]int64{}}
		pool := sharding.New(p.Sharding, ledger, nil)

		time.Sleep(time.Hour - time.Nanosecond)
		require.NoError(t, p.checkpoint(t.Context(), gen, pool))
		require.NoError(t, p.draining.Err())
		time.Sleep(time.Nanosecond)
		require.NoError(t, p.checkpoint(t.Context(), gen, pool))
		require.ErrorIs(t, context.Cause(p.draining), ErrEnded)
	})
}
