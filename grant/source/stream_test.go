package source

import (
	"bytes"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
)

// huge compresses records whose values have a size, into one batch.
func huge(t *testing.T, codec compress.Compression, count, size int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := codec.Codec().NewWriter(&packed)
	value := bytes.Repeat([]byte("x"), size)
	for i := range count {
		_, err := w.Write(kmsgRecord(int64(i), rec{value: value}).AppendTo(nil))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return rawBatch{base: 7, last: 6 + int64(count), producer: -1, codec: codec}.seal(packed.Bytes(), count)
}

// A small batch may inflate to more than is held at once. Brokers and other clients take it, and so must this one.
func TestABatchThatInflatesBeyondMemoryIsStreamed(t *testing.T) {
	const count, size = 300, 512<<10 - 7
	for _, codec := range codecs[1:] {
		raw := huge(t, codec, count, size)
		var buf bytes.Buffer
		next := int64(7)
		took := allocated(func() {
			f := fetched{records: raw}
			_, err := f.visible(7, -1, func(b *batch, from int64, _ bool) (int64, error) {
				return from, b.visit(&buf, from, 1<<40, func(offset int64, _, value []byte) error {
					require.Equal(t, next, offset)
					require.Len(t, value, size)
					next++
					return nil
				})
			})
			require.NoError(t, err, codec)
		})
		require.EqualValues(t, 7+count, next, codec)
		require.Less(t, took, uint64(10*maxInflated), codec)
		require.LessOrEqual(t, buf.Cap(), keepInflated, "what was tried first is given back")
	}
}

func TestARecordBeyondMemoryIsRefused(t *testing.T) {
	raw := huge(t, compress.Zstd, 1, maxInflated+1)
	_, _, err := handed(fetched{records: raw}, 7, -1)
	require.ErrorIs(t, err, errCorrupt)
	require.ErrorIs(t, err, errInflated)
}
