package sharding

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// sinkFunc is a Sink.
type sinkFunc func(f *Flush) error

func (s sinkFunc) Grant(_ context.Context, f *Flush) error { return s(f) }

// count is a sink that adds up how many members it is handed.
func count(members *[]int) sinkFunc {
	return func(f *Flush) error {
		n := 0
		for i := range f.Deltas {
			n += f.Deltas[i].Count
		}
		*members = append(*members, n)
		return nil
	}
}

// inPool runs a pool with a lane for partition 0 inside a bubble: nothing is flushed by a deadline unless the test waits.
// Fields of the pool may be read, and broken, after synctest.Wait.
func inPool(t *testing.T, cfg Config, sink Sink, test func(t *testing.T, p *Pool, l *Lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := New(cfg, sink, map[int]int64{0: 0})
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		test(t, p, p.Lane(0))
		p.Close()
		require.NoError(t, <-ended)
	})
}

// settle waits until everything that was marked is flushed.
func settle() {
	time.Sleep(time.Minute) // of the bubble's time
	synctest.Wait()
}

func position(t *testing.T, p *Pool) Position {
	t.Helper()
	positions, err := p.Positions()
	require.NoError(t, err)
	require.Len(t, positions, 1)
	return positions[0]
}

// Whatever loses or invents an ID between a lane and its shards is noticed before a checkpoint hides it.
func TestBrokenBooksAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name string
		ruin func(s *shard)
	}{
		{"an ID was lost", func(s *shard) { s.current[0].granted-- }},
		{"an ID was invented", func(s *shard) { s.current[0].duplicate++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inPool(t, Config{Shards: 2}, sinkFunc(func(*Flush) error { return nil }), func(t *testing.T, p *Pool, l *Lane) {
				require.NoError(t, l.Add(t.Context(), 0, 1))
				require.NoError(t, l.Mark(t.Context(), 1, true))
				settle()
				require.Equal(t, int64(1), position(t, p).Next)
				c.ruin(p.shards[0])
				require.NoError(t, l.Mark(t.Context(), 1, true)) // the shard publishes its books
				settle()
				_, err := p.Positions()
				require.ErrorIs(t, err, ErrUnbalanced)
			})
		})
	}
}

// A lane that lost an ID before it was sent says so, and no position passes it.
func TestALaneWithBrokenBooksStopsItsPosition(t *testing.T) {
	inPool(t, Config{Shards: 2}, sinkFunc(func(*Flush) error { return nil }), func(t *testing.T, p *Pool, l *Lane) {
		require.NoError(t, l.Add(t.Context(), 0, 1))
		require.NoError(t, l.Mark(t.Context(), 1, true))
		settle()
		require.NoError(t, l.Add(t.Context(), 1, 2))
		l.open[0].ids = l.open[0].ids[:0]
		require.ErrorIs(t, l.Mark(t.Context(), 2, true), ErrUnbalanced)
		settle()
		require.Equal(t, int64(1), position(t, p).Next)
	})
}

// A block that brings more chunks than the table has room for is taken in by pieces. Nobody may get hold of its memory
// before the last one, and between two pieces the books hold.
func TestABlockThatIsTakenInByPiecesIsGrantedWhole(t *testing.T) {
	const maxChunks, ids = 8, 3000
	granted := map[uint64]bool{}
	var p *Pool
	flushes := 0
	sink := sinkFunc(func(f *Flush) error {
		flushes++
		for i := range f.Deltas {
			for _, low := range f.Deltas[i].Members.Lows(nil) {
				granted[Join(f.Deltas[i].Chunk, low)] = true
			}
		}
		for range 4 { // as lanes do that are ahead
			b := p.blocks.Get().(*block)
			clear(b.ids[:cap(b.ids)])
		}
		_, err := p.Positions()
		return err
	})
	want := map[uint64]bool{}
	rnd := rand.New(rand.NewPCG(1, 2))
	inPool(t, Config{Shards: 1, MaxChunks: maxChunks}, sink, func(t *testing.T, pool *Pool, l *Lane) {
		p = pool
		for i := range int64(ids) { // one block
			id := rnd.Uint64() >> 1
			want[id] = true
			require.NoError(t, l.Add(t.Context(), i, id))
		}
		require.NoError(t, l.Mark(t.Context(), ids, true))
		settle()
		require.Equal(t, Position{Next: ids, Consumed: ids, Granted: ids}, position(t, p))
	})
	require.Equal(t, want, granted)
	require.Greater(t, flushes, ids/(maxChunks+minSegment))
}

// Whatever IDs arrive, a shard holds a bounded number of bitmaps, of unflushed IDs, and of blocks.
func TestMemoryStaysBoundedWhateverIDsArrive(t *testing.T) {
	t.Run("bitmaps", func(t *testing.T) {
		const maxChunks = 8
		var p *Pool
		most, flushes := 0, 0
		sink := sinkFunc(func(*Flush) error {
			s := p.shards[0]
			most = max(most, len(s.inUse)+len(s.free), len(s.hashed))
			flushes++
			return nil
		})
		rnd := rand.New(rand.NewPCG(3, 4))
		inPool(t, Config{Shards: 1, MaxChunks: maxChunks}, sink, func(t *testing.T, pool *Pool, l *Lane) {
			p = pool
			for i := range int64(20_000) {
				require.NoError(t, l.Add(t.Context(), i, rnd.Uint64()>>1))
			}
			require.NoError(t, l.Mark(t.Context(), 20_000, true))
		})
		require.Greater(t, flushes, 50)
		require.LessOrEqual(t, most, maxChunks+minSegment)
	})
	t.Run("IDs", func(t *testing.T) {
		const maxPending, blockIDs = 1000, 100
		var members []int
		inPool(t, Config{Shards: 1, MaxPending: maxPending, BlockIDs: blockIDs}, count(&members), func(t *testing.T, _ *Pool, l *Lane) {
			for i := range int64(5000) { // few in each of many chunks: far from the target
				require.NoError(t, l.Add(t.Context(), i, Join(uint64(i%64), uint16(i/64))))
			}
			require.NoError(t, l.Mark(t.Context(), 5000, false))
		})
		require.Equal(t, []int{maxPending, maxPending, maxPending, maxPending, maxPending}, members)
	})
	t.Run("blocks", func(t *testing.T) {
		const blockIDs, blocks = 64, 200
		var members []int
		inPool(t, Config{Shards: 1, MaxPending: 1 << 10, BlockIDs: blockIDs}, count(&members), func(t *testing.T, p *Pool, l *Lane) {
			for i := range int64(blocks * blockIDs) { // a block is one new ID and duplicates
				id := uint64(0)
				if i%blockIDs == 0 {
					id = uint64(i)
				}
				require.NoError(t, l.Add(t.Context(), i, id))
			}
			require.NoError(t, l.Mark(t.Context(), blocks*blockIDs, false))
			require.Equal(t, 64, p.shards[0].maxHeld)
		})
		require.Equal(t, []int{64, 64, 64, 8}, members)
	})
}

// What the sink says about a chunk is remembered: after a restart a topic that is granted already costs one call for
// each chunk, and not one for each flush.
func TestWhatTheSinkKnowsIsNotAskedAgain(t *testing.T) {
	var known Bitmap
	for low := range uint16(1000) {
		known.Set(low)
	}
	members := 0
	sink := sinkFunc(func(f *Flush) error {
		for i := range f.Deltas {
			d := &f.Deltas[i]
			members += d.Count
			d.Duplicates = d.Members.Subtract(&known)
			whole := known
			whole.Or(d.Members)
			d.Granted, d.Count = &whole, d.Members.Count()
		}
		return nil
	})
	inPool(t, Config{Shards: 1}, sink, func(t *testing.T, p *Pool, l *Lane) {
		require.NoError(t, l.Add(t.Context(), 0, 500))
		require.NoError(t, l.Mark(t.Context(), 1, true))
		settle()
		for i := range int64(1000) {
			require.NoError(t, l.Add(t.Context(), 1+i, uint64(i)))
		}
		require.NoError(t, l.Mark(t.Context(), 1001, true))
		settle()
		require.Equal(t, Position{Next: 1001, Consumed: 1001, Duplicate: 1001}, position(t, p))
	})
	require.Equal(t, 1, members)
}

// stock is a gate that is always open and counts.
type stock struct{ out atomic.Int64 }

func (g *stock) Admit(most int) int         { g.out.Add(int64(most)); return most }
func (g *stock) Return(unused int)          { g.out.Add(-int64(unused)) }
func (g *stock) Wait(context.Context) error { return nil }

// A limit is one of grants: what was admitted and not granted comes back, each of it once. What a lane was admitted and
// did not use comes back with its mark, for the lane may have nothing to do for hours.
func TestWhatWasAdmittedAndNotGrantedComesBackOnce(t *testing.T) {
	gate := &stock{}
	inPool(t, Config{Shards: 1, BlockIDs: 100, Gate: gate}, sinkFunc(func(*Flush) error { return nil }), func(t *testing.T, _ *Pool, l *Lane) {
		next := int64(0)
		add := func(ids ...uint64) {
			for _, id := range ids {
				require.NoError(t, l.Await(t.Context()))
				require.NoError(t, l.Add(t.Context(), next, id))
				next++
			}
			require.NoError(t, l.Mark(t.Context(), next, true))
			settle()
		}
		add(1, 2, 3)
		require.Equal(t, 3, int(gate.out.Load()))
		add(1, 2, 4)
		require.Equal(t, 4, int(gate.out.Load()))
		add(5)
		add(6)
		require.Equal(t, 6, int(gate.out.Load()))
	})
}

// Whoever is stopped marks how far it came, as long as somebody is there to take it.
func TestAStoppedLaneStillMarksHowFarItCame(t *testing.T) {
	stopped, stop := context.WithCancel(context.Background())
	stop()
	inPool(t, Config{Shards: 64}, sinkFunc(func(*Flush) error { return nil }), func(t *testing.T, p *Pool, l *Lane) {
		for i := range int64(64) {
			require.NoError(t, l.Add(t.Context(), i, uint64(i)<<ChunkBits))
		}
		require.NoError(t, l.Mark(stopped, 64, true)) // 64 sends, each of which could give up
		settle()
		require.Equal(t, Position{Next: 64, Consumed: 64, Granted: 64}, position(t, p))
	})
	ended := New(Config{Shards: 2, QueueBlocks: 1}, nil, map[int]int64{0: 0})
	require.ErrorIs(t, ended.Run(stopped), context.Canceled)
	var err error
	for range 3 { // a queue takes one block that nobody takes out
		err = cmp.Or(err, ended.Lane(0).Mark(stopped, 0, true))
	}
	require.ErrorIs(t, err, context.Canceled)
}
