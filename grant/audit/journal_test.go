package audit

import (
	"encoding/binary"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant/ledger"
)

// aMembership is some users of a chunk, of each of the three kinds of container.
func aMembership(t *rapid.T) *roaring.Bitmap {
	b := roaring.New()
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		b.AddMany(rapid.SliceOfNDistinct(rapid.Uint32Range(0, 65535), 1, 300, rapid.ID).Draw(t, "array"))
	case 1:
		for range rapid.IntRange(1, 20).Draw(t, "runs") {
			first := rapid.Uint64Range(0, 65535).Draw(t, "first")
			b.AddRange(first, rapid.Uint64Range(first+1, 65536).Draw(t, "end"))
		}
	default:
		step := rapid.IntRange(2, 12).Draw(t, "step")
		for low := 0; low < 65536; low += step {
			b.Add(uint32(low))
		}
	}
	b.RunOptimize()
	return b
}

func stored(kind byte, act string, members *roaring.Bitmap) []byte {
	out := []byte{2, 0, 0, 1, 2, 3, 4, kind, 1, 2, 3, 4, 5, 6, 7, 8}
	out = binary.AppendUvarint(out, 3)   // shard
	out = binary.AppendUvarint(out, 700) // flush
	out = binary.AppendUvarint(out, members.GetCardinality())
	if kind == 1 {
		out = append(out, 1, 5, 10, 9) // a range: partition 5, offsets 10 to 19
	} else {
		out = append(out, 0)
		out = append(binary.AppendUvarint(out, uint64(len(act))), act...)
	}
	bytes, err := members.ToBytes()
	if err != nil {
		panic(err)
	}
	return append(out, bytes...)
}

// The audit's reader and the ledger's, which share no code, read the same.
func TestEntriesAreReadAsTheLedgerReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := aMembership(t)
		text := stored(1, "", members)
		var ours entry
		require.NoError(t, ours.read(text))
		var theirs ledger.Entry
		require.NoError(t, theirs.UnmarshalBinary(text))
		require.Equal(t, theirs.At.UnixMilli(), ours.at)
		require.EqualValues(t, theirs.Run, ours.run)
		require.Equal(t, theirs.Flush, ours.flush)
		require.Equal(t, []span{{5, 10, 19}}, ours.spans)
		var mine page
		ours.spread.into(&mine)
		require.Equal(t, theirs.Members[:], mine.bytes())
		var lows []uint32
		ours.spread.each(func(low uint16) { lows = append(lows, uint32(low)) })
		require.Equal(t, members.ToArray(), lows)
		cut := rapid.IntRange(0, len(text)-1).Draw(t, "cut")
		require.Error(t, ours.read(text[:cut]))
	})
}

func TestEntriesOfActsAreReadAndOthersRefused(t *testing.T) {
	members := roaring.BitmapOf(1, 5, 70)
	for kind := range byte(13) {
		var e entry
		err := e.read(stored(kind, `{"why":"late"}`, members))
		switch kind {
		case 0, 3, 12:
			require.ErrorContains(t, err, "use a newer one", kind)
		case 1:
			require.NoError(t, err)
		default:
			require.NoError(t, err, kind)
			require.JSONEq(t, `{"why":"late"}`, string(e.act))
			require.Equal(t, []uint16{1, 5, 70}, e.spread.lows)
		}
	}
	var e entry
	require.ErrorContains(t, e.read(stored(5, "late", members)), "no JSON")
	require.ErrorContains(t, e.read(append([]byte{3}, make([]byte, 40)...)), "version 3")
}

func FuzzEntry(f *testing.F) {
	f.Add(stored(1, "", roaring.BitmapOf(1, 2, 3)))
	f.Add(stored(6, "{}", roaring.BitmapOf(9)))
	f.Fuzz(func(t *testing.T, text []byte) {
		var ours entry
		var theirs ledger.Entry
		if err := ours.read(text); theirs.UnmarshalBinary(text) == nil && theirs.Kind == ledger.EntryGrant {
			require.NoError(t, err)
			var mine page
			ours.spread.into(&mine)
			require.Equal(t, theirs.Members[:], mine.bytes())
		}
	})
}
