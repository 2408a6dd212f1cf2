package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

var codecs = []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd}

// handed collects what a fetch hands over from an offset on.
func handed(f fetched, next, until int64) (list []rec, behind int64, err error) {
	var buf bytes.Buffer
	behind, err = f.visible(next, until, func(b *batch, next int64, hidden bool) (int64, error) {
		if hidden {
			return next, nil
		}
		limit := until
		if limit < 0 {
			limit = 1<<63 - 1
		}
		return next, b.visit(&buf, "", next, limit, func(offset int64, p *Parts) error {
			key, value := p.Key, p.Value
			list = append(list, rec{offset: offset, key: bytes.Clone(key), value: bytes.Clone(value)})
			return nil
		})
	})
	return list, behind, err
}

func genBytes(most int) *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOfN(rapid.Byte(), 1, most),
		rapid.Custom(func(t *rapid.T) []byte { return fmt.Append(nil, rapid.Int64().Draw(t, "id")) }),
	)
}

// genLog makes the batches of a partition: with gaps inside and between them, empty ones, and any compression.
func genLog(t *rapid.T) (batches []rawBatch) {
	offset := rapid.Int64Range(0, 1<<40).Draw(t, "first")
	for range rapid.IntRange(0, 5).Draw(t, "batches") {
		b := rawBatch{base: offset, codec: rapid.SampledFrom(codecs).Draw(t, "codec"), producer: -1}
		for range rapid.IntRange(0, 8).Draw(t, "records") {
			offset += rapid.Int64Range(0, 3).Draw(t, "gap")
			b.records = append(b.records, rec{
				offset: offset, key: genBytes(20).Draw(t, "key"), value: genBytes(300).Draw(t, "value"),
				headers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kmsg.Header {
					return kmsg.Header{Key: rapid.String().Draw(t, "name"), Value: genBytes(10).Draw(t, "header")}
				}), 0, 2).Draw(t, "headers"),
			})
			offset++
		}
		b.last = max(b.base, offset-1+rapid.Int64Range(0, 3).Draw(t, "tail"))
		offset = b.last + 1 + rapid.Int64Range(0, 3).Draw(t, "hole")
		batches = append(batches, b)
	}
	return batches
}

// between returns the records of some batches from one offset up to another, as a consumer sees them: without headers.
func between(batches []rawBatch, from, until int64) (list []rec) {
	for _, b := range batches {
		for _, r := range b.records {
			if r.offset >= from && (until < 0 || r.offset < until) {
				list = append(list, rec{offset: r.offset, key: r.key, value: r.value})
			}
		}
	}
	return list
}

func TestEveryRecordFromThePositionOnIsHandedOverOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := genLog(t)
		var f fetched
		end := int64(0)
		for _, b := range log {
			f.records = append(f.records, b.encode(t)...)
			end = b.last + 1
		}
		from := rapid.Int64Range(max(0, end-60), end+1).Draw(t, "from")
		until := rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(from, end+10)).Draw(t, "until")
		got, behind, err := handed(f, from, until)
		require.NoError(t, err)
		require.Equal(t, between(log, from, until), got)
		want := max(from, end)
		if until >= 0 {
			want = min(want, until)
		}
		require.Equal(t, want, behind)
	})
}

// A connection may end anywhere, and brokers cut a response off at the size that was asked for.
func TestWhatIsCutOffIsNotHandedOver(t *testing.T) {
	for _, codec := range codecs {
		log := []rawBatch{batchOf(users(100, 103)...), batchOf(users(103, 110)...), batchOf(users(120, 121)...)}
		var whole []byte
		ends := map[int]int64{0: 100} // bytes to the offset behind the last whole batch
		for i := range log {
			log[i].codec = codec
			whole = append(whole, log[i].encode(t)...)
			ends[len(whole)] = log[i].last + 1
		}
		last := int64(0)
		for n := range len(whole) + 1 {
			if end, ok := ends[n]; ok {
				last = end
			}
			got, behind, err := handed(fetched{records: whole[:n]}, 100, -1)
			require.NoError(t, err)
			require.Equal(t, last, behind, "%s cut off at byte %d", codec, n)
			require.Equal(t, between(log, 100, last), got)
		}
	}
}

func TestAnyDamagedBitIsNoticed(t *testing.T) {
	for _, codec := range codecs {
		b := batchOf(users(100, 105)...)
		b.codec = codec
		good := b.encode(t)
		for bit := range 8 * len(good) {
			bad := slices.Clone(good)
			bad[bit/8] ^= 0x80 >> (bit % 8)
			if bit/8 < 8 || bit/8 >= 12 && bit/8 < 16 {
				continue // brokers assign the base offset and the leader epoch, so Kafka leaves them out of the CRC
			}
			_, _, err := readBatch(bad)
			require.Error(t, err, "%s, bit %d", codec, bit)
			if !errors.Is(err, errCorrupt) && !errors.Is(err, errFormat) {
				require.ErrorIs(t, err, errTruncated)
				require.Less(t, bit/8, 12, "only a damaged length looks like a response cut off")
			}
		}
	}
}

// Records that contradict their batch would be lost or counted twice if they were believed.
func TestABatchThatContradictsItselfIsRefused(t *testing.T) {
	good := batchOf(users(100, 103)...)
	list := func(deltas ...int64) (data []byte) {
		for _, d := range deltas {
			data = kmsgRecord(d, user(100+d)).AppendTo(data)
		}
		return data
	}
	for name, b := range map[string][]byte{
		"a record too many":          good.seal(list(0, 1, 2), 2),
		"a record too few":           good.seal(list(0, 1), 3),
		"no records":                 good.seal(nil, 3),
		"more records than offsets":  good.seal(list(0, 1, 2, 3), 4),
		"descending offsets":         good.seal(list(0, 2, 1), 3),
		"the same offset twice":      good.seal(list(0, 1, 1), 3),
		"an offset beyond the last":  good.seal(list(0, 1, 3), 3),
		"a negative offset":          good.seal(list(-1, 1, 2), 3),
		"a negative count":           good.seal(nil, -1),
		"a negative last offset":     rawBatch{base: 100, last: 99}.seal(nil, 0),
		"a negative base offset":     rawBatch{base: -5, last: -3}.seal(list(0, 1, 2), 3),
		"offsets beyond the largest": rawBatch{base: 1<<63 - 2, last: 1<<63 - 1}.seal(nil, 0)[:batchHeader:batchHeader],
		"an unknown compression":     rawBatch{base: 100, last: 102, attributes: 5}.seal(list(0, 1, 2), 3),
		"compression that is none":   rawBatch{base: 100, last: 102, codec: compress.Gzip}.seal(list(0, 1, 2), 3),
		"a record of no bytes":       good.seal(append(list(0, 1), 0), 3),
		"a record longer than all":   good.seal(append(list(0, 1), 0x7f, 0), 3),
		"a key longer than all":      good.seal(append(list(0, 1), 10, 0, 0, 4, 0x7f, 0), 3),
		"a length below null":        good.seal(append(list(0, 1), 10, 0, 0, 4, 3, 0), 3),
		"a length without end":       good.seal(append(list(0, 1), bytes.Repeat([]byte{0xff}, 12)...), 3),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "offsets beyond the largest" {
				binary.BigEndian.PutUint32(b[23:], 5)
				b = withCRC(b)
			}
			got, behind, err := handed(fetched{records: b}, 100, -1)
			require.ErrorIs(t, err, errCorrupt)
			require.LessOrEqual(t, behind, int64(100), "the position stays in front of the batch")
			require.LessOrEqual(t, len(got), 3)
		})
	}
	got, behind, err := handed(fetched{records: good.seal(list(0, 1, 2), 3)}, 100, -1)
	require.NoError(t, err)
	require.EqualValues(t, 103, behind)
	require.Len(t, got, 3)
}

func TestOldMessageFormatsAreNamed(t *testing.T) {
	for magic := range byte(2) {
		// offset, size, CRC, magic, attributes, key and value: an old message, shorter than a batch's header
		old := append(binary.BigEndian.AppendUint64(nil, 42), 0, 0, 0, 15, 1, 2, 3, 4, magic, 0, 255, 255, 255, 255, 0, 0, 0, 1,
			'7')
		_, _, err := readBatch(old)
		require.ErrorIs(t, err, errFormat)
		require.ErrorContains(t, err, fmt.Sprintf("offset 42 has message format %d", magic))
		_, again := Classify(err)
		require.False(t, again, "it does not go away by waiting")
	}
}

// kafka-go's writer is another encoder that shares no code with the decoder.
func TestKafkaGoWritesWhatIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []kafka.Record
		var want []rec
		for i := range rapid.IntRange(1, 50).Draw(t, "records") {
			r := rec{offset: int64(i), key: genBytes(10).Draw(t, "key"), value: genBytes(50).Draw(t, "value")}
			want = append(want, r)
			list = append(list, kafka.Record{
				Key: kafka.NewBytes(r.key), Value: kafka.NewBytes(r.value),
				Time:    time.UnixMilli(rapid.Int64Range(1, 1<<40).Draw(t, "time")),
				Headers: []kafka.Header{{Key: "k", Value: []byte("v")}},
			})
		}
		codec := rapid.SampledFrom(codecs).Draw(t, "codec")
		var out bytes.Buffer
		set := protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(list...)}
		_, err := set.WriteTo(&out)
		require.NoError(t, err)
		got, behind, err := handed(fetched{records: out.Bytes()[4:]}, 0, -1)
		require.NoError(t, err)
		require.EqualValues(t, len(want), behind)
		require.Equal(t, want, got)
	})
}

func TestAHugeValueIsRead(t *testing.T) {
	huge := rec{offset: 9, key: []byte{}, value: bytes.Repeat([]byte("0123456789abcdef"), 2<<20)}
	for _, codec := range codecs {
		b := batchOf(huge)
		b.codec = codec
		got, _, err := handed(fetched{records: b.encode(t)}, 0, -1)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.True(t, bytes.Equal(huge.value, got[0].value))
		require.NotNil(t, got[0].key)
	}
}

func FuzzReadBatch(f *testing.F) {
	for _, codec := range codecs {
		b := batchOf(users(100, 105)...)
		b.codec = codec
		f.Add(b.encode(f), int64(100))
		b.attributes, b.producer = attrTransaction, 5
		f.Add(append(b.encode(f), b.encode(f)...), int64(103))
	}
	f.Add([]byte{130, 83, 78, 65, 80, 80, 89, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff}, int64(0))
	f.Fuzz(func(t *testing.T, data []byte, from int64) {
		check := func(data []byte) {
			got, behind, err := handed(fetched{records: data}, from, -1)
			if err != nil {
				require.True(t, errors.Is(err, errCorrupt) || errors.Is(err, errFormat), "%v", err)
			}
			require.GreaterOrEqual(t, behind, from)
			require.True(t, slices.IsSortedFunc(got, func(a, b rec) int {
				if a.offset < b.offset {
					return -1
				}
				return 1
			}), "offsets ascend, none comes twice")
			require.LessOrEqual(t, len(got), maxInflated)
		}
		check(data)
		// A hostile producer's CRC is right.
		if fixed := slices.Clone(data); len(fixed) > batchHeader {
			binary.BigEndian.PutUint32(fixed[8:], uint32(len(fixed)-batchPrefix))
			fixed[16] = 2
			check(withCRC(fixed))
		}
	})
}

func FuzzReadRecord(f *testing.F) {
	for _, r := range []rec{user(3), {key: []byte("k"), value: []byte{}}, {headers: []kmsg.Header{{Key: "h"}}}} {
		f.Add(kmsgRecord(r.offset, r).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got record
		rest, err := readRecord(data, &got)
		if err != nil {
			require.ErrorIs(t, err, errCorrupt)
			return
		}
		require.True(t, bytes.HasSuffix(data, rest))
		require.LessOrEqual(t, len(got.Key)+len(got.Value)+len(rest), len(data))
		var want kmsg.Record // franz-go is stricter: it reads the headers as well
		if want.ReadFrom(data[:len(data)-len(rest)]) == nil {
			require.Equal(t, want.Key, got.Key)
			require.Equal(t, want.Value, got.Value)
			require.Equal(t, want.OffsetDelta, int32(got.delta))
		}
	})
}
