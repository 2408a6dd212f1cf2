package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func (p *process) remaining() float64 {
	p.world.t.Helper()
	values := p.series("granter_remaining_records")
	require.Len(p.world.t, values, 1)
	return values[""]
}

// A lane that waits at a closed gate hands nothing over, so it says nothing of the end.
func TestLagAndEndAreKnownFromTheAssignmentOn(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(300, 1000, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionPause})
		p := w.start(b.orders, func(r *Run) { r.Peek = nil })
		synctest.Wait()
		require.Equal(t, map[string]float64{"0": 0, "1": 0}, p.series("granter_partition_position_offset"))
		require.Equal(t, map[string]float64{"0": 100, "1": 300}, p.series("granter_partition_end_offset"))
		require.Equal(t, map[string]float64{"0": 100, "1": 300}, p.series("granter_partition_lag_records"))
		require.Equal(t, map[string]float64{"0": 0, "1": 0}, p.series("granter_partition_checkpoint_offset"))
		require.InDelta(t, 400, p.remaining(), 0)
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		require.Zero(t, p.remaining())
	})
}

// What arrives while nobody may be granted anything waits, too.
func TestTheEndIsFreshWhileTheGateIsClosed(t *testing.T) {
	for _, limit := range []grant.Order{{Action: grant.ActionPause}, {Action: grant.ActionThrottle, Throttle: 1}} {
		inWorld(t, newTopic(ids(100_000, 0, 1)), func(t *testing.T, w *world) {
			w.topic.batch = 50_000 // a fetch takes half a day under the limit
			b := newBoard()
			b.order(t, limit)
			p := w.start(follow, b.orders)
			time.Sleep(10 * time.Minute)
			w.topic.add(0, ids(900, 1_000_000, 1)...)
			time.Sleep(surveyEvery)
			synctest.Wait()
			require.InDelta(t, 100_900, p.series("granter_partition_end_offset")["0"], 0)
			granted := float64(w.store.has())
			require.InDelta(t, 100_900-granted, p.series("granter_partition_lag_records")["0"], 2)
			require.InDelta(t, 100_900-granted, p.remaining(), 2)
			s := p.Monitor.Snapshot()
			require.EqualValues(t, 100_900, s.Work)
			p.Drain()
			require.ErrorIs(t, p.wait(), ErrDrained)
		})
	}
}

// A replica that does not answer keeps its partitions until its session times out; and before the start nobody has any.
func TestWhatNobodyReadsIsCounted(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(300, 1000, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(b.orders, dates(time.Minute, 0))
		require.InDelta(t, 400, p.remaining(), 0, "before the start")
		require.Equal(t, map[string]float64{"0": 100, "1": 300}, p.series("granter_partition_lag_records"))
		require.Zero(t, testutil.ToFloat64(p.metrics().Started))

		w.topic.hold(0, 10)
		w.topic.hold(1, 10)
		time.Sleep(2 * time.Minute)
		dead, err := w.topic.Join()
		require.NoError(t, err)
		held, err := dead.Next(t.Context())
		require.NoError(t, err)
		w.topic.release()
		w.settle()
		mine, its := "1", "0"
		if _, ok := p.series("granter_partition_position_offset")["0"]; ok {
			mine, its = "0", "1"
		}
		lag := p.series("granter_partition_lag_records")
		require.Zero(t, lag[mine])
		require.Positive(t, lag[its])
		require.InDelta(t, lag[its], p.remaining(), 0)
		require.InDelta(t, 1, testutil.ToFloat64(p.metrics().Started), 0)
		held.Release()
		require.NoError(t, dead.Leave())
		require.NoError(t, p.wait())
		require.Zero(t, p.remaining())
	})
}

// A run without Follow is done at the end that the topic had at its start, whatever comes afterwards.
func TestWhatARunDoesNotReadIsNotLeft(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 60)
		p := w.start(newBoard().orders)
		w.topic.add(0, ids(900, 1000, 1)...)
		w.settle()
		require.InDelta(t, 40, p.remaining(), 0)
		require.InDelta(t, 940, p.series("granter_partition_lag_records")["0"], 0)
		w.topic.release()
		require.NoError(t, p.wait())
		require.Zero(t, p.remaining())
	})
}

// A canary's checkpoint is its own: the campaign has not begun by it.
func TestACanaryDoesNotBeginTheCampaign(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(newBoard().orders, func(r *Run) { r.Pass.Private = true })
		require.NoError(t, p.wait())
		p.survey.ask(t.Context())
		require.Zero(t, testutil.ToFloat64(p.metrics().Started))
	})
}
