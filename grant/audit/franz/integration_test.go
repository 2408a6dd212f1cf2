//go:build integration

package franz

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
)

// On a real Kafka both readers see the same of a topic with transactions, committed, aborted and left open, with batches of all
// codecs, and with holes that compaction made.
func TestBothReadersAgreeOnRealServers(t *testing.T) {
	kafka := devtest.SharedKafka(t)
	name := fmt.Sprintf("second-%d", time.Now().UnixNano())
	kafka.CreateTopic(t, name, 1, 1, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "10", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0",
	})
	w := newWorld(t, kafka.Brokers, name)
	for i := range 40 { // many small batches, of which compaction leaves little
		var list []*kgo.Record
		for j := range 20 {
			key := strconv.Itoa((20*i + j) % 37)
			list = append(list, &kgo.Record{Topic: name, Key: []byte(key), Value: fmt.Append(nil, 20*i+j)})
		}
		require.NoError(t, w.client.ProduceSync(t.Context(), list...).FirstErr())
	}
	producer := w.connect(kgo.TransactionalID(name), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	transaction := func(how kgo.TransactionEndTry, from, to int) {
		t.Helper()
		require.NoError(t, producer.BeginTransaction())
		for i := from; i < to; i++ {
			r := &kgo.Record{Topic: name, Key: fmt.Append(nil, "t", i), Value: fmt.Append(nil, i)}
			require.NoError(t, producer.ProduceSync(t.Context(), r).FirstErr())
		}
		require.NoError(t, producer.EndTransaction(t.Context(), how))
	}
	transaction(kgo.TryCommit, 5000, 5010)
	transaction(kgo.TryAbort, 6000, 6010)
	transaction(kgo.TryCommit, 7000, 7010)
	transaction(kgo.TryAbort, 8000, 8005)
	own, second := w.readers()
	bounds, err := own.Bounds(t.Context())
	require.NoError(t, err)
	end := bounds.Ends[0]
	require.Eventually(t, func() bool { return len(w.read(own, 0, end).records) == 37+20 }, patience, 200*time.Millisecond)

	require.NoError(t, producer.BeginTransaction())
	open := &kgo.Record{Topic: name, Key: []byte("open"), Value: []byte("9000")}
	require.NoError(t, producer.ProduceSync(t.Context(), open).FirstErr())
	held := w.read(second, end, open.Offset+1)
	require.Equal(t, w.read(own, end, open.Offset+1), held)
	require.LessOrEqual(t, held.next, open.Offset, "an open transaction holds it back") // the marker of the one before comes late
	require.NoError(t, producer.EndTransaction(t.Context(), kgo.TryCommit))

	for i := range 3 { // without a key nothing is compacted: a topic takes no such record, so keys that are new
		codecs := []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression()}
		client := w.connect(kgo.ProducerBatchCompression(codecs[i]))
		var list []*kgo.Record
		for j := range 200 {
			list = append(list, &kgo.Record{Topic: name, Key: fmt.Append(nil, i, "-", j), Value: fmt.Append(nil, 10_000+200*i+j)})
		}
		require.NoError(t, client.ProduceSync(t.Context(), list...).FirstErr())
	}
	all := w.agrees()
	require.GreaterOrEqual(t, len(all.records), 37+20+1+600)
	for _, r := range all.records {
		require.NotContains(t, r, `"600`, "of an aborted transaction")
		require.NotContains(t, r, `"800`, "of an aborted transaction")
	}
}
