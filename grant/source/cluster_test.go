package source

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fakeKafka is a cluster in this process, with the topic.
func fakeKafka(t *testing.T, partitions int32, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(options, kfake.SeedTopics(partitions, topicName))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func franz(t *testing.T, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())},
		options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// produce writes records with franz-go, to the partition and topic that each names.
func produce(t *testing.T, brokers []string, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := franz(t, brokers)
	for i := 0; i < len(records); i += 1000 {
		require.NoError(t, c.ProduceSync(ctx, records[i:min(i+1000, len(records))]...).FirstErr())
	}
	c.Close()
}

// values makes records of partition 0.
func values(topic string, list ...string) (out []*kgo.Record) {
	for _, v := range list {
		out = append(out, &kgo.Record{Topic: topic, Value: []byte(v)})
	}
	return out
}

func userRecords(topic string, from, to int64) (out []*kgo.Record) {
	for _, r := range users(from, to) {
		out = append(out, &kgo.Record{Topic: topic, Value: r.value})
	}
	return out
}

// stored reads records of a topic with franz-go.
func stored(t *testing.T, brokers []string, topic string, n int) (out []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := franz(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxPartitionBytes(1<<20))
	for len(out) < n {
		fetches := c.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d of %d records", len(out), n)
		for _, e := range fetches.Errors() {
			require.NoError(t, e.Err)
		}
		out = append(out, fetches.Records()...)
	}
	require.Len(t, out, n)
	c.Close()
	return out
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return "(none)"
}
