package sharding

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Where flushing is slow, an idle source waits eight times as long as it takes, but no longer than a busy one.
func TestSlowFlushesAreFewer(t *testing.T) {
	for _, c := range []struct{ took, want time.Duration }{
		{20 * time.Millisecond, 160 * time.Millisecond},
		{time.Second, 5 * time.Second},
	} {
		t.Run(c.took.String(), func(t *testing.T) {
			var began []time.Time
			slow := granting(func([]uint64) error { began = append(began, time.Now()); time.Sleep(c.took); return nil })
			inPool(t, Config{Shards: 1}, slow, func(t *testing.T, _ *Pool, l *Lane) {
				require.NoError(t, l.Add(t.Context(), 0, 0))
				require.NoError(t, l.Mark(t.Context(), 1, true))
				settle()
				at := time.Now()
				require.NoError(t, l.Add(t.Context(), 1, 1))
				require.NoError(t, l.Mark(t.Context(), 2, true))
				settle()
				require.Len(t, began, 2)
				require.Equal(t, c.want, began[1].Sub(at))
			})
		})
	}
}

// What needs no flush moves the position at once.
func TestDuplicatesAndMarksWaitForNothing(t *testing.T) {
	inPool(t, Config{Shards: 2}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
		require.NoError(t, l.Add(t.Context(), 0, 0))
		require.NoError(t, l.Mark(t.Context(), 1, true))
		settle()
		require.NoError(t, l.Add(t.Context(), 1, 0))
		require.NoError(t, l.Mark(t.Context(), 2, false))
		synctest.Wait()
		require.Equal(t, Position{Next: 2, Consumed: 2, Granted: 1, Duplicate: 1}, position(t, p))
		require.NoError(t, l.Mark(t.Context(), 9, false))
		synctest.Wait()
		require.Equal(t, int64(9), position(t, p).Next)
	})
}

// A block that is taken in by pieces is one block that a shard holds, however many they are.
func TestPiecesOfABlockCountOnce(t *testing.T) {
	var members []int
	count := granting(func(ids []uint64) error { members = append(members, len(ids)); return nil })
	count.room = 11
	inPool(t, Config{Shards: 1, Memory: 1, BlockIDs: 100}, count, func(t *testing.T, _ *Pool, l *Lane) {
		for i := range int64(999) { // nine IDs, so the set has room for two more at a time
			require.NoError(t, l.Add(t.Context(), i, uint64(i%9)))
		}
		require.NoError(t, l.Add(t.Context(), 999, 9))
		require.NoError(t, l.Mark(t.Context(), 1000, false))
	})
	require.Equal(t, []int{10}, members)
}

// A block is used again when it was flushed, and at once when it brought no IDs.
func TestBlocksComeBack(t *testing.T) {
	const blocks = 1000
	for name, ids := range map[string]int64{"with IDs": 100, "with marks only": 0} {
		t.Run(name, func(t *testing.T) {
			inPool(t, Config{Shards: 1, BlockIDs: 100, MaxPending: 100}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
				var made atomic.Int64
				fresh := p.blocks.New
				p.blocks.New = func() any { made.Add(1); return fresh() }
				next := int64(0)
				for range blocks {
					for range ids {
						require.NoError(t, l.Add(t.Context(), next, uint64(next)))
						next++
					}
					require.NoError(t, l.Mark(t.Context(), next, false))
					synctest.Wait()
				}
				require.Less(t, made.Load(), int64(blocks/2+1), "the race detector's pool forgets some") // more than one for each Mark otherwise
			})
		})
	}
}

// turnstile is a gate that is open, but makes everybody wait first.
type turnstile struct{ open atomic.Bool }

func (g *turnstile) Admit(most int) int {
	if g.open.Swap(false) {
		return most
	}
	return 0
}
func (g *turnstile) Return(int) {}
func (g *turnstile) Wait(context.Context) error {
	g.open.Store(true)
	return nil
}

// Under a limit, what is granted is even: shards do not gather for seconds.
func TestALimitIsEven(t *testing.T) {
	inPool(t, Config{Shards: 1, Gate: new(turnstile)}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
		require.NoError(t, l.Await(t.Context()))
		require.NoError(t, l.Add(t.Context(), 0, 0))
		require.NoError(t, l.Mark(t.Context(), 1, false))
		time.Sleep(limitedDelay - time.Nanosecond)
		synctest.Wait()
		require.Zero(t, position(t, p).Next)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, int64(1), position(t, p).Next)

		require.NoError(t, l.Add(t.Context(), 1, 1)) // it did not wait for this one
		require.NoError(t, l.Mark(t.Context(), 2, false))
		time.Sleep(limitedDelay)
		synctest.Wait()
		require.Equal(t, int64(1), position(t, p).Next)
	})
}
