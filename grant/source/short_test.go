package source

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The short way to read a record comes to the same as the long one, whatever the bytes, and is the way of ordinary records.
func TestShortRecordsAreReadAsAllAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	short, damaged := 0, 0
	for range 100_000 {
		r := rec{value: []byte("48000000")[:random.IntN(9)]}
		if random.IntN(9) == 0 {
			r.key = []byte("key")
		}
		if random.IntN(9) == 0 {
			r.headers = []kmsg.Header{{Key: "h", Value: []byte("value")}}
		}
		k := kmsgRecord(random.Int64N(1<<random.IntN(26)), r)
		k.TimestampDelta64 = random.Int64N(1 << random.IntN(40))
		k.Length = 0
		k.Length = int32(len(k.AppendTo(nil)) - 1)
		data := k.AppendTo(nil)
		if random.IntN(2) == 0 { // anything may be wrong with it
			data[random.IntN(len(data))] = byte(random.Uint32())
			data = data[:len(data)-random.IntN(3)]
			damaged++
		} else if len(data) < 64 && r.key == nil && k.TimestampDelta64 < 1<<27 && k.OffsetDelta < 1<<20 && len(r.value) > 0 {
			_, ok := readShort(data, new(record))
			require.True(t, ok, "%v is read the long way", data)
			short++
		}
		data = append(slices.Clip(data), 1, 2, 3) // of the next record
		var got, want record
		rest, ok := readShort(data, &got)
		if !ok {
			continue
		}
		behind, err := readAny(data, &want)
		require.NoError(t, err, "%v", data)
		want.headers = nil // which the short way passes over
		require.Equal(t, want, got, "%v", data)
		require.Equal(t, behind, rest)
		require.Equal(t, cap(want.Value), cap(got.Value), "nobody who appends to a value writes into what is behind it")
	}
	require.Greater(t, short, 15_000)
	require.Greater(t, damaged, 30_000)
}
