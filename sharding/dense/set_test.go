package dense

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/granter/granter/sharding"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// single is the config of a pool of one shard, without defaults left.
var single = Config{Config: sharding.Config{Shards: 1, Memory: 192 << 20}}

// sinkFunc is a Sink.
type sinkFunc func(f *Flush) error

func (s sinkFunc) Grant(_ context.Context, f *Flush) error { return s(f) }

// memory is a sink that keeps grants in memory and checks what a set promises it.
type memory struct {
	chunks map[uint64]*Bitmap
	shard  int
	seq    uint64
	most   int // chunks of one flush

	excluded map[uint64]bool
}

func (m *memory) Grant(_ context.Context, f *Flush) error {
	if m.seq++; f.Seq != m.seq || f.Shard != m.shard {
		return fmt.Errorf("flush %d of shard %d after flush %d of shard %d", f.Seq, f.Shard, m.seq-1, m.shard)
	}
	m.most = max(m.most, len(f.Deltas))
	for i := range f.Deltas {
		d := &f.Deltas[i]
		if i > 0 && d.Chunk <= f.Deltas[i-1].Chunk {
			return fmt.Errorf("chunk %d after chunk %d", d.Chunk, f.Deltas[i-1].Chunk)
		}
		if d.Count == 0 || d.Members.Count() != d.Count {
			return fmt.Errorf("chunk %d: %d members, Count %d", d.Chunk, d.Members.Count(), d.Count)
		}
		if m.chunks[d.Chunk] == nil {
			m.chunks[d.Chunk] = new(Bitmap)
		}
		c := m.chunks[d.Chunk]
		d.Withheld = nil
		for _, low := range d.Members.Lows(nil) {
			if m.excluded[Join(d.Chunk, low)] {
				if d.Withheld == nil {
					d.Withheld = new(Bitmap)
				}
				d.Withheld.Set(low)
				d.Members.Clear(low)
			}
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

// put grants an ID beforehand.
func (m *memory) put(id uint64) {
	chunk, low := Split(id)
	if m.chunks[chunk] == nil {
		m.chunks[chunk] = new(Bitmap)
	}
	m.chunks[chunk].Set(low)
}

func (m *memory) ids() map[uint64]bool {
	out := map[uint64]bool{}
	for chunk, b := range m.chunks {
		for _, low := range b.Lows(nil) {
			out[Join(chunk, low)] = true
		}
	}
	return out
}

// Of whatever IDs come in whatever blocks, those are granted that had not been and are not excluded; each is counted as new or
// as a repeat once, and each time as withheld if it is excluded; and the set takes in at least one after each flush.
func TestASetGrantsEveryIDAndCountsItOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]uint64{10, 70_000, 1 << 20, 1 << 40, 1<<64 - 1}).Draw(t, "space")
		shards := 1 << rapid.IntRange(0, 3).Draw(t, "log2 of shards")
		shard := rapid.IntRange(0, shards-1).Draw(t, "shard")
		id := rapid.Custom(func(t *rapid.T) uint64 { // one that is routed here
			chunk, low := Split(rapid.Uint64Range(0, space).Draw(t, "id"))
			return Join(chunk&^uint64(shards-1)|uint64(shard), low)
		})
		sink := &memory{chunks: map[uint64]*Bitmap{}, shard: shard}
		want := map[uint64]bool{}
		for _, id := range rapid.SliceOfN(id, 0, 200).Draw(t, "granted before") {
			sink.put(id)
			want[id] = true
		}
		before := len(want)
		sink.excluded = map[uint64]bool{}
		for _, id := range rapid.SliceOfN(id, 0, 50).Draw(t, "excluded") {
			sink.excluded[id] = !want[id]
		}
		s := newSet(
			Config{Config: sharding.Config{Shards: shards}, MaxChunks: rapid.IntRange(1, 20).Draw(t, "chunks")},
			sink,
			shard,
		)
		granted, duplicates, withheld := 0, 0, 0
		wantDuplicates, wantWithheld := 0, 0
		var held []sharding.IDs
		flush := func() {
			found, err := s.Flush(context.Background(), nil, held)
			require.NoError(t, err)
			for i, f := range found {
				require.LessOrEqual(t, f.Repeats+f.Withheld+f.Again, len(held[i].Keys))
				granted -= f.Repeats + f.Withheld
				duplicates += f.Repeats - f.Again
				withheld += f.Withheld + f.Again
			}
			held = nil
			require.Equal(t, wantDuplicates, duplicates)
			require.Equal(t, wantWithheld, withheld)
			require.Equal(t, want, sink.ids())
			require.Equal(t, len(want)-before, granted)
		}
		full := false // since the last flush
		for _, block := range rapid.SliceOfN(rapid.SliceOfN(id, 1, 600), 0, 8).Draw(t, "blocks") {
			for len(block) > 0 {
				taken, fresh, _ := s.Add(block)
				granted += fresh
				duplicates += taken - fresh
				if taken == 0 {
					require.False(t, full, "nothing is taken right after a flush")
					flush()
					full = true
					continue
				}
				full = false
				for _, id := range block[:taken] {
					switch {
					case sink.excluded[id]:
						wantWithheld++
					case want[id]:
						wantDuplicates++
					}
					if !sink.excluded[id] {
						want[id] = true
					}
				}
				held = append(held, sharding.Keys(block[:taken]...))
				block = block[taken:]
			}
			if rapid.Bool().Draw(t, "flush") {
				flush()
			}
		}
		flush()
	})
}

// A shard holds a bounded number of bitmaps, whatever IDs arrive; it uses them again.
func TestBitmapsStayBoundedWhateverIDsArrive(t *testing.T) {
	const maxChunks = 8
	for name, largest := range map[string]uint64{"by index": 1 << 40, "by hash": 1<<64 - 1} {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, 4))
			s := newSet(Config{Config: single.Config, MaxChunks: maxChunks}, discard{}, 0)
			ids := make([]uint64, 4096)
			flushes := 0
			made := map[*chunkBits]bool{}
			for range 2 {
				for i := range ids {
					ids[i] = rnd.Uint64() & (largest - 1)
				}
				for rest := ids; len(rest) > 0; {
					taken, _, _ := s.Add(rest)
					require.True(t, taken == 0 || taken >= min(minTaken, len(rest)))
					for _, st := range s.inUse {
						made[st.bits] = true
					}
					if taken == 0 {
						_, err := s.Flush(t.Context(), nil, nil)
						require.NoError(t, err)
						flushes++
					}
					rest = rest[taken:]
					require.LessOrEqual(t, len(s.inUse)+len(s.free), maxChunks+minTaken)
					require.LessOrEqual(t, len(s.hashed), maxChunks+minTaken)
				}
			}
			require.Greater(t, flushes, 20)
			require.LessOrEqual(t, len(made), maxChunks+minTaken)
		})
	}
}

// The memory of a chunk that was forgotten serves another one, of which nothing is known.
func TestAChunkKnowsNothingOfTheOneBeforeIt(t *testing.T) {
	sink := &memory{chunks: map[uint64]*Bitmap{}}
	s := newSet(Config{Config: single.Config, MaxChunks: 1}, sink, 0)
	for _, id := range []uint64{Join(1, 7), Join(2, 7), Join(1<<40, 7), Join(1<<41, 7)} {
		taken, fresh, _ := s.Add([]uint64{id})
		require.Equal(t, []int{1, 1}, []int{taken, fresh})
		_, err := s.Flush(t.Context(), nil, []sharding.IDs{sharding.Keys(id)})
		require.NoError(t, err)
		require.True(t, sink.ids()[id])
	}
}

// What the sink says about a chunk is remembered: after a restart a topic that is granted already costs one call for
// each chunk, and not one for each flush.
func TestWhatTheSinkKnowsIsNotAskedAgain(t *testing.T) {
	sink := &memory{chunks: map[uint64]*Bitmap{}}
	var all []uint64
	for id := range uint64(1000) {
		sink.put(id)
		all = append(all, id)
	}
	s := newSet(single, sink, 0)
	taken, fresh, due := s.Add([]uint64{500})
	require.Equal(t, []int{1, 1}, []int{taken, fresh})
	require.False(t, due)
	repeats, err := s.Flush(t.Context(), nil, []sharding.IDs{sharding.Keys(500)})
	require.NoError(t, err)
	require.Equal(t, []sharding.Found{{Repeats: 1}}, repeats)
	require.Nil(t, s.find(0).duplicates, "8 KiB for each chunk")
	taken, fresh, _ = s.Add(all)
	require.Equal(t, []int{1000, 0}, []int{taken, fresh})
}

// A flush is due when the mean chunk has the target, and not before enough is there for a flush to be worth it.
func TestAFlushIsDueWhenChunksHaveTheirTarget(t *testing.T) {
	for _, c := range []struct{ chunks, want int }{{1, 16 * 10}, {16, 16 * 10}, {20, 20 * 10}} {
		t.Run(fmt.Sprintf("%d chunks", c.chunks), func(t *testing.T) {
			s := newSet(Config{Config: single.Config, TargetPerChunk: 10}, &memory{chunks: map[uint64]*Bitmap{}}, 0)
			for i := 1; ; i++ {
				_, _, due := s.Add([]uint64{Join(uint64(i%c.chunks), uint16(i))})
				require.Equal(t, i >= c.want, due, i)
				if due {
					break
				}
			}
			_, err := s.Flush(t.Context(), nil, nil)
			require.NoError(t, err)
			_, _, due := s.Add([]uint64{0})
			require.False(t, due)
		})
	}
}

// flushed is an Observer.
type flushed [][3]int

func (o *flushed) Flushed(shard, members, chunks int, _ time.Duration) {
	*o = append(*o, [3]int{shard, members, chunks})
}

// More chunks than one flush may have go in several, all of them with where the IDs came from.
func TestManyChunksAreFlushedInParts(t *testing.T) {
	var observed flushed
	var parts []int
	from := []sharding.Range{{Partition: 3, First: 10, Last: 20}}
	sink := sinkFunc(func(f *Flush) error {
		require.Equal(t, from, f.Ranges)
		require.Equal(t, uint64(len(parts)+1), f.Seq)
		parts = append(parts, len(f.Deltas))
		return nil
	})
	s := newSet(Config{Config: sharding.Config{Shards: 8, Memory: 192 << 20}, Observer: &observed}, sink, 5)
	var ids []uint64
	for i := range uint64(600) {
		ids = append(ids, Join(8*i+5, 0), Join(8*i+5, ChunkSize-1))
	}
	taken, fresh, _ := s.Add(ids)
	require.Equal(t, []int{1024, 1024}, []int{taken, fresh}) // as many as there is room for chunks
	_, err := s.Flush(t.Context(), from, []sharding.IDs{sharding.Keys(ids[:taken]...)})
	require.NoError(t, err)
	require.Equal(t, []int{256, 256}, parts)
	require.Equal(t, flushed{{5, 512, 256}, {5, 512, 256}}, observed)
}

// What is true of one part of a flush is true of the flush: somebody in it was granted before, or it failed.
func TestEveryPartOfAFlushCounts(t *testing.T) {
	for part := range 3 {
		sink := &memory{chunks: map[uint64]*Bitmap{}}
		known := Join(uint64(part*maxDeltas), 9)
		sink.put(known)
		var failing uint64 // number of the flush that fails; 0: none
		failed := errors.New("disk on fire")
		s := newSet(single, sinkFunc(func(f *Flush) error {
			if f.Seq == failing {
				return failed
			}
			return sink.Grant(t.Context(), f)
		}), 0)
		var ids []uint64
		for chunk := range uint64(3 * maxDeltas) {
			ids = append(ids, Join(chunk, 9))
		}
		_, fresh, _ := s.Add(ids)
		require.Equal(t, len(ids), fresh)
		repeats, err := s.Flush(t.Context(), nil, []sharding.IDs{sharding.Keys(ids...)})
		require.NoError(t, err)
		require.Equal(t, []sharding.Found{{Repeats: 1}}, repeats)

		for i := range ids {
			ids[i]++
		}
		s.Add(ids)
		failing = 4 + uint64(part)
		_, err = s.Flush(t.Context(), nil, []sharding.IDs{sharding.Keys(ids...)})
		require.ErrorIs(t, err, failed)
	}
}

// A pool's lanes route every ID to the shard that owns its chunk.
func TestAPoolGrantsWhatItsLanesAreGiven(t *testing.T) {
	const shards, ids = 4, 100_000
	sinks := make([]memory, shards)
	for i := range sinks {
		sinks[i] = memory{chunks: map[uint64]*Bitmap{}, shard: i}
	}
	pool := New(Config{Config: sharding.Config{Shards: shards}}, sinkFunc(func(f *Flush) error {
		for i := range f.Deltas {
			if f.Deltas[i].Chunk%shards != uint64(f.Shard) {
				return fmt.Errorf("chunk %d in shard %d", f.Deltas[i].Chunk, f.Shard)
			}
		}
		return sinks[f.Shard].Grant(context.Background(), f)
	}), map[int]int64{0: 0, 1: 50})
	run(t, pool, func(ctx context.Context, g *errgroup.Group) {
		for partition, start := range map[int]int64{0: 0, 1: 50} {
			g.Go(func() error {
				l := pool.Lane(partition)
				for i := range int64(ids) { // both have all of them
					if err := l.Add(ctx, start+i, uint64(i)*7); err != nil {
						return err
					}
				}
				return l.Mark(ctx, start+ids, true)
			})
		}
	})
	granted := 0
	for i := range sinks {
		granted += len(sinks[i].ids())
	}
	require.Equal(t, ids, granted)
	positions, err := pool.Positions()
	require.NoError(t, err)
	require.Equal(t, int64(ids), positions[0].Granted+positions[1].Granted)
	require.Equal(t, int64(ids), positions[0].Duplicate+positions[1].Duplicate)
}
