package sharding_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/granter/granter/sharding"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a sink that keeps grants in memory and checks what shards promise it.
type memory struct {
	mu      sync.Mutex
	chunks  map[uint64]*sharding.Bitmap
	owner   map[uint64]int
	seq     map[int]uint64
	flushes int
	ranges  []sharding.Range
	fail    error
	block   chan struct{}
}

func newMemory() *memory {
	return &memory{chunks: map[uint64]*sharding.Bitmap{}, owner: map[uint64]int{}, seq: map[int]uint64{}}
}

func (m *memory) Grant(ctx context.Context, f *sharding.Flush) error {
	if m.block != nil {
		select {
		case <-m.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if f.Seq != m.seq[f.Shard]+1 {
		return fmt.Errorf("shard %d: flush %d after %d", f.Shard, f.Seq, m.seq[f.Shard])
	}
	m.seq[f.Shard] = f.Seq
	m.flushes++
	m.ranges = append(m.ranges, f.Ranges...)
	for i := range f.Deltas {
		d := &f.Deltas[i]
		if owner, ok := m.owner[d.Chunk]; ok && owner != f.Shard {
			return fmt.Errorf("chunk %d in shards %d and %d", d.Chunk, owner, f.Shard)
		}
		m.owner[d.Chunk] = f.Shard
		if d.Count == 0 || d.Members.Count() != d.Count {
			return fmt.Errorf("chunk %d: %d members, Count %d", d.Chunk, d.Members.Count(), d.Count)
		}
		c := m.chunks[d.Chunk]
		if c == nil {
			c = new(sharding.Bitmap)
			m.chunks[d.Chunk] = c
		}
		d.Duplicates = d.Members.Subtract(c)
		c.Or(d.Members)
		if d.Duplicates != nil {
			whole := *c
			d.Granted = &whole
		}
		d.Count = d.Members.Count()
	}
	return nil
}

func (m *memory) ids() map[uint64]bool {
	out := map[uint64]bool{}
	for chunk, b := range m.chunks {
		for _, low := range b.Lows(nil) {
			out[sharding.Join(chunk, low)] = true
		}
	}
	return out
}

func TestEveryIDOfEveryLaneIsGrantedAndAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]uint64{10, 70_000, 1 << 20, 1 << 40, 1<<63 - 1}).Draw(t, "space")
		lanes := rapid.SliceOfN(rapid.SliceOfN(rapid.Uint64Range(0, space), 0, 400), 1, 4).Draw(t, "lanes")
		known := rapid.SliceOfN(rapid.Uint64Range(0, space), 0, 200).Draw(t, "granted before")
		every := rapid.IntRange(1, 100).Draw(t, "mark every")
		cfg := sharding.Config{
			Shards:         rapid.IntRange(1, 5).Draw(t, "shards"),
			BlockIDs:       rapid.IntRange(1, 20).Draw(t, "block"),
			QueueBlocks:    rapid.IntRange(1, 3).Draw(t, "queue"),
			TargetPerChunk: rapid.IntRange(1, 50).Draw(t, "target"),
			MaxChunks:      rapid.IntRange(1, 20).Draw(t, "chunks"),
		}
		sink := newMemory()
		want := map[uint64]bool{}
		for _, id := range known {
			chunk, low := sharding.Split(id)
			if sink.chunks[chunk] == nil {
				sink.chunks[chunk] = new(sharding.Bitmap)
			}
			sink.chunks[chunk].Set(low)
			want[id] = true
		}
		before := len(want)
		starts := map[int]int64{}
		for i := range lanes {
			starts[i] = int64(1000 * i)
		}
		pool := sharding.New(cfg, sink, starts)
		run(t, pool, func(ctx context.Context, g *errgroup.Group) {
			for i, ids := range lanes {
				g.Go(func() error { return feed(ctx, pool.Lane(i), starts[i], ids, every) })
			}
		})
		total := 0
		for _, ids := range lanes {
			total += len(ids)
			for _, id := range ids {
				want[id] = true
			}
		}
		require.Equal(t, want, sink.ids())
		positions, err := pool.Positions()
		require.NoError(t, err)
		var granted, duplicate int64
		for _, p := range positions {
			n := int64(len(lanes[p.Partition]))
			require.Equal(t, starts[p.Partition]+n, p.Next)
			require.Equal(t, n, p.Granted+p.Duplicate)
			require.Equal(t, n+(n+4)/5, p.Consumed, "every fifth record is followed by a rejected one")
			granted += p.Granted
			duplicate += p.Duplicate
		}
		require.Equal(t, int64(len(want)-before), granted)
		require.Equal(t, int64(total-(len(want)-before)), duplicate)
	})
}

// feed adds IDs at consecutive offsets, with a rejected record beside every fifth.
func feed(ctx context.Context, l *sharding.Lane, offset int64, ids []uint64, every int) error {
	for i, id := range ids {
		if i%5 == 0 {
			l.Reject()
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

func run(t require.TestingT, pool *sharding.Pool, start func(context.Context, *errgroup.Group)) {
	shards, ctx := errgroup.WithContext(context.Background())
	shards.Go(func() error { return pool.Run(ctx) })
	lanes, lctx := errgroup.WithContext(ctx)
	start(lctx, lanes)
	lanesErr := lanes.Wait()
	pool.Close()
	require.NoError(t, errors.Join(lanesErr, shards.Wait()))
}

func TestPositionNeverPassesWhatTheSinkHasNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newMemory()
		sink.block = make(chan struct{})
		pool := sharding.New(sharding.Config{Shards: 2}, sink, map[int]int64{7: 100})
		run(t, pool, func(ctx context.Context, g *errgroup.Group) {
			g.Go(func() error {
				l := pool.Lane(7)
				require.NoError(t, l.Add(ctx, 100, 1))
				require.NoError(t, l.Add(ctx, 101, 1<<16))
				require.NoError(t, l.Mark(ctx, 102, true))
				time.Sleep(time.Minute) // of fake time: both shards are waiting for the sink
				require.Equal(t, int64(100), next(t, pool))
				sink.block <- struct{}{} // one shard of two
				time.Sleep(time.Minute)
				require.Equal(t, int64(100), next(t, pool))
				close(sink.block)
				time.Sleep(time.Minute)
				require.Equal(t, int64(102), next(t, pool))
				return nil
			})
		})
	})
}

func next(t *testing.T, pool *sharding.Pool) int64 {
	positions, err := pool.Positions()
	require.NoError(t, err)
	require.Len(t, positions, 1)
	return positions[0].Next
}

func TestAnIdleSourceIsFlushedAtOnceAndABusyOneByTheDeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		idle bool
		want time.Duration
	}{{"idle", true, 5 * time.Millisecond}, {"busy", false, 500 * time.Millisecond}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := newMemory()
				pool := sharding.New(sharding.Config{Shards: 1}, sink, map[int]int64{0: 0})
				run(t, pool, func(ctx context.Context, g *errgroup.Group) {
					g.Go(func() error {
						l := pool.Lane(0)
						require.NoError(t, l.Add(ctx, 0, 42))
						require.NoError(t, l.Mark(ctx, 1, c.idle))
						time.Sleep(c.want - time.Nanosecond)
						synctest.Wait()
						require.Equal(t, int64(0), next(t, pool))
						time.Sleep(time.Nanosecond)
						synctest.Wait()
						require.Equal(t, int64(1), next(t, pool))
						return nil
					})
				})
			})
		})
	}
}

func TestAFailingSinkStopsThePool(t *testing.T) {
	sink := newMemory()
	sink.fail = errors.New("disk on fire")
	pool := sharding.New(sharding.Config{Shards: 2, BlockIDs: 1, QueueBlocks: 1, TargetPerChunk: 1, MaxPending: 1}, sink, map[int]int64{0: 0})
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error { return pool.Run(ctx) })
	g.Go(func() error {
		l := pool.Lane(0)
		for i := int64(0); ; i++ {
			if err := l.Add(ctx, i, uint64(i)<<15); err != nil {
				return err
			}
		}
	})
	require.ErrorIs(t, g.Wait(), sink.fail)
	positions, err := pool.Positions()
	require.NoError(t, err)
	require.Zero(t, positions[0].Next)
}

func TestFlushesReportWhereTheirIDsCameFrom(t *testing.T) {
	sink := newMemory()
	pool := sharding.New(sharding.Config{Shards: 1}, sink, map[int]int64{3: 10, 4: 0})
	run(t, pool, func(ctx context.Context, g *errgroup.Group) {
		g.Go(func() error { return feed(ctx, pool.Lane(3), 10, []uint64{1, 2, 3}, 2) })
	})
	require.Equal(t, []sharding.Range{{Partition: 3, First: 10, Last: 12}}, sink.ranges)
}

type discard struct{}

func (discard) Grant(context.Context, *sharding.Flush) error { return nil }

// BenchmarkPool measures what a user costs from lane to sink: ns/op is for one ID, of 48 million shuffled ones.
func BenchmarkPool(b *testing.B) {
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			starts := map[int]int64{}
			for i := range lanes {
				starts[i] = 0
			}
			pool := sharding.New(sharding.Config{Shards: 4}, discard{}, starts)
			b.ReportAllocs()
			b.ResetTimer()
			run(b, pool, func(ctx context.Context, g *errgroup.Group) {
				for i := range lanes {
					g.Go(func() error {
						l := pool.Lane(i)
						for j := range uint64(b.N / lanes) {
							id := (j*uint64(lanes) + uint64(i)) * 2654435761 % 48_000_000
							if err := l.Add(ctx, int64(j), id); err != nil {
								return err
							}
							if j&0xffff == 0xffff {
								if err := l.Mark(ctx, int64(j)+1, false); err != nil {
									return err
								}
							}
						}
						return l.Mark(ctx, int64(b.N), true)
					})
				}
			})
		})
	}
}
