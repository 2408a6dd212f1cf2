package source

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/compress/snappy"
	"github.com/stretchr/testify/require"
)

// allocated returns how many bytes of memory a function takes.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A few bytes that declare to be gigabytes must not take that memory: whoever may write to the topic could stop the run.
func TestADeclaredSizeIsNotBelieved(t *testing.T) {
	big := uint64(3 << 30)
	zstd := []byte{0x28, 0xb5, 0x2f, 0xfd} // magic
	for name, b := range map[string]struct {
		codec compress.Compression
		data  []byte
	}{
		"a snappy block of 3 GiB":        {compress.Snappy, append(binary.AppendUvarint(nil, big), 1, 2, 3)},
		"a snappy block of 120 MiB":      {compress.Snappy, append(binary.AppendUvarint(nil, 120<<20), 1, 2, 3)},
		"a snappy block of 2^63":         {compress.Snappy, append(binary.AppendUvarint(nil, 1<<63), 1, 2, 3)},
		"a framed snappy block of 3 GiB": {compress.Snappy, frame(append(binary.AppendUvarint(nil, big), 1, 2, 3))},
		"a snappy frame of 2 GiB":        {compress.Snappy, append(frame(nil)[:xerialHeader], 0x7f, 0xff, 0xff, 0xff, 1, 2)},
		"a snappy frame cut off":         {compress.Snappy, frame([]byte{5, 16})[:18]},
		"a snappy header cut off":        {compress.Snappy, xerial},
		"a zstd frame of 2 GiB":          {compress.Zstd, append(slices.Clone(zstd), 0xa0, 0, 0, 0, 0x80, 0x09, 0, 0, 'x')},
		"a zstd frame of 120 MiB": {compress.Zstd,
			append(slices.Clone(zstd), 0xa0, 0, 0, 0x80, 0x07, 0x09, 0, 0, 'x')},
		"a zstd window of 512 MiB":            {compress.Zstd, append(slices.Clone(zstd), 0, 19<<3, 0x08, 0, 0, 'x')},
		"a zstd frame cut off":                {compress.Zstd, zstd},
		"a gzip stream cut off":               {compress.Gzip, pack(t, compress.Gzip, []byte("some data"))[:12]},
		"an lz4 frame cut off":                {compress.Lz4, pack(t, compress.Lz4, []byte("some data"))[:9]},
		"gzip that is something else":         {compress.Gzip, []byte("something else")},
		"lz4 that is something else":          {compress.Lz4, []byte("something else")},
		"zstd with a dictionary nobody knows": {compress.Zstd, append(slices.Clone(zstd), 0x03, 0, 1, 2, 3, 4, 9, 0, 0, 'x')},
	} {
		t.Run(name, func(t *testing.T) {
			raw := rawBatch{base: 7, last: 7, codec: b.codec}.seal(b.data, 1)
			var err error
			took := allocated(func() { _, _, err = handed(fetched{records: raw}, 7, -1) })
			require.ErrorIs(t, err, errCorrupt)
			require.Less(t, took, uint64(64<<20))
		})
	}
}

// Java's library frames Snappy blocks of 32 KiB, kafka-go's writer can do both, librdkafka and franz-go write one block.
func TestSnappyIsReadFramedAndUnframed(t *testing.T) {
	var list []byte
	for _, r := range users(0, 50_000) {
		list = kmsgRecord(r.offset, r).AppendTo(list)
	}
	for _, framing := range []snappy.Framing{snappy.Framed, snappy.Unframed} {
		var out bytes.Buffer
		w := (&snappy.Codec{Framing: framing}).NewWriter(&out)
		_, err := w.Write(list)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, framing == snappy.Framed, bytes.HasPrefix(out.Bytes(), xerial))
		raw := rawBatch{base: 0, last: 49_999, codec: compress.Snappy}.seal(out.Bytes(), 50_000)
		got, behind, err := handed(fetched{records: raw}, 0, -1)
		require.NoError(t, err)
		require.EqualValues(t, 50_000, behind)
		require.Len(t, got, 50_000)
	}
}

func frame(block []byte) []byte {
	head := append(slices.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	return append(binary.BigEndian.AppendUint32(head, uint32(len(block))), block...)
}

// The cleaner keeps the header of a batch whose records are all gone.
func TestAnEmptyCompressedBatchIsPassed(t *testing.T) {
	for _, codec := range codecs {
		got, behind, err := handed(fetched{records: rawBatch{base: 5, last: 9, codec: codec}.seal(nil, 0)}, 5, -1)
		require.NoError(t, err)
		require.EqualValues(t, 10, behind)
		require.Empty(t, got)
	}
}
