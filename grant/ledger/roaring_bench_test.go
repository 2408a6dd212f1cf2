package ledger

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding/dense"
)

// BenchmarkMembers writes and reads the members of one journal entry by the ledger's own codec and by the Roaring library, into
// memory that is used again where the library allows it. docs/performance.md has the figures: they are why there is a codec.
func BenchmarkMembers(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) *dense.Bitmap {
		m := new(dense.Bitmap)
		for _, low := range r.Perm(dense.ChunkSize)[:n] {
			m.Set(uint16(low))
		}
		return m
	}
	for _, c := range []struct {
		name    string
		members *dense.Bitmap
	}{{"6", random(6)}, {"100", random(100)}, {"1400", random(1400)}, {"8192", random(8192)}, {"65536", random(dense.ChunkSize)}} {
		b.Run("write/"+c.name+"/own", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = appendTail(buf[:0], nil, nil, c.members)
			}
		})
		b.Run("write/"+c.name+"/library", func(b *testing.B) {
			b.ReportAllocs()
			set := roaring.New()
			var buf bytes.Buffer
			var lows []uint16
			var ids []uint32
			for b.Loop() {
				lows, ids = c.members.Lows(lows[:0]), ids[:0]
				for _, low := range lows {
					ids = append(ids, uint32(low))
				}
				set.Clear()
				set.AddMany(ids) // ascending; FromDense is slower
				set.RunOptimize()
				buf.Reset()
				if _, err := set.WriteTo(&buf); err != nil {
					b.Fatal(err)
				}
			}
		})
		stored := container(c.members)
		b.Run("read/"+c.name+"/own", func(b *testing.B) {
			b.ReportAllocs()
			got := new(dense.Bitmap)
			count := c.members.Count()
			for b.Loop() {
				m, err := openMembers(stored, count)
				if err == nil {
					err = m.decode(got)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			require.True(b, same(c.members, got))
		})
		b.Run("read/"+c.name+"/library", func(b *testing.B) {
			b.ReportAllocs()
			got, words, set := new(dense.Bitmap), make([]uint64, dense.Words), roaring.New()
			for b.Loop() {
				if _, err := set.FromUnsafeBytes(stored); err != nil {
					b.Fatal(err)
				}
				if err := set.Validate(); err != nil { // as the codec does: another program may have written it
					b.Fatal(err)
				}
				clear(words)
				set.WriteDenseTo(words)
				for i, w := range words {
					got.SetWord(i, bits.Reverse64(w))
				}
			}
			require.True(b, same(c.members, got))
		})
	}
}
