package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/dense/densetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testMainOptions...) }

// patience is how long a test waits for what must happen: far longer than it takes, because machines are busy.
const patience = 60 * time.Second

// rec is a record as a test writes and expects it. The offset is the one in the partition.
type rec struct {
	offset     int64
	key, value []byte
	headers    []kmsg.Header
}

// user is a record that holds its own offset as the user's ID.
func user(offset int64) rec {
	return rec{offset: offset, value: strconv.AppendInt(nil, offset, 10)}
}

func users(from, to int64) (list []rec) {
	for o := from; o < to; o++ {
		list = append(list, user(o))
	}
	return list
}

// rawBatch is a record batch, written by franz-go's encoder, which shares no code with the decoder.
type rawBatch struct {
	base, last int64 // last may be beyond the last record, as in a compacted topic
	codec      compress.Compression
	attributes int16
	producer   int64
	records    []rec
}

func batchOf(records ...rec) rawBatch {
	return rawBatch{base: records[0].offset, last: records[len(records)-1].offset, producer: -1, records: records}
}

func (b rawBatch) encode(t require.TestingT) []byte {
	var list []byte
	for _, r := range b.records {
		list = kmsgRecord(r.offset-b.base, r).AppendTo(list)
	}
	return b.seal(pack(t, b.codec, list), len(b.records))
}

func kmsgRecord(delta int64, r rec) *kmsg.Record {
	k := &kmsg.Record{OffsetDelta: int32(delta), Key: r.key, Value: r.value, Headers: r.headers}
	k.Length = int32(len(k.AppendTo(nil)) - 1) // the length itself took one byte, because it was 0
	return k
}

// seal puts a header in front of records that may be compressed.
func (b rawBatch) seal(records []byte, count int) []byte {
	k := kmsg.RecordBatch{
		FirstOffset: b.base, Length: int32(49 + len(records)), PartitionLeaderEpoch: 7, Magic: 2,
		Attributes: b.attributes | int16(b.codec), LastOffsetDelta: int32(b.last - b.base),
		ProducerID: b.producer, NumRecords: int32(count), Records: records,
	}
	return withCRC(k.AppendTo(nil))
}

func withCRC(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
	return batch
}

func pack(t require.TestingT, codec compress.Compression, data []byte) []byte {
	kinds := map[compress.Compression]kgo.CompressionCodec{
		compress.Gzip: kgo.GzipCompression(), compress.Snappy: kgo.SnappyCompression(),
		compress.Lz4: kgo.Lz4Compression(), compress.Zstd: kgo.ZstdCompression(),
	}
	kind, ok := kinds[codec]
	if !ok {
		return data
	}
	c, err := kgo.DefaultCompressor(kind)
	require.NoError(t, err)
	out, used := c.Compress(new(bytes.Buffer), data)
	require.EqualValues(t, codec, used)
	return slices.Clone(out)
}

// reading is a Consume under way, into a pool with a sink of its own.
type reading struct {
	*densetest.Memory
	t      *testing.T
	pool   *sharding.Pool
	done   chan error
	cancel context.CancelFunc
}

// ids are who is granted, ascending.
func (r *reading) ids() []int64 {
	ids := []int64{}
	for _, id := range r.IDs() {
		ids = append(ids, int64(id))
	}
	slices.Sort(ids)
	return ids
}

func read(t *testing.T, s *Source, partition int, from, until int64, set ...func(*dense.Config)) *reading {
	t.Helper()
	r := &reading{Memory: densetest.NewMemory(), t: t, done: make(chan error, 1)}
	cfg := dense.Config{Config: sharding.Config{Shards: 2, BlockIDs: 100}}
	for _, fn := range set {
		fn(&cfg)
	}
	r.pool = dense.New(cfg, r.Memory, grant.Offsets{partition: from})
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	t.Cleanup(r.cancel)
	go func() {
		var g errgroup.Group
		g.Go(func() error { return r.pool.Run(context.Background()) })
		err := s.Consume(ctx, partition, from, until, r.pool.Lane(partition))
		r.pool.Close()
		if broken := g.Wait(); broken != nil {
			err = broken
		}
		r.done <- err
	}()
	return r
}

// end waits for Consume to return.
func (r *reading) end() (sharding.Position, error) {
	r.t.Helper()
	select {
	case err := <-r.done:
		return r.position(), err
	case <-time.After(patience):
		require.Fail(r.t, "Consume does not return", "position %+v", r.position())
		panic("unreachable")
	}
}

func (r *reading) position() sharding.Position {
	positions, err := r.pool.Positions()
	require.NoError(r.t, err)
	return positions[0]
}

// reaches waits until everything up to an offset is granted.
func (r *reading) reaches(next int64) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.position().Next >= next }, patience, time.Millisecond, "of %d", next)
}

// requireUsers ends a reading of records that each hold another user, and requires exactly these users.
func (r *reading) requireUsers(next int64, want ...rec) {
	r.t.Helper()
	p, err := r.end()
	require.NoError(r.t, err)
	require.Equal(r.t, next, p.Next)
	if got := r.ids(); !slices.Equal(offsetsOf(want), got) {
		require.Equal(r.t, offsetsOf(want)[:min(len(want), 200)], got[:min(len(got), 200)], "%d of %d users", len(got), len(want))
		require.Len(r.t, got, len(want))
		require.Fail(r.t, "not these users", "%v", got[200:])
	}
	require.EqualValues(r.t, len(want), p.Granted)
	require.Equal(r.t, p.Granted, p.Consumed, "nothing is handed over twice, nothing rejected")
}

func offsetsOf(list []rec) []int64 {
	out := []int64{}
	for _, r := range list {
		out = append(out, r.offset)
	}
	slices.Sort(out)
	return out
}

// forever makes a source try again for as long as the test lasts: what fails in spite of it fails at once.
func forever(c *Config) { c.RetryFor = time.Hour }

// witness is an observer that remembers.
type witness struct {
	mu       sync.Mutex
	kinds    []string
	rejected []string
	next     int64
	open     [2]int64 // of the last open transaction: first offset and records
}

func (w *witness) OpenTransaction(_ int, first, records int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = [2]int64{first, records}
}

func (w *witness) transaction() [2]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

func (w *witness) Position(_ int, next, _ int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = next
}

func (w *witness) Rejected(r grant.Reject) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rejected = append(w.rejected, r.Reason)
}

func (w *witness) KafkaError(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kinds = append(w.kinds, kind)
}

func (w *witness) errors() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kinds)
}

const topicName = "kakaotalk-users"

// newSource makes a source of decimal user IDs.
func newSource(tb testing.TB, brokers []string, options ...func(*Config)) *Source {
	tb.Helper()
	cfg := Config{
		Kafka:    Kafka{Brokers: brokers},
		Topic:    grant.Input{Topic: topicName, Format: grant.FormatDecimal, MaxRejected: 1},
		Campaign: "sorry", Run: 0xabc, Pass: grant.Pass{Group: "granter-sorry"}, RetryFor: patience,
		Log: slog.New(slog.NewTextHandler(tb.Output(), nil)),
	}
	for _, o := range options {
		o(&cfg)
	}
	s, err := New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

func clientOf(t *testing.T, brokers ...string) *kafka.Client {
	transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: patience}
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
