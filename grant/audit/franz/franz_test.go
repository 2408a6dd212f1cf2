package franz

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// world is a topic with what can be in one.
type world struct {
	*testing.T
	brokers []string
	topic   string
	client  *kgo.Client
}

func newWorld(t *testing.T, brokers []string, topic string) *world {
	t.Helper()
	w := &world{T: t, brokers: brokers, topic: topic}
	w.client = w.connect()
	return w
}

func (w *world) connect(opts ...kgo.Opt) *kgo.Client {
	w.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(w, err)
	w.Cleanup(client.Close)
	return client
}

// compressed publishes batches of every codec.
func (w *world) compressed() {
	w.Helper()
	for i, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		client := w.connect(kgo.ProducerBatchCompression(codec))
		var list []*kgo.Record
		for j := range 300 {
			r := &kgo.Record{Topic: w.topic, Value: fmt.Append(nil, 1000*i+j), Key: []byte(strings.Repeat("k", j%7))}
			if j%50 == 0 {
				r.Key, r.Value = nil, nil
			}
			for range j % 4 { // the last one counts
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: "user-id", Value: fmt.Append(nil, len(r.Headers))},
					kgo.RecordHeader{Key: "x"})
			}
			list = append(list, r)
		}
		require.NoError(w, client.ProduceSync(w.Context(), list...).FirstErr())
	}
}

func (w *world) deleteRecords(before int64) {
	w.Helper()
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.TimeoutMillis = 10_000
	q.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: w.topic,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: before}}}}
	resp, err := q.RequestWith(w.Context(), w.client)
	require.NoError(w, err)
	require.Zero(w, resp.Topics[0].Partitions[0].ErrorCode)
}

// seen is what a reader sees of a partition.
type seen struct {
	records []string
	next    int64
	gap     *grant.GapError
}

func (w *world) read(topic audit.Topic, from, until int64) (out seen) {
	w.Helper()
	ctx, stop := context.WithTimeout(w.Context(), patience)
	defer stop()
	var err error
	out.next, err = topic.Read(ctx, 0, from, until, func(offset int64, p *source.Parts) error {
		out.records = append(out.records, fmt.Sprintf("%d %q %v %q %v %q %v", offset,
			p.Key, p.Key == nil, p.Value, p.Value == nil, p.Header, p.Header == nil))
		return nil
	})
	if gap, gone := errors.AsType[*grant.GapError](err); gone {
		out.gap, err = gap, nil
	}
	require.NoError(w, err)
	return out
}

func (w *world) readers() (own *source.Source, second *Topic) {
	w.Helper()
	own, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: w.brokers}, RetryFor: patience,
		Topic: grant.Input{Topic: w.topic, Format: grant.FormatDecimal, From: grant.FromHeader + "user-id"},
	})
	require.NoError(w, err)
	w.Cleanup(func() { own.Close() })
	second, err = Open(source.Kafka{Brokers: w.brokers}, w.topic, "user-id", patience)
	require.NoError(w, err)
	w.Cleanup(second.Close)
	return own, second
}

// agrees requires that both readers see the same, from wherever they begin, and returns what they see of all.
func (w *world) agrees() seen {
	w.Helper()
	own, second := w.readers()
	id, err := own.Identify(w.Context())
	require.NoError(w, err)
	other, err := second.Identify(w.Context())
	require.NoError(w, err)
	require.Equal(w, id, other)
	bounds, err := own.Bounds(w.Context())
	require.NoError(w, err)
	others, err := second.Bounds(w.Context())
	require.NoError(w, err)
	require.Equal(w, bounds, others)
	first, end := bounds.Firsts[0], bounds.Ends[0]
	for from := first; from < end; from += (end-first)/3 + 1 {
		for _, until := range []int64{from + 1, (from + end) / 2, end} {
			require.Equal(w, w.read(own, from, until), w.read(second, from, until), "from %d until %d", from, until)
		}
	}
	return w.read(second, first, end)
}

func TestBothReadersAgree(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "users"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorld(t, cluster.ListenAddrs(), "users")
	w.compressed()
	all := w.agrees()
	require.Len(t, all.records, 5*300)
	require.EqualValues(t, 1500, all.next)

	w.deleteRecords(100)
	own, second := w.readers()
	gone := w.read(second, 20, 1500)
	require.Equal(t, w.read(own, 20, 1500), gone)
	require.Equal(t, grant.Gap{Partition: 0, From: 20, To: 100}, gone.gap.Gaps[0])
}

// What a reader does with a record ends the reading, and is not tried again.
func TestAVisitThatFailsEndsTheReading(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "users"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorld(t, cluster.ListenAddrs(), "users")
	w.compressed()
	_, second := w.readers()
	visits, full := 0, errors.New("full")
	_, err = second.Read(t.Context(), 0, 0, 10, func(int64, *source.Parts) error { visits++; return full })
	require.ErrorIs(t, err, full)
	require.Equal(t, 1, visits)
}

func TestDeadLettersAreReadByTheirHeaders(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "users.rejected"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorld(t, cluster.ListenAddrs(), "users.rejected")
	run := grant.NewRunID(time.Now())
	for _, headers := range []map[string]string{
		{source.HeaderTopic: "users", source.HeaderCampaign: "c", source.HeaderPartition: "3", source.HeaderOffset: "7",
			source.HeaderRun: run.String()},
		{source.HeaderTopic: "users"},
	} {
		r := &kgo.Record{Topic: w.topic}
		for key, value := range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
		require.NoError(t, w.client.ProduceSync(t.Context(), r).FirstErr())
	}
	_, second := w.readers()
	var letters []audit.Letter
	gone, err := second.Each(t.Context(), func(l audit.Letter) { letters = append(letters, l) })
	require.NoError(t, err)
	require.Zero(t, gone)
	require.Equal(t, audit.Letter{Topic: "users", Campaign: "c", Partition: 3, Offset: 7, Run: run}, letters[0])
	require.NotEmpty(t, letters[1].Broken)

	none, err := Open(source.Kafka{Brokers: w.brokers}, "none.rejected", "", patience)
	require.NoError(t, err)
	t.Cleanup(none.Close)
	_, err = none.Each(t.Context(), func(audit.Letter) {})
	require.NoError(t, err, "a topic that is not there has no letters")
}
