package population

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

func TestBatchRoundTripsThroughKafkaGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := drawTopic(t)
		p, err := newPayload(topic)
		require.NoError(t, err)
		codec := compress.Compression(rapid.IntRange(0, 4).Draw(t, "codec"))
		b := newBatch(1 << 20)
		for range 2 { // the second time in used memory
			b.reset()
			b.opened = time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, "opened"))
			kinds := append(kindsOf(topic), KindFirst, KindFirst, KindFirst, KindFirst)
			var records []Record
			for range rapid.IntRange(1, 300).Draw(t, "records") {
				r := Record{ID: drawID(t, topic.MaxID), Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
				require.True(t, b.add(p, r))
				records = append(records, r)
			}
			sealed, err := b.seal(codec)
			require.NoError(t, err)
			got, set := decode(t, reader(sealed))
			require.Equal(t, codec, set.Attributes.Compression())
			require.Len(t, got, len(records))

			malformed := 0
			for i, r := range records {
				part, other := got[i].value, got[i].key
				switch {
				case topic.From == grant.FromKey:
					part, other = other, part
					require.Equal(t, []byte{}, other, "the value is empty, not null")
				case topic.From.Header() != "":
					require.Nil(t, other, "the key is null")
					require.Equal(t, []byte{}, part, "the value is empty, not null")
					require.Len(t, got[i].headers, 1)
					require.Equal(t, "user-id", got[i].headers[0].Key)
					part = got[i].headers[0].Value
				default:
					require.Nil(t, other, "the key is null")
				}
				require.EqualValues(t, i, got[i].offset)
				if r.Kind.Valid() {
					id, ok := judge(topic, part)
					require.True(t, ok)
					require.Equal(t, r.ID, id)
				} else {
					malformed++
					require.Equal(t, p.malformed(r), part)
				}
			}
			require.Equal(t, malformed, b.malformed)
		}
	})
}

func TestBatchHoldsItsTimestamp(t *testing.T) {
	p, err := newPayload(decimalTopic("t"))
	require.NoError(t, err)
	b := newBatch(4096)
	b.opened = time.UnixMilli(1_700_000_000_123)
	require.True(t, b.add(p, Record{ID: grant.NumberID(1)}))
	sealed, err := b.seal(compress.None)
	require.NoError(t, err)
	var set protocol.RecordSet
	_, err = set.ReadFrom(reader(sealed))
	require.NoError(t, err)
	r, err := set.Records.ReadRecord()
	require.NoError(t, err)
	require.True(t, r.Time.Equal(b.opened))
}

func TestBatchNeverExceedsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := drawTopic(t)
		p, err := newPayload(topic)
		require.NoError(t, err)
		limit := rapid.IntRange(1024, 200_000).Draw(t, "limit")
		b := newBatch(limit)
		kinds := append(kindsOf(topic), KindFirst)
		added := 0
		for b.add(p, Record{ID: grant.NumberID(uint64(added)), Kind: kinds[added%len(kinds)]}) {
			added++
		}
		sealed, err := b.seal(compress.None)
		require.NoError(t, err)
		require.LessOrEqual(t, len(sealed)-4, limit, "without the size before the batch")
		require.Greater(t, len(sealed), limit-hugeSize-200, "it is full")
		got, _ := decode(t, reader(sealed))
		require.Len(t, got, added)
	})
}

func BenchmarkBatch(b *testing.B) {
	for _, topic := range []grant.Input{
		decimalTopic("t"),
		{Topic: "t", Format: grant.FormatInt64BE},
		{Topic: "t", Format: grant.FormatJSON, Path: "user.id"},
	} {
		b.Run(string(topic.Format), func(b *testing.B) {
			p, err := newPayload(topic)
			require.NoError(b, err)
			const records = 10_000
			batch := newBatch(1_000_000)
			fill := func() int {
				batch.reset()
				for i := range uint64(records) {
					batch.add(p, Record{ID: grant.NumberID(48_000_000 - i)})
				}
				sealed, err := batch.seal(compress.None)
				require.NoError(b, err)
				return len(sealed)
			}
			b.SetBytes(int64(fill()))
			b.ReportAllocs()
			for b.Loop() {
				fill()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
		})
	}
}

// BenchmarkEncoders makes batches of 10,000 decimal users by this package and by kafka-go, from IDs to the bytes of a request.
// docs/performance.md has the figures: they are why this package has an encoder.
func BenchmarkEncoders(b *testing.B) {
	const records = 10_000
	ids := make([]grant.UserID, 0, records)
	for id := range (Plan{Topic: decimalTopic("t"), Users: records, Spread: 48_000_000}).IDs {
		ids = append(ids, id)
	}
	report := func(b *testing.B) {
		b.Helper()
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
	}
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		encoding, err := newPayload(decimalTopic("t"))
		require.NoError(b, err)
		batch := newBatch(1_000_000)
		for b.Loop() {
			batch.reset()
			batch.opened = time.Now()
			for _, id := range ids {
				batch.add(encoding, Record{ID: id})
			}
			_, err := batch.seal(compress.None)
			require.NoError(b, err)
		}
		report(b)
	})
	b.Run("kafka-go", func(b *testing.B) {
		b.ReportAllocs()
		list := make([]kafka.Record, records)
		text := make([]byte, 0, 20*records)
		var out bytes.Buffer
		for b.Loop() {
			text = text[:0]
			now := time.Now()
			for i, id := range ids {
				from := len(text)
				text = id.Append(text)
				list[i] = kafka.Record{Time: now, Value: kafka.NewBytes(text[from:])}
			}
			out.Reset()
			set := protocol.RecordSet{Version: 2, Records: kafka.NewRecordReader(list...)}
			_, err := set.WriteTo(&out)
			require.NoError(b, err)
		}
		report(b)
	})
}

func BenchmarkPlan(b *testing.B) {
	for _, p := range []Plan{
		{Users: 48_000_000, Order: Ascending},
		{Users: 48_000_000},
		{Users: 48_000_000, Spread: 400_000_000},
		{Users: 48_000_000, Duplicates: 1},
	} {
		p.Topic = decimalTopic("t")
		b.Run(fmt.Sprintf("order=%s/spread=%d/duplicates=%g", p.Order, p.Spread, p.Duplicates), func(b *testing.B) {
			src := p.Source()
			block := make([]Record, blockRecords)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := src.Next(b.Context(), block); err != nil {
					src = p.Source()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/blockRecords, "ns/record")
		})
	}
}
