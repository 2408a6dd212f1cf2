package dryrun

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// naive is what a dry run should find out, one user at a time.
type naive struct {
	stored, seen                map[uint64]bool
	granted, already, duplicate int64
	chunks, fresh               map[uint64]bool // with users who would be granted; of them, those that are not there yet
}

func newNaive(s *stored) *naive {
	n := &naive{stored: map[uint64]bool{}, seen: map[uint64]bool{}, chunks: map[uint64]bool{}, fresh: map[uint64]bool{}}
	for chunk, b := range s.chunks {
		for _, low := range lows(b) {
			n.stored[dense.Join(chunk, low)] = true
		}
	}
	return n
}

// see takes the next user of the topic, and reports whether he would be granted.
func (n *naive) see(s *stored, user uint64) bool {
	switch chunk, _ := dense.Split(user); {
	case n.seen[user]:
		n.duplicate++
	case n.stored[user]:
		n.already++
	default:
		n.granted++
		n.chunks[chunk] = true
		if s.chunks[chunk] == nil {
			n.fresh[chunk] = true
		}
		n.seen[user] = true
		return true
	}
	n.seen[user] = true
	return false
}

func (n *naive) outcome() Outcome {
	return Outcome{
		WouldGrant: n.granted, AlreadyGranted: n.already, Chunks: len(n.chunks),
		LedgerBytes: int64(projected(float64(n.granted), float64(len(n.fresh)))),
	}
}

func TestADryRunFindsWhatTheLedgerWouldDo(t *testing.T) {
	users := rapid.SliceOfNDistinct(rapid.Uint16Range(0, 40), 1, 20, rapid.ID[uint16])
	rapid.Check(t, func(t *rapid.T) {
		s := &stored{chunks: map[uint64]*dense.Bitmap{}}
		for chunk, lows := range rapid.MapOfN(rapid.Uint64Range(0, 5), users, 0, 4).Draw(t, "stored") {
			s.chunks[chunk] = bitmap(lows...)
		}
		before := newNaive(s).stored
		l, model := NewLedger(s, nil, nil), newNaive(s)
		var valid int64
		for range rapid.IntRange(0, 12).Draw(t, "flushes") {
			shard := rapid.Uint64Range(0, 1).Draw(t, "shard")
			f := &dense.Flush{Shard: int(shard), Seq: 1}
			var granted, repeated [][]uint16
			for _, chunk := range rapid.SliceOfNDistinct(rapid.Uint64Range(0, 2), 1, 3, rapid.ID[uint64]).Draw(t, "chunks") {
				d := delta(2*chunk+shard, users.Draw(t, "users")...)
				valid += int64(d.Count)
				var yes, no []uint16
				for _, low := range d.Members.Lows(nil) {
					if model.see(s, dense.Join(d.Chunk, low)) {
						yes = append(yes, low)
					} else {
						no = append(no, low)
					}
				}
				f.Deltas, granted, repeated = append(f.Deltas, d), append(granted, yes), append(repeated, no)
			}
			require.NoError(t, l.Grant(t.Context(), f))
			for i := range f.Deltas {
				d := &f.Deltas[i]
				require.Equal(t, granted[i], lows(d.Members), "users who would be granted are left")
				require.Equal(t, len(granted[i]), d.Count)
				require.Equal(t, repeated[i], lows(d.Duplicates))
				require.Equal(t, repeated[i] != nil, d.Granted != nil)
				for _, low := range lows(d.Granted) {
					require.True(t, model.seen[dense.Join(d.Chunk, low)], "a shard would take %d for a duplicate", low)
				}
			}
			require.Equal(t, model.outcome(), outcome(l))
		}
		require.Equal(t, valid, model.granted+model.already+model.duplicate)
		require.Equal(t, before, newNaive(s).stored, "the ledger is as it was")
		for chunk, n := range s.asked {
			require.Equal(t, 1, n, "chunk %d was read again", chunk)
		}
	})
}

// The shard keeps what it is told, and reads it while other shards go on.
func TestWhatAShardWasToldStaysAsItIs(t *testing.T) {
	l := NewLedger(&stored{}, nil, nil)
	f := &dense.Flush{Deltas: []dense.Delta{delta(3, 1, 2)}}
	require.NoError(t, l.Grant(t.Context(), f))
	again := &dense.Flush{Seq: 2, Deltas: []dense.Delta{delta(3, 2, 4)}}
	require.NoError(t, l.Grant(t.Context(), again))
	require.NoError(t, l.Grant(t.Context(), &dense.Flush{Seq: 3, Deltas: []dense.Delta{delta(3, 5)}}))
	require.Equal(t, []uint16{1, 2, 4}, lows(again.Deltas[0].Granted))
}

func TestAReadErrorCountsNothing(t *testing.T) {
	s := &stored{chunks: map[uint64]*dense.Bitmap{1: bitmap(1)}, err: errors.New("Redis is gone")}
	l := NewLedger(s, nil, nil)
	f := &dense.Flush{Seq: 1, Deltas: []dense.Delta{delta(1, 1, 2), delta(2, 3)}}
	require.ErrorIs(t, l.Grant(t.Context(), f), s.err)
	require.Zero(t, outcome(l))
	require.Equal(t, []uint16{1, 2}, lows(f.Deltas[0].Members), "it can be handed in again")

	s.err = nil
	require.NoError(t, l.Grant(t.Context(), f))
	require.Equal(t, Outcome{WouldGrant: 2, AlreadyGranted: 1, Chunks: 2, LedgerBytes: 2 + 1e6}, outcome(l))
}

func TestTheOutcomeProjectsNewUsersInNewChunks(t *testing.T) {
	s := &stored{chunks: map[uint64]*dense.Bitmap{1: bitmap(1, 2), 2: bitmap(1), 9: bitmap(1)}}
	l := NewLedger(s, nil, nil)
	require.Zero(t, outcome(l))
	require.NoError(t, l.Grant(t.Context(), &dense.Flush{Deltas: []dense.Delta{
		delta(1, 1, 2), delta(2, 1, 7, 8), delta(3, 5), delta(4, 5, 6),
	}}))
	o := outcome(l)
	require.EqualValues(t, 5, o.WouldGrant)
	require.EqualValues(t, 3, o.AlreadyGranted)
	require.Equal(t, 3, o.Chunks, "nobody is new in chunk 1, and nothing came of chunk 9")
	require.Equal(t, int64(2_000_005), o.LedgerBytes, "chunk 2 is there already")
}

// Shards grant at the same time, and somebody looks at the outcome meanwhile. The race detector watches.
func TestShardsAreCountedTogether(t *testing.T) {
	const shards, each = 8, 50
	l := NewLedger(&stored{chunks: map[uint64]*dense.Bitmap{3: bitmap(0, 1)}}, nil, nil)
	var group sync.WaitGroup
	for shard := range uint64(shards) {
		group.Go(func() {
			for i := range uint64(each) {
				f := &dense.Flush{Shard: int(shard), Seq: i + 1, Deltas: []dense.Delta{delta(shard+shards*(i%5), uint16(i), uint16(i+1))}}
				if err := l.Grant(t.Context(), f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() {
		last := int64(0)
		for range each {
			o := l.Outcome(projected)
			if o.WouldGrant < last {
				t.Error("users got lost")
			}
			last = o.WouldGrant
		}
	})
	group.Wait()
	o := outcome(l)
	// In each of its five chunks a shard sees every fifth number below 50 and the one after it.
	require.EqualValues(t, shards*5*20-2, o.WouldGrant)
	require.EqualValues(t, 2, o.AlreadyGranted)
	require.Equal(t, shards*5, o.Chunks)
}

func TestADryRunRefusesTheSpecThatARunWouldRefuse(t *testing.T) {
	given := &grant.Campaign{Hash: "aa11", Canonical: []byte("one")}
	require.NoError(t, NewLedger(&stored{}, nil, nil).EnsureSpec(t.Context(), given))
	refused := &stored{forbidden: &ledger.SpecConflictError{StoredHash: "bb22"}}
	require.ErrorIs(t, NewLedger(refused, nil, nil).EnsureSpec(t.Context(), given), refused.forbidden)
}

func TestCheckpointsStayInMemory(t *testing.T) {
	starts := grant.Offsets{0: 5, 1: 0}
	l := NewLedger(&stored{}, starts, nil)
	begun, err := l.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	require.Equal(t, starts, begun.Next)
	require.NoError(t, l.Checkpoint(t.Context(), grant.Offsets{0: 9}, nil))
	require.NoError(t, l.SaveRun(t.Context(), grant.RunRecord{}))
	next, err := l.Checkpoints(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Offsets{0: 9, 1: 0}, next.Next)
	require.Equal(t, grant.Offsets{0: 5, 1: 0}, starts, "the caller's map is his")
}

// The counts of a run and the outcome together are what the topic holds, through lanes and shards that forget chunks.
func TestAWholeRunAddsUp(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := &stored{chunks: map[uint64]*dense.Bitmap{}}
	for chunk := range uint64(12) {
		s.chunks[2*chunk] = new(dense.Bitmap)
		for range 300 {
			s.chunks[2*chunk].Set(uint16(r.IntN(600)))
		}
	}
	for _, includes := range []func(uint64) bool{nil, func(id uint64) bool { return id%3 == 0 }} {
		topic := &records{t: t}
		model := newNaive(s)
		var rejected, withheld int64
		for range 4 {
			var part []int64
			for range 1500 {
				id := dense.Join(r.Uint64N(24), uint16(r.IntN(600)))
				switch {
				case r.IntN(50) == 0:
					part = append(part, malformed)
					rejected++
					continue
				case includes != nil && !includes(id):
					withheld++
				default:
					model.see(s, id)
				}
				part = append(part, int64(id))
			}
			topic.parts = append(topic.parts, part)
		}
		tally, dry, err := rehearse(t.Context(), topic, &grant.Campaign{Name: "c", Hash: "aa11"}, s, includes)
		require.NoError(t, err)
		require.Equal(t, model.outcome(), outcome(dry))
		require.Equal(t, grant.Tally{
			Consumed: 4 * 1500, Granted: model.granted, Duplicate: model.already + model.duplicate, Rejected: rejected, Withheld: withheld,
		}, tally)
		next, err := dry.Checkpoints(t.Context())
		require.NoError(t, err)
		require.Equal(t, grant.Offsets{0: 1500, 1: 1500, 2: 1500, 3: 1500}, next.Next)
	}

	s.err = errors.New("Redis is gone")
	_, _, err := rehearse(t.Context(), &records{t: t, parts: [][]int64{{1}}}, &grant.Campaign{Name: "c", Hash: "aa11"}, s, nil)
	require.ErrorIs(t, err, s.err)
}

// Who is excluded, or is on a list of the spec, is counted apart, each once; who is listed and granted is granted.
func TestWhoIsExcludedIsWithheldAndCountedApart(t *testing.T) {
	s := &stored{
		chunks: map[uint64]*dense.Bitmap{3: bitmap(1, 2)}, excluded: map[uint64]*dense.Bitmap{3: bitmap(2)},
	}
	l := NewLedger(s, nil, map[uint64]*dense.Bitmap{3: bitmap(1, 5), 4: bitmap(7)})
	for seq := range uint64(2) {
		f := &dense.Flush{Seq: seq + 1, Deltas: []dense.Delta{delta(3, 1, 2, 5, 6), delta(4, 7, 8)}}
		require.NoError(t, l.Grant(t.Context(), f))
		require.Equal(t, []uint16{2, 5}, lows(f.Deltas[0].Withheld))
		require.Equal(t, []uint16{7}, lows(f.Deltas[1].Withheld))
	}
	o := outcome(l)
	require.EqualValues(t, 2, o.WouldGrant)
	require.EqualValues(t, 3, o.Excluded)
}
