package opaque_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
	"github.com/granter/granter/sharding/opaque/opaquetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// feed adds members to a set in blocks, and flushes it now and then; it returns what the set counts.
type feed struct {
	set              sharding.Set
	hash             func([]byte) uint64
	held             []sharding.IDs
	granted, repeats int
	withheld         int
}

func (f *feed) add(t require.TestingT, members ...string) {
	var block sharding.IDs
	for _, m := range members {
		block.Add(f.hash([]byte(m)), []byte(m))
	}
	taken, fresh, _ := f.set.Add(block.Keys)
	require.Equal(t, len(members), taken)
	f.granted += fresh
	f.repeats += taken - fresh
	f.held = append(f.held, block)
}

func (f *feed) flush(t require.TestingT) {
	found, err := f.set.Flush(context.Background(), nil, f.held)
	require.NoError(t, err)
	for i, n := range found {
		require.LessOrEqual(t, n.Repeats+n.Withheld, len(f.held[i].Keys))
		f.granted -= n.Repeats + n.Withheld
		f.repeats += n.Repeats
		f.withheld += n.Withheld
	}
	f.held = nil
}

// Of whatever IDs come in whatever blocks, also where hashes and fingerprints collide, where others grant the same meanwhile, and
// where a set may remember nothing: each is granted once, and counted as granted by who did it, and as a repeat every other time.
func TestASetGrantsEveryIDAndCountsItOnce(t *testing.T) {
	weak := func(member []byte) uint64 { // four buckets, few fingerprints, and different members of one hash
		return uint64(member[len(member)-1]&3)<<62 | uint64(member[0]&7)<<(64-opaque.MinBits-8)
	}
	rapid.Check(t, func(t *rapid.T) {
		sink := opaquetest.NewMemory()
		sink.RestEntries = rapid.IntRange(0, 2).Draw(t, "rest entries")
		cfg := opaque.Config{Config: sharding.Config{Shards: 1}, Layout: opaque.Layout{Bits: opaque.MinBits}}
		cfg.Memory = rapid.SampledFrom([]int{1, 1 << 10, 1 << 30}).Draw(t, "memory")
		hash := rapid.SampledFrom([]func([]byte) uint64{weak, opaque.Hash}).Draw(t, "hash")
		var feeds []*feed
		for range 2 {
			feeds = append(feeds, &feed{set: opaque.NewSet(cfg, sink, hash), hash: hash})
		}
		member := rapid.StringMatching(`[a-h]{1,3}`)
		want := map[string]bool{}
		records := 0
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			f := rapid.SampledFrom(feeds).Draw(t, "who")
			members := rapid.SliceOfN(member, 1, 60).Draw(t, "members")
			f.add(t, members...)
			records += len(members)
			for _, m := range members {
				want[m] = true
			}
			if rapid.Bool().Draw(t, "flush") {
				sink.Join()
				opaque.Recount(f.set)
				f.flush(t)
			}
		}
		for _, f := range feeds {
			sink.Join()
			opaque.Recount(f.set)
			f.flush(t)
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), sink.Users())
		require.Equal(t, len(want), feeds[0].granted+feeds[1].granted)
		require.Equal(t, records, feeds[0].granted+feeds[1].granted+feeds[0].repeats+feeds[1].repeats)
	})
}

// Whoever an entry excludes is granted nothing, and is withheld each time that a record names them: whether the set has seen the
// entry or is told of it, until another entry admits them.
func TestWhoIsExcludedIsWithheldEachTime(t *testing.T) {
	for name, memory := range map[string]int{"remembers": 1 << 30, "forgets": 1} {
		t.Run(name, func(t *testing.T) {
			sink := opaquetest.NewMemory()
			cfg := opaque.Config{
				Config: sharding.Config{Shards: 1, Memory: memory}, Layout: opaque.Layout{Bits: opaque.MinBits, Width: 8},
			}
			append1 := func(id string, says opaque.Says) {
				sink.Append(cfg.Layout.Bucket(opaque.Hash([]byte(id))), opaque.Entry{Members: []byte(id), Says: says}, id)
			}
			f := &feed{set: opaque.NewSet(cfg, sink, opaque.Hash), hash: opaque.Hash}
			append1("excluded", opaque.Excludes)
			f.add(t, "excluded", "somebody", "excluded")
			f.add(t, "excluded", "another1")
			f.flush(t)
			require.Equal(t, []int{2, 0, 3}, []int{f.granted, f.repeats, f.withheld})
			f.add(t, "excluded", "somebody")
			f.flush(t)
			require.Equal(t, []int{2, 1, 4}, []int{f.granted, f.repeats, f.withheld}, "by an entry that it has seen")
			append1("later123", opaque.Excludes)
			f.add(t, "later123", "excluded")
			f.flush(t)
			require.Equal(t, []int{2, 1, 6}, []int{f.granted, f.repeats, f.withheld})
			append1("excluded", opaque.Admits)
			append1("somebody", opaque.Admits) // who was revoked, and has it again
			f.add(t, "excluded", "excluded", "later123", "somebody")
			f.flush(t)
			require.Equal(t, []int{2, 4, 7}, []int{f.granted, f.repeats, f.withheld}, "it is granted, by somebody else")
			f.add(t, "excluded", "new12345")
			f.flush(t)
			require.Equal(t, []int{3, 5, 7}, []int{f.granted, f.repeats, f.withheld})
		})
	}
}

// A bucket is read where something may be a repeat, and only there.
func TestABucketIsReadWhereSomethingMayBeARepeat(t *testing.T) {
	sink := opaquetest.NewMemory()
	cfg := opaque.Config{
		Config: sharding.Config{Shards: 1, Memory: 1 << 30},
		Layout: opaque.Layout{Bits: opaque.MinBits, Width: 16},
	}
	f := &feed{set: opaque.NewSet(cfg, sink, opaque.Hash), hash: opaque.Hash}
	rnd := rand.New(rand.NewPCG(1, 2))
	some := func() (ids []string) {
		for range 1000 {
			var id [16]byte
			binary.BigEndian.PutUint64(id[:], rnd.Uint64())
			binary.BigEndian.PutUint64(id[8:], rnd.Uint64())
			ids = append(ids, string(id[:]))
		}
		return ids
	}
	first := some()
	f.add(t, first...)
	f.flush(t)
	f.add(t, some()...)
	f.flush(t)
	require.Zero(t, sink.Reads())
	f.add(t, append(some(), first[:3]...)...)
	f.flush(t)
	require.Equal(t, 3, sink.Reads())
	require.Equal(t, []int{3000, 3}, []int{f.granted, f.repeats})
}

// An entry that is not as sets write it is not searched as if it were.
func TestAnEntryOutOfOrderIsAnError(t *testing.T) {
	cfg := opaque.Config{
		Config: sharding.Config{Shards: 1, Memory: 1 << 30},
		Layout: opaque.Layout{Bits: opaque.MinBits, Width: 8},
	}
	id := []byte("abcdefgh")
	neighbour := func() []byte { // of the same bucket
		for i := range uint64(1 << 20) {
			other := binary.BigEndian.AppendUint64(nil, i)
			hash := opaque.Hash(other)
			if cfg.Layout.Bucket(hash) == cfg.Layout.Bucket(opaque.Hash(id)) && hash < opaque.Hash(id) {
				return other
			}
		}
		panic("there is none")
	}()
	for what, entry := range map[string][]byte{
		"another bucket": []byte("12345678"), "cut off": []byte("1234567"), "order": append(bytes.Clone(id), neighbour...),
	} {
		t.Run(what, func(t *testing.T) {
			f := &feed{set: opaque.NewSet(cfg, damaged{entry}, opaque.Hash), hash: opaque.Hash}
			f.add(t, string(id))
			_, err := f.set.Flush(t.Context(), nil, f.held)
			require.Error(t, err)
		})
	}
}

// damaged is a sink whose buckets have an entry.
type damaged struct{ entry []byte }

func (d damaged) AddMembers(_ context.Context, f *opaque.Flush) error {
	f.Deltas[0].Rest = []opaque.Entry{{Members: d.entry}}
	return nil
}

func (damaged) Members(context.Context, []opaque.Want) ([][]opaque.Entry, error) { return nil, nil }

// A pool's lanes route every ID to the shard that owns its bucket, however long it is.
func TestAPoolGrantsWhatItsLanesAreGiven(t *testing.T) {
	sink := opaquetest.NewMemory()
	pool := opaque.New(opaque.Config{
		Config: sharding.Config{Shards: 4, BlockIDs: 64}, Layout: opaque.Layout{Bits: opaque.BitsFor(0)}, TargetPerBucket: 4,
	}, sink, map[int]int64{0: 0, 1: 50})
	const ids = 20_000
	shards, ctx := errgroup.WithContext(t.Context())
	shards.Go(func() error { return pool.Run(ctx) })
	var lanes errgroup.Group
	for partition, start := range map[int]int64{0: 0, 1: 50} {
		lanes.Go(func() error {
			l := pool.Lane(partition)
			for i := range int64(ids) { // both have all of them
				id := fmt.Appendf(nil, "user-%0*d", 1+i%120, i)
				if err := l.AddMember(ctx, start+i, opaque.Hash(id), id); err != nil {
					return err
				}
			}
			return l.Mark(ctx, start+ids, true)
		})
	}
	require.NoError(t, lanes.Wait())
	pool.Close()
	require.NoError(t, shards.Wait())
	require.Len(t, sink.Users(), ids)
	positions, err := pool.Positions()
	require.NoError(t, err)
	require.EqualValues(t, ids, positions[0].Granted+positions[1].Granted)
	require.EqualValues(t, ids, positions[0].Duplicate+positions[1].Duplicate)
	for _, p := range positions {
		require.Equal(t, map[int]int64{0: ids, 1: ids + 50}[p.Partition], p.Next)
	}
}

func TestBucketsFollowThePopulation(t *testing.T) {
	for users, bits := range map[int64]uint{
		0: 8, 1_000_000: 8, 5_000_000: 9, 48_000_000: 12, 480_000_000: 15, 1 << 60: opaque.MaxBits,
	} {
		require.Equal(t, bits, opaque.BitsFor(users), users)
	}
}

// How fast a set sorts, compares and encodes a million UUIDs, in blocks as lanes make them.
func BenchmarkFlush(b *testing.B) {
	const members, block = 1 << 20, 4096
	rnd := rand.New(rand.NewPCG(1, 2))
	var held []sharding.IDs
	for range members / block {
		var ids sharding.IDs
		for range block {
			id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, rnd.Uint64()), rnd.Uint64())
			ids.Add(opaque.Hash(id), id)
		}
		held = append(held, ids)
	}
	cfg := opaque.Config{
		Config: sharding.Config{Shards: 1, Memory: 1 << 30}, Layout: opaque.Layout{Bits: opaque.MinBits, Width: 16},
	}
	for b.Loop() {
		set := opaque.NewSet(cfg, granted{}, opaque.Hash)
		if _, err := set.Flush(b.Context(), nil, held); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/members, "ns/member")
}

// granted is a sink that keeps nothing.
type granted struct{}

func (granted) AddMembers(_ context.Context, f *opaque.Flush) error {
	for i := range f.Deltas {
		f.Deltas[i].Granted = true
	}
	return nil
}

func (granted) Members(context.Context, []opaque.Want) ([][]opaque.Entry, error) { return nil, nil }
