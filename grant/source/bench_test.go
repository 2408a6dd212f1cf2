package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// decoding hands the same fetch over again and again, into a pool whose sink discards everything.
type decoding struct {
	p     *partition
	f     fetched
	count int
	end   func()
}

func startDecoding(tb testing.TB, codec compress.Compression, topic grant.Input, value func(i int) []byte) *decoding {
	tb.Helper()
	const batches, records = 20, 1000
	d := &decoding{count: batches * records}
	for b := range batches {
		raw := rawBatch{base: int64(b * records), last: int64((b+1)*records - 1), codec: codec, producer: -1}
		for i := range records {
			offset := raw.base + int64(i)
			raw.records = append(raw.records, rec{offset: offset, value: value(int(offset))})
		}
		d.f.records = append(d.f.records, raw.encode(tb)...)
	}
	d.f.highest, d.f.stable = 1<<62, 1<<62
	topic.Topic, topic.MaxRejected = topicName, 1
	s := newSource(tb, []string{"127.0.0.1:1"}, func(c *Config) { c.Topic = topic })
	pool := dense.New(dense.Config{Config: sharding.Config{Shards: 1}}, discard{}, grant.Offsets{0: 0})
	d.p = &partition{Source: s, until: -1, lane: pool.Lane(0), decode: s.decode}
	done := make(chan error)
	go func() { done <- pool.Run(context.Background()) }()
	d.end = func() {
		pool.Close()
		require.NoError(tb, <-done)
	}
	return d
}

func (d *decoding) once(tb testing.TB) {
	tb.Helper()
	d.p.next = 0
	if err := d.p.handOver(context.Background(), d.f); err != nil || d.p.added != d.count {
		require.NoError(tb, err)
		require.Equal(tb, d.count, d.p.added)
	}
}

type discard struct{}

func (discard) Grant(context.Context, *dense.Flush) error { return nil }

func decimalID(i int) []byte { return fmt.Appendf(nil, "%09d", 100_000_000+i*2654435761%48_000_000) }

// benchSchema is of a record that has what the one in JSON has.
const benchSchema = `{"type":"record","name":"Event","fields":[{"name":"at","type":"string"},{"name":"user","type":
	{"type":"record","name":"User","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]}]}}]}`

var benchRecord = avro.MustParse(benchSchema)

var decodings = []struct {
	name  string
	codec compress.Compression
	topic grant.Input
	value func(i int) []byte
}{
	{"decimal", compress.None, grant.Input{Format: grant.FormatDecimal}, decimalID},
	{"int64be", compress.None, grant.Input{Format: grant.FormatInt64BE},
		func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }},
	{"json", compress.None, grant.Input{Format: grant.FormatJSON, Path: "user.id"}, func(i int) []byte {
		return fmt.Appendf(nil, `{"at":"2022-10-15T15:30:00+09:00","user":{"id":%s,"name":"x"}}`, decimalID(i))
	}},
	{"avro", compress.None, grant.Input{Format: grant.FormatAvro, Path: "user.id",
		Schemas: []grant.Schema{{ID: 7, Text: benchSchema}}},
		func(i int) []byte {
			user := map[string]any{"id": int64(100_000_000 + i*2654435761%48_000_000), "name": "x"}
			data, err := benchRecord.AppendEncode([]byte{0, 0, 0, 0, 7},
				map[string]any{"at": "2022-10-15T15:30:00+09:00", "user": user})
			if err != nil {
				panic(err)
			}
			return data
		}},
	{"decimal-gzip", compress.Gzip, grant.Input{Format: grant.FormatDecimal}, decimalID},
	{"decimal-snappy", compress.Snappy, grant.Input{Format: grant.FormatDecimal}, decimalID},
	{"decimal-lz4", compress.Lz4, grant.Input{Format: grant.FormatDecimal}, decimalID},
	{"decimal-zstd", compress.Zstd, grant.Input{Format: grant.FormatDecimal}, decimalID},
}

// BenchmarkDecode measures what a record costs from a response in memory to its lane: ns/op is for one record, and so
// are the allocations.
func BenchmarkDecode(b *testing.B) {
	for _, c := range decodings {
		b.Run(c.name, func(b *testing.B) {
			d := startDecoding(b, c.codec, c.topic, c.value)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += d.count {
				d.once(b)
			}
			b.StopTimer()
			d.end()
		})
	}
}

func TestARecordCostsNoAllocation(t *testing.T) {
	for _, c := range decodings {
		t.Run(c.name, func(t *testing.T) {
			d := startDecoding(t, c.codec, c.topic, c.value)
			defer d.end()
			d.once(t)
			perFetch := testing.AllocsPerRun(10, func() { d.once(t) })
			require.Less(t, perFetch, float64(d.count)/50, "for %d records in 20 batches", d.count)
		})
	}
}
