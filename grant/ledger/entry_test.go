package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// bitmap makes a set of members.
func bitmap(lows ...uint16) *dense.Bitmap {
	b := new(dense.Bitmap)
	for _, low := range lows {
		b.Set(low)
	}
	return b
}

// span makes the set {from, from+step, …} of n members.
func span(from, n, step int) *dense.Bitmap {
	b := new(dense.Bitmap)
	for i := range n {
		b.Set(uint16(from + i*step))
	}
	return b
}

// scattered makes a set of n members without any pattern.
func scattered(r *rand.Rand, n int) *dense.Bitmap {
	b := new(dense.Bitmap)
	for n > 0 {
		if b.Set(uint16(r.UintN(dense.ChunkSize))) {
			n--
		}
	}
	return b
}

// anyMembers draws sets that lie on both sides of every boundary between containers.
func anyMembers(t *rapid.T) *dense.Bitmap {
	b := new(dense.Bitmap)
	for range rapid.IntRange(0, 3).Draw(t, "runs") {
		from := rapid.IntRange(0, dense.ChunkSize-1).Draw(t, "from")
		n := rapid.IntRange(1, dense.ChunkSize-from).Draw(t, "length")
		b.Or(span(from, n, 1))
	}
	n := rapid.SampledFrom([]int{1, 2, smallDelta, smallDelta + 1, 2047, 4095, 4096, 4097, 30000}).Draw(t, "scattered")
	b.Or(scattered(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), n))
	return b
}

// stamp is what the script puts in front of an entry.
func stamp(at time.Time) []byte {
	return append([]byte{entryVersion}, binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))[2:]...)
}

func encode(t require.TestingT, e *Entry) []byte {
	if e.Act != nil {
		text, err := json.Marshal(e.Act)
		require.NoError(t, err)
		return appendAct(stamp(e.At), e.Kind, text, &e.Members)
	}
	ranges, err := appendRanges(nil, e.Ranges)
	require.NoError(t, err)
	head := appendHead(nil, e.Run, e.Shard, e.Flush)
	b, count := appendTail(stamp(e.At), head, ranges, &e.Members)
	require.Equal(t, e.Count, count)
	return b
}

// container returns the Roaring part of a set of members.
func container(members *dense.Bitmap) []byte {
	b, count := appendTail(nil, nil, nil, members)
	return b[len(binary.AppendUvarint(nil, uint64(count))):]
}

// same spares a test from printing how two bitmaps differ, which takes minutes.
func same(a, b *dense.Bitmap) bool { return *a == *b }

// sameEntry compares the members apart.
func sameEntry(t require.TestingT, want, got *Entry) {
	require.True(t, same(&want.Members, &got.Members), "other members")
	a, b := *want, *got
	a.Members, b.Members = dense.Bitmap{}, dense.Bitmap{}
	a.act, b.act = nil, nil
	require.Equal(t, a, b)
}

func TestEntryComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Entry{
			Kind:    EntryGrant,
			At:      time.UnixMilli(rapid.Int64Range(0, 1<<48-1).Draw(t, "at")).UTC(),
			Run:     grant.RunID(rapid.Uint64().Draw(t, "run")),
			Shard:   rapid.IntRange(0, 1<<20).Draw(t, "shard"),
			Flush:   rapid.Uint64().Draw(t, "flush"),
			Members: *anyMembers(t),
		}
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			first := rapid.Int64Range(0, 1<<62).Draw(t, "first")
			in.Ranges = append(in.Ranges, sharding.Range{
				Partition: rapid.IntRange(0, 1<<30).Draw(t, "partition"),
				First:     first, Last: first + rapid.Int64Range(0, 1<<62-1).Draw(t, "length"),
			})
		}
		in.Count = in.Members.Count()
		if rapid.Bool().Draw(t, "act") {
			in.Run, in.Shard, in.Flush, in.Ranges = 0, 0, 0, nil
			kind := rapid.SampledFrom(grant.ActKinds()).Draw(t, "kind")
			user := grant.NumberID(rapid.Uint64Range(0, 1<<63-1).Draw(t, "user"))
			in.Kind, in.Act = entryKinds[kind], &grant.Act{
				ID: "a1", Kind: kind, At: time.UnixMilli(7).UTC(), Who: "mira", Via: "cli", Reason: rapid.String().Draw(t, "reason"), To: &user,
			}
		}
		b := encode(t, &in)

		out := Entry{Members: *span(0, dense.ChunkSize, 1)}
		require.NoError(t, out.UnmarshalBinary(b))
		sameEntry(t, &in, &out)

		short := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		require.Error(t, out.UnmarshalBinary(b[:short]), "cut at %d of %d", short, len(b))
		require.Error(t, out.UnmarshalBinary(append(b, 0)), "one byte more")
	})
}

// Any port of the Roaring library can read journals: the library reads what an entry holds. What it would write is not
// always the same, nor shorter by more than the 7 bytes by which the header of runs is: where runs are about as long as an
// array or a bitmap, it takes the one, and an entry the other.
func TestEntryMembersAreReadByTheRoaringLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := anyMembers(t)
		reference := roaring.New()
		for _, low := range members.Lows(nil) {
			reference.Add(uint32(low))
		}
		reference.RunOptimize()
		want, err := reference.ToBytes()
		require.NoError(t, err)
		got := container(members)
		require.LessOrEqual(t, len(got), len(want)+7)
		read := roaring.New()
		_, err = read.ReadFrom(bytes.NewReader(got))
		require.NoError(t, err)
		require.True(t, reference.Equals(read))
	})
}

func TestEntryOfKnownBytes(t *testing.T) {
	e := Entry{
		At: time.UnixMilli(0x0123456789ab).UTC(), Run: 0x1122334455667788, Shard: 3, Flush: 300,
		Ranges: []sharding.Range{{Partition: 7, First: 1000, Last: 1005}}, Count: 3, Members: *bitmap(1, 256, 65535),
	}
	require.Equal(t, []byte{
		2, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 1, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
		3, 0xac, 0x02, 3, 1, 7, 0xe8, 0x07, 5,
		0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 16, 0, 0, 0, 1, 0, 0, 1, 0xff, 0xff,
	}, encode(t, &e))
}

func TestEntryRefusesContradictions(t *testing.T) {
	entry := func(count int, roaring []byte) []byte {
		b := appendHead(stamp(time.UnixMilli(1)), 0, 0, 1)
		b = binary.AppendUvarint(b, uint64(count))
		return append(append(b, 0), roaring...)
	}
	with := func(b []byte, at int, value ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], value)
		return b
	}
	array, runs, all := container(bitmap(1, 2, 9)), container(span(10, 100, 1)), container(span(0, 30000, 2))
	var e Entry
	require.NoError(t, e.UnmarshalBinary(entry(3, array)))
	require.NoError(t, e.UnmarshalBinary(entry(100, runs)))
	require.NoError(t, e.UnmarshalBinary(entry(30000, all)))

	for name, b := range map[string][]byte{
		"nothing":                        nil,
		"a newer version":                with(entry(3, array), 0, 3),
		"no version":                     with(entry(3, array), 0, 0),
		"no kind":                        with(entry(3, array), stampBytes, 0),
		"a kind of another list":         with(entry(3, array), stampBytes, 3),
		"an unknown kind":                with(entry(3, array), stampBytes, 11),
		"an act that is none":            with(entry(3, array), stampBytes, byte(EntryRevoke)),
		"an act of another kind":         appendAct(stamp(time.UnixMilli(1)), EntryRevoke, []byte(`{"kind":"note"}`), bitmap(1)),
		"an act that is cut off":         appendAct(stamp(time.UnixMilli(1)), EntryNote, []byte(`{"kind":"note"`), bitmap(1)),
		"an act over its end":            append(appendHead(stamp(time.UnixMilli(1)), 0, 0, 1), 1, 0, 200),
		"another number of members":      entry(4, array),
		"no members":                     entry(0, nil),
		"too many members":               entry(65537, array),
		"another cookie":                 entry(3, with(array, 0, 0)),
		"two containers":                 entry(3, with(array, 4, 2)),
		"another key":                    entry(3, with(array, 8, 1)),
		"another offset":                 entry(3, with(array, 12, 17)),
		"an array out of order":          entry(3, with(array, 16, 3)),
		"an array with a member twice":   entry(3, with(array, 16, 2)),
		"more bits than members":         entry(30000, with(all, 16, 0xff)),
		"no run flag":                    entry(100, with(runs, 4, 0)),
		"a run of another length":        entry(100, with(runs, 13, 98)),
		"a run over the end":             entry(100, with(runs, 11, 0xff, 0xff)),
		"more runs than there are bytes": entry(100, with(runs, 9, 2)),
		"a range over the end of offsets": append(appendHead(stamp(time.UnixMilli(1)), 0, 0, 1),
			append([]byte{3, 1, 0}, append(bytes.Repeat([]byte{0xff}, 8), append([]byte{0x7f, 1}, array...)...)...)...),
	} {
		require.Error(t, e.UnmarshalBinary(b), name)
	}
}

// Version 1, which granter 0.1 wrote, has no kind, and is a grant.
func TestEntriesOfVersion1AreRead(t *testing.T) {
	in := Entry{Kind: EntryGrant, At: time.UnixMilli(7).UTC(), Run: 0x0102030405060708, Shard: 3, Flush: 4, Members: *bitmap(1, 9), Count: 2}
	in.Ranges = []sharding.Range{{Partition: 1, First: 2, Last: 3}}
	b := encode(t, &in)
	old := append(append([]byte{1}, b[1:stampBytes]...), b[stampBytes+kindBytes:]...)
	var out Entry
	require.NoError(t, out.UnmarshalBinary(old))
	sameEntry(t, &in, &out)
}

func TestRangesThatAreNoneAreRefused(t *testing.T) {
	for _, r := range []sharding.Range{{Partition: -1}, {First: -1}, {First: 2, Last: 1}} {
		_, err := appendRanges(nil, []sharding.Range{r})
		require.Error(t, err)
	}
}

func FuzzEntry(f *testing.F) {
	for _, members := range []*dense.Bitmap{bitmap(7), span(5, 3000, 3), span(0, 30000, 2), span(0, dense.ChunkSize, 1)} {
		f.Add(encode(f, &Entry{
			Kind: EntryNote, Act: &grant.Act{ID: "1", Kind: grant.ActNote, Reason: "rings on Monday"}, Members: *members, Count: members.Count(),
		}))
		f.Add(encode(f, &Entry{
			Members: *members, Count: members.Count(), Flush: 1, At: time.UnixMilli(1),
			Ranges: []sharding.Range{{Partition: 1, First: 2, Last: 3}},
		}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again Entry
		if e.UnmarshalBinary(b) != nil {
			return
		}
		require.Equal(t, e.Count, e.Members.Count())
		require.NoError(t, again.UnmarshalBinary(encode(t, &e)))
		sameEntry(t, &e, &again)
	})
}

// A list of members is written as their bitmap is.
func TestAListIsWrittenAsABitmap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sets := []*dense.Bitmap{
		new(dense.Bitmap), span(0, 1, 1), span(7, 9, 1), span(65_530, 65_536, 1), span(0, dense.ChunkSize, 1), span(0, 8190, 2),
		span(0, 8192, 2), span(0, 8194, 2),
	}
	for range 500 {
		sets = append(sets, scattered(r, 1+r.IntN(60)))
	}
	for _, n := range []int{4095, 4096, 4097} {
		sets = append(sets, scattered(r, n))
	}
	for _, members := range sets {
		var lows []uint16
		for low := range dense.ChunkSize {
			if members.Has(uint16(low)) {
				lows = append(lows, uint16(low))
			}
		}
		want, count := appendTail([]byte("a"), []byte("head"), []byte("ranges"), members)
		require.Len(t, lows, count)
		require.Equal(t, want, appendTailOf([]byte("a"), []byte("head"), []byte("ranges"), lows))
	}
}

func BenchmarkEntry(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	head, ranges := make([]byte, 12), make([]byte, 80)
	for name, members := range map[string]*dense.Bitmap{
		"16": scattered(r, 16), "1400": scattered(r, 1400), "4000": scattered(r, 4000), "20000": scattered(r, 20000),
		"run": span(100, 60000, 1),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 16<<10)
			for b.Loop() {
				buf, _ = appendTail(buf[:0], head, ranges, members)
			}
		})
	}
}
