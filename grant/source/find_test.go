package source

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// What is found is what a run reads, and all of it: key, value, headers, in every compression.
func TestFindHandsOverWholeRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := genLog(t)
		want := map[int64]rec{}
		end := int64(0)
		var f fetched
		for _, b := range log {
			f.records = append(f.records, b.encode(t)...)
			for _, r := range b.records {
				if len(r.value)%2 == 0 {
					want[r.offset] = r
				}
			}
			end = b.last + 1
		}
		from := rapid.Int64Range(max(0, end-60), end+1).Draw(t, "from")
		var buf bytes.Buffer
		_, err := f.visible(from, end+1, func(b *batch, next int64, _ bool) (int64, error) {
			_, err := b.find(&buf, "", 3, next, end+1, func(p *Parts) bool { return len(p.Value)%2 == 0 }, func(r Record) error {
				require.Equal(t, 3, r.Partition)
				raw, ok := want[r.Offset]
				require.True(t, ok)
				delete(want, r.Offset)
				require.Equal(t, raw.key, r.Key)
				require.Equal(t, raw.value, r.Value)
				require.Len(t, r.Headers, len(raw.headers))
				for i, h := range raw.headers {
					require.Equal(t, Header{h.Key, h.Value}, r.Headers[i])
				}
				return nil
			})
			return next, err
		})
		require.NoError(t, err)
		for offset := range want {
			require.Less(t, offset, from, "a record was not found")
		}
	})
}

// A record that ends in another window of a batch that is streamed is as whole as the others.
func TestFindInABatchThatIsStreamed(t *testing.T) {
	const count, size = 300, 512<<10 - 7
	f := fetched{records: huge(t, codecs[4], count, size)}
	var buf bytes.Buffer
	found := 0
	_, err := f.visible(7, -1, func(b *batch, from int64, _ bool) (int64, error) {
		looked, err := b.find(&buf, "", 0, from, 1<<40, func(*Parts) bool { return true }, func(r Record) error {
			require.EqualValues(t, 7+found, r.Offset)
			require.Len(t, r.Value, size)
			found++
			return nil
		})
		require.EqualValues(t, count, looked)
		return from, err
	})
	require.NoError(t, err)
	require.Equal(t, count, found)
}

// On a broker: time, key and headers of the records of one user, and nobody else's.
func TestFindOneUser(t *testing.T) {
	cluster := fakeKafka(t, 2)
	at := time.Date(2022, 11, 5, 9, 0, 0, 123e6, time.UTC)
	var records []*kgo.Record
	for i := range 2000 {
		records = append(records, &kgo.Record{
			Topic: topicName, Partition: int32(i % 2), Value: fmt.Append(nil, i%500), Key: fmt.Append(nil, "k", i),
			Timestamp: at.Add(time.Duration(i) * time.Second),
			Headers:   []kgo.RecordHeader{{Key: "trace", Value: []byte{byte(i)}}},
		})
	}
	produce(t, cluster.ListenAddrs(), records...)
	s := newSource(t, cluster.ListenAddrs())
	user := func(p *Parts) bool {
		id, reason := s.Decode(p)
		return reason == "" && id.Number() == 123
	}
	var found []Record
	var read int64
	add := func(r Record) error { found = append(found, r); return nil }
	require.NoError(t, s.Find(t.Context(), 1, 0, 1000, user, add, func(n int64) { read += n }))
	require.EqualValues(t, 1000, read)
	require.Len(t, found, 4)
	slices.SortFunc(found, func(a, b Record) int { return a.Time.Compare(b.Time) })
	require.Equal(t, Record{
		Partition: 1, Offset: found[0].Offset, Time: at.Add(123 * time.Second), Key: []byte("k123"), Value: []byte("123"),
		Headers: []Header{{"trace", []byte{123}}},
	}, found[0])

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Find(ended, 1, 0, 1000, user, add, func(int64) {}), context.Canceled)
}

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
