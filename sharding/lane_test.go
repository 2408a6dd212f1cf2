package sharding

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// What was granted before is a duplicate of the lane that brought it again, even if a block before it was taken in by
// pieces and had it in the first one.
func TestDuplicatesAreCountedToTheLaneThatBroughtThem(t *testing.T) {
	granted := map[uint64]bool{}
	like := listed{room: 2, grant: func(_ context.Context, _ []Range, ids []uint64) (map[uint64]bool, error) {
		before := map[uint64]bool{}
		for _, id := range ids {
			before[id] = granted[id]
			granted[id] = true
		}
		return before, nil
	}}
	pool := New(Config{Shards: 1}, 0, setsLike(like), map[int]int64{0: 0, 1: 0})
	run(t, pool, func(ctx context.Context, _ *errgroup.Group) {
		for partition, ids := range [][]uint64{{1, 2, 3}, {1}} {
			require.NoError(t, feedOnly(ctx, pool.Lane(partition), ids))
		}
	})
	positions, err := pool.Positions()
	require.NoError(t, err)
	for _, p := range positions {
		want := []Position{
			{Partition: 0, Next: 3, Consumed: 3, Granted: 3},
			{Partition: 1, Next: 1, Consumed: 1, Duplicate: 1},
		}[p.Partition]
		require.Equal(t, want, p)
	}
}

// Who is not of this run is withheld, and counted.
func TestWhoIsNotIncludedIsWithheld(t *testing.T) {
	cfg := Config{Shards: 1, Includes: func(id uint64) bool { return id%3 == 0 }}
	var granted []uint64
	inPool(t, cfg, granting(func(ids []uint64) error { granted = append(granted, ids...); return nil }), func(t *testing.T, p *Pool, l *Lane) {
		for i := range int64(6) {
			if l.Withheld(uint64(i)) {
				l.Withhold()
				continue
			}
			require.NoError(t, l.Add(t.Context(), i, uint64(i)))
		}
		require.NoError(t, l.Mark(t.Context(), 6, true))
		settle()
		require.Equal(t, Position{Next: 6, Consumed: 6, Granted: 2, Withheld: 4}, position(t, p))
	})
	require.ElementsMatch(t, []uint64{0, 3}, granted)
}

// door is a gate that is closed until somebody opens it.
type door struct{ open chan struct{} }

func (g *door) Admit(most int) int {
	select {
	case <-g.open:
		return most
	default:
		return 0
	}
}

func (g *door) Return(int) {}

func (g *door) Wait(ctx context.Context) error {
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestALaneWaitsAtAClosedGateAndIsSeenTo(t *testing.T) {
	gate := &door{}
	inPool(t, Config{Shards: 1, Gate: gate}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
		gate.open = make(chan struct{}) // of the bubble
		require.False(t, l.Admitted())
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan error)
		wait := func() { returned <- l.Await(ctx) }
		go wait()
		synctest.Wait()
		require.True(t, position(t, p).Held)
		cancel()
		require.ErrorIs(t, <-returned, context.Canceled)
		require.False(t, position(t, p).Held)
		ctx = t.Context()
		go wait()
		synctest.Wait()
		require.True(t, position(t, p).Held)
		close(gate.open)
		require.NoError(t, <-returned)
		require.False(t, position(t, p).Held)
		require.True(t, l.Admitted())
	})
}

func TestAPoolKnowsItsLanesAndQueues(t *testing.T) {
	pool := New(Config{Shards: 3}, 0, setsLike(granting(ignore)), map[int]int64{4: 40})
	require.Nil(t, pool.Lane(0))
	l := pool.Lane(4)
	require.NoError(t, l.Mark(t.Context(), 50, false))
	require.Equal(t, []int{1, 1, 1, 1}, pool.QueueDepths(), "shards are a power of two")
	require.Equal(t, int64(40), position(t, pool).Next, "nobody has taken the mark")
}
