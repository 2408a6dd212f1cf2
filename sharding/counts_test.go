package sharding

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Whatever loses or invents an ID between a lane and its shards is noticed before a checkpoint hides it.
func TestBrokenCountsAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name string
		ruin func(s *shard)
	}{
		{"an ID was lost", func(s *shard) { s.current[0].granted-- }},
		{"an ID was invented", func(s *shard) { s.current[0].duplicate++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inPool(t, Config{Shards: 2}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
				require.NoError(t, l.Add(t.Context(), 0, 1))
				require.NoError(t, l.Mark(t.Context(), 1, true))
				settle()
				require.Equal(t, int64(1), position(t, p).Next)
				c.ruin(p.shards[0])
				require.NoError(t, l.Mark(t.Context(), 1, true)) // the shard publishes its counts
				settle()
				_, err := p.Positions()
				require.ErrorIs(t, err, ErrUnbalanced)
			})
		})
	}
}

// A lane that lost an ID before it was sent says so, and no position passes it.
func TestALaneThatLostAnIDStopsItsPosition(t *testing.T) {
	inPool(t, Config{Shards: 2}, granting(ignore), func(t *testing.T, p *Pool, l *Lane) {
		require.NoError(t, l.Add(t.Context(), 0, 1))
		require.NoError(t, l.Mark(t.Context(), 1, true))
		settle()
		require.NoError(t, l.Add(t.Context(), 1, 2))
		l.open[0].ids = l.open[0].ids.empty()
		require.ErrorIs(t, l.Mark(t.Context(), 2, true), ErrUnbalanced)
		settle()
		require.Equal(t, int64(1), position(t, p).Next)
	})
}

// A block that brings more than the set has room for is taken in by pieces. Nobody may get hold of its memory before the
// last one, and between two pieces the counts hold.
func TestABlockThatIsTakenInByPiecesIsGrantedWhole(t *testing.T) {
	const room, ids = 300, 3000
	granted := map[uint64]bool{}
	var p *Pool
	flushes := 0
	like := granting(func(ids []uint64) error {
		flushes++
		for _, id := range ids {
			granted[id] = true
		}
		for range 4 { // as lanes do that are ahead
			b := p.blocks.Get().(*block)
			clear(b.ids.Keys[:cap(b.ids.Keys)])
		}
		positions, err := p.Positions()
		if err == nil && positions[0].Next != 0 {
			err = fmt.Errorf("the position is %d in the middle of the block", positions[0].Next)
		}
		return err
	})
	like.room = room
	want := map[uint64]bool{}
	rnd := rand.New(rand.NewPCG(1, 2))
	inPool(t, Config{Shards: 1}, like, func(t *testing.T, pool *Pool, l *Lane) {
		p = pool
		for i := range int64(ids) { // one block
			id := rnd.Uint64()
			want[id] = true
			require.NoError(t, l.Add(t.Context(), i, id))
		}
		require.NoError(t, l.Mark(t.Context(), ids, true))
		settle()
		require.Equal(t, Position{Next: ids, Consumed: ids, Granted: ids}, position(t, p))
	})
	require.Equal(t, want, granted)
	require.Equal(t, ids/room, flushes)
}

// A user who turns out to have been granted is a duplicate of the partition that brought the record.
func TestWhoWasGrantedBeforeIsCountedWhereTheRecordIs(t *testing.T) {
	like := listed{grant: func(context.Context, []Range, []uint64) (map[uint64]bool, error) {
		return map[uint64]bool{20: true, 21: true}, nil
	}}
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Shards: 1}, 0, setsLike(like), map[int]int64{0: 0, 1: 0})
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		for partition := range 2 {
			for i := range int64(3) {
				require.NoError(t, p.Lane(partition).Add(t.Context(), i, uint64(partition+1)*10+uint64(i)))
			}
			require.NoError(t, p.Lane(partition).Mark(t.Context(), 3, true))
			synctest.Wait() // the order of the blocks
		}
		p.Close()
		require.NoError(t, <-ended)
		positions, err := p.Positions()
		require.NoError(t, err)
		require.ElementsMatch(t, []Position{
			{Partition: 0, Next: 3, Consumed: 3, Granted: 3}, {Partition: 1, Next: 3, Consumed: 3, Granted: 1, Duplicate: 2},
		}, positions)
	})
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
	inPool(t, Config{Shards: 1, BlockIDs: 100, Gate: gate}, granting(ignore), func(t *testing.T, _ *Pool, l *Lane) {
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
		add(6, 1)
		require.Equal(t, 6, int(gate.out.Load()))
	})
}

// Whoever is excluded is withheld, each time that the ID comes, in the partition that it comes in; and no limit is spent on it.
func TestWhoIsExcludedIsWithheldAndGivenBack(t *testing.T) {
	gate := &stock{}
	set := granting(ignore)
	set.excluded = map[uint64]bool{2: true}
	inPool(t, Config{Shards: 1, BlockIDs: 100, Gate: gate}, set, func(t *testing.T, p *Pool, l *Lane) {
		next := int64(0)
		for _, ids := range [][]uint64{{1, 2, 2, 3, 1}, {2, 4}, {2, 2}} {
			for _, id := range ids {
				require.NoError(t, l.Await(t.Context()))
				require.NoError(t, l.Add(t.Context(), next, id))
				next++
			}
			require.NoError(t, l.Mark(t.Context(), next, true))
			settle()
		}
		positions, err := p.Positions()
		require.NoError(t, err)
		pos := positions[0]
		require.Equal(t, []int64{9, 3, 1, 5}, []int64{pos.Consumed, pos.Granted, pos.Duplicate, pos.Withheld})
		require.EqualValues(t, 9, pos.Next)
		require.Equal(t, 3, int(gate.out.Load()))
	})
}
