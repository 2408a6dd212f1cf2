//go:build !race

// What is here inflates more than memory takes, in one goroutine: the race detector would find nothing, eight times as slowly.

package source

import (
	"bytes"
	"io"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
)

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
				return from, b.visit(&buf, "", from, 1<<40, func(offset int64, p *Parts) error {
					value := p.Value
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

func TestABatchThatInflatesWithoutEndIsRefused(t *testing.T) {
	for _, codec := range codecs[1:] {
		bomb := new(bytes.Buffer)
		w := codec.Codec().NewWriter(bomb)
		_, err := io.CopyN(w, zeros{}, maxInflated+1<<20)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		raw := rawBatch{base: 7, last: 7, codec: codec}.seal(bomb.Bytes(), 1)
		_, _, err = handed(fetched{records: raw}, 7, -1)
		require.ErrorIs(t, err, errCorrupt, codec)
		require.ErrorIs(t, err, errInflated, codec)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
