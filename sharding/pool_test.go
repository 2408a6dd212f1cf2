package sharding

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// world is what lanes feed, and what was granted of it. It checks what shards promise with every flush.
type world struct {
	lanes [][]uint64 // the ID at each offset, from the start of the lane on
	start int64      // of lane i: i times this
	pool  *Pool

	mu      sync.Mutex
	granted map[uint64]bool
	owner   map[uint64]int // the shard of each group
}

func (w *world) grant(shard int, from []Range, ids []uint64) (map[uint64]bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	came := map[uint64]bool{}
	for i, r := range from {
		if slices.ContainsFunc(from[:i], func(o Range) bool { return o.Partition == r.Partition }) {
			return nil, fmt.Errorf("two ranges for partition %d: %v", r.Partition, from)
		}
		first := w.start * int64(r.Partition)
		for _, id := range w.lanes[r.Partition][r.First-first : r.Last-first+1] {
			came[id] = true
		}
	}
	before := map[uint64]bool{}
	for _, id := range ids {
		if !came[id] {
			return nil, fmt.Errorf("ID %d does not come from %v", id, from)
		}
		if owner, ok := w.owner[id>>groupBits]; ok && owner != shard {
			return nil, fmt.Errorf("group %d in shards %d and %d", id>>groupBits, owner, shard)
		}
		w.owner[id>>groupBits] = shard
		if w.granted[id] {
			before[id] = true
		}
	}
	err := w.check() // before this flush is acknowledged
	for _, id := range ids {
		w.granted[id] = true
	}
	return before, err
}

// check fails if a position passes somebody who is not granted. The lock is held.
func (w *world) check() error {
	positions, err := w.pool.Positions()
	if err != nil {
		return err
	}
	for _, p := range positions {
		first := w.start * int64(p.Partition)
		for i, id := range w.lanes[p.Partition][:p.Next-first] {
			if !w.granted[id] {
				return fmt.Errorf("position %d of partition %d, but ID %d at %d is not granted", p.Next, p.Partition, id, first+int64(i))
			}
		}
	}
	return nil
}

const groupBits = 3

func TestEveryIDOfEveryLaneIsGrantedAndAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]uint64{10, 1000, 1<<64 - 1}).Draw(t, "space")
		lanes := rapid.SliceOfN(rapid.SliceOfN(rapid.Uint64Range(0, space), 0, 400), 1, 4).Draw(t, "lanes")
		known := rapid.SliceOfN(rapid.Uint64Range(0, space), 0, 200).Draw(t, "granted before")
		every := rapid.IntRange(1, 100).Draw(t, "mark every")
		cfg := Config{
			Shards:      rapid.IntRange(1, 5).Draw(t, "shards"),
			BlockIDs:    rapid.IntRange(1, 20).Draw(t, "block"),
			QueueBlocks: rapid.IntRange(1, 3).Draw(t, "queue"),
			MaxPending:  rapid.IntRange(1, 100).Draw(t, "pending"),
			Memory:      rapid.IntRange(1, 1<<16).Draw(t, "memory"),
		}
		like := listed{room: rapid.IntRange(1, 40).Draw(t, "room"), target: rapid.IntRange(1, 50).Draw(t, "target")}
		w := &world{lanes: lanes, start: 1000, granted: map[uint64]bool{}, owner: map[uint64]int{}}
		want := map[uint64]bool{}
		for _, id := range known {
			want[id], w.granted[id] = true, true
		}
		before := len(want)
		starts := map[int]int64{}
		for i := range lanes {
			starts[i] = w.start * int64(i)
		}
		w.pool = New(cfg, groupBits, func(shard int, cfg Config) Set {
			of := like
			of.grant = func(_ context.Context, from []Range, ids []uint64) (map[uint64]bool, error) {
				return w.grant(shard, from, ids)
			}
			return setsLike(of)(shard, cfg)
		}, starts)
		run(t, w.pool, func(ctx context.Context, g *errgroup.Group) {
			for i, ids := range lanes {
				g.Go(func() error { return feed(ctx, w.pool.Lane(i), starts[i], ids, every) })
			}
		})
		total := 0
		for _, ids := range lanes {
			total += len(ids)
			for _, id := range ids {
				want[id] = true
			}
		}
		require.True(t, maps.Equal(want, w.granted))
		require.NoError(t, w.check())
		positions, err := w.pool.Positions()
		require.NoError(t, err)
		var granted, duplicate int64
		for _, p := range positions {
			n := int64(len(lanes[p.Partition]))
			require.Equal(t, starts[p.Partition]+n, p.Next)
			require.Equal(t, n, p.Granted+p.Duplicate)
			require.Equal(t, (n+4)/5, p.Rejected)
			require.Equal(t, (n+6)/7, p.Withheld)
			require.Equal(t, n+p.Rejected+p.Withheld, p.Consumed)
			granted += p.Granted
			duplicate += p.Duplicate
		}
		require.Equal(t, int64(len(want)-before), granted)
		require.Equal(t, int64(total-(len(want)-before)), duplicate)
	})
}

// feed adds IDs at consecutive offsets, with a rejected record beside every fifth, and one that is withheld beside every
// seventh.
func feed(ctx context.Context, l *Lane, offset int64, ids []uint64, every int) error {
	for i, id := range ids {
		if i%5 == 0 {
			l.Reject()
		}
		if i%7 == 0 {
			l.Withhold()
		}
		if err := l.Add(ctx, offset, id); err != nil {
			return err
		}
		offset++
		if (i+1)%every == 0 {
			if err := l.Mark(ctx, offset, i%2 == 0); err != nil {
				return err
			}
		}
	}
	return l.Mark(ctx, offset, true)
}

func TestPositionNeverPassesWhatIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acknowledge := make(chan struct{})
		pool := New(Config{Shards: 2}, 0, setsLike(granting(func([]uint64) error { <-acknowledge; return nil })), map[int]int64{7: 100})
		run(t, pool, func(ctx context.Context, g *errgroup.Group) {
			g.Go(func() error {
				l := pool.Lane(7)
				require.NoError(t, l.Add(ctx, 100, 0))
				require.NoError(t, l.Add(ctx, 101, 1))
				require.NoError(t, l.Mark(ctx, 102, true))
				settle() // both shards wait
				require.Equal(t, int64(100), position(t, pool).Next)
				acknowledge <- struct{}{} // one shard of two
				settle()
				require.Equal(t, int64(100), position(t, pool).Next)
				close(acknowledge)
				settle()
				require.Equal(t, int64(102), position(t, pool).Next)
				return nil
			})
		})
	})
}

func TestAnIdleSourceIsFlushedAtOnceAndABusyOneByTheDeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		idle bool
		want time.Duration
	}{{"idle", true, 5 * time.Millisecond}, {"busy", false, 5 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			inPool(t, Config{Shards: 1}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
				for i := range int64(3) { // each has a deadline of its own
					require.NoError(t, l.Add(t.Context(), i, uint64(i)))
					require.NoError(t, l.Mark(t.Context(), i+1, c.idle))
					time.Sleep(c.want - time.Nanosecond)
					synctest.Wait()
					require.Equal(t, i, position(t, p).Next)
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					require.Equal(t, i+1, position(t, p).Next)
				}
			})
		})
	}
}

// What waits longest decides: what comes after it does not put its flush off.
func TestADeadlineIsNotPutOff(t *testing.T) {
	inPool(t, Config{Shards: 1}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
		for i := range int64(5) { // until the moment at which the first one has waited for five seconds
			require.NoError(t, l.Add(t.Context(), i, uint64(i)))
			require.NoError(t, l.Mark(t.Context(), i+1, false))
			synctest.Wait()
			require.Zero(t, position(t, p).Next)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		require.Equal(t, int64(5), position(t, p).Next)
	})
}

func TestAFailingFlushStopsThePool(t *testing.T) {
	failed := errors.New("disk on fire")
	pool := New(Config{Shards: 2, BlockIDs: 1, QueueBlocks: 1, MaxPending: 1}, 0,
		setsLike(granting(func([]uint64) error { return failed })), map[int]int64{0: 0})
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error { return pool.Run(ctx) })
	g.Go(func() error {
		l := pool.Lane(0)
		for i := range int64(10_000) {
			if err := l.Add(ctx, i, uint64(i)); err != nil {
				return err
			}
		}
		return errors.New("it goes on")
	})
	require.ErrorIs(t, g.Wait(), failed)
	require.Zero(t, position(t, pool).Next)
}

// Whatever IDs arrive, a shard holds a bounded number of unflushed IDs, and of blocks.
func TestMemoryStaysBoundedWhateverIDsArrive(t *testing.T) {
	t.Run("IDs", func(t *testing.T) {
		const maxPending, blockIDs = 1000, 100
		var members []int
		count := granting(func(ids []uint64) error { members = append(members, len(ids)); return nil })
		inPool(t, Config{Shards: 1, MaxPending: maxPending, BlockIDs: blockIDs}, count, func(t *testing.T, _ *Pool, l *Lane) {
			for i := range int64(5000) {
				require.NoError(t, l.Add(t.Context(), i, uint64(i)))
			}
			require.NoError(t, l.Mark(t.Context(), 5000, false))
		})
		require.Equal(t, []int{maxPending, maxPending, maxPending, maxPending, maxPending}, members)
	})
	t.Run("blocks", func(t *testing.T) {
		const blockIDs, blocks = 64, 200
		const memory = 80 * blockIDs * 8
		var members []int
		count := granting(func(ids []uint64) error { members = append(members, len(ids)); return nil })
		inPool(t, Config{Shards: 1, Memory: memory, BlockIDs: blockIDs}, count, func(t *testing.T, _ *Pool, l *Lane) {
			for i := range int64(blocks * blockIDs) { // a block is one new ID and duplicates
				id := uint64(0)
				if i%blockIDs == 0 {
					id = uint64(i)
				}
				require.NoError(t, l.Add(t.Context(), i, id))
			}
			require.NoError(t, l.Mark(t.Context(), blocks*blockIDs, false))
		})
		// A known ID takes 8 bytes, so the set leaves room for a block less at each flush; 64 blocks there always are.
		require.Equal(t, []int{79, 78, 43}, members)
	})
}

// Whoever is stopped marks how far it came, as long as somebody is there to take it.
func TestAStoppedLaneStillMarksHowFarItCame(t *testing.T) {
	stopped, stop := context.WithCancel(context.Background())
	stop()
	inPool(t, Config{Shards: 64}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
		for i := range int64(64) {
			require.NoError(t, l.Add(t.Context(), i, uint64(i)))
		}
		require.NoError(t, l.Mark(stopped, 64, true)) // 64 sends, each of which could give up
		settle()
		require.Equal(t, Position{Next: 64, Consumed: 64, Granted: 64}, position(t, p))
	})
	ended := New(Config{Shards: 2, QueueBlocks: 1}, 0, setsLike(granting(ignore)), map[int]int64{0: 0})
	require.ErrorIs(t, ended.Run(stopped), context.Canceled)
	var err error
	for range 3 { // a queue takes one block that nobody takes out
		err = cmp.Or(err, ended.Lane(0).Mark(stopped, 0, true))
	}
	require.ErrorIs(t, err, context.Canceled)
}
