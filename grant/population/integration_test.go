//go:build integration

package population

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

var testMainOptions = []goleak.Option{goleak.Cleanup(func(code int) {
	devtest.StopShared()
	os.Exit(code)
})}

func TestRealKafkaTakesEveryFormatAndCodec(t *testing.T) {
	client := clientOf(t, devtest.SharedKafka(t).Brokers...)
	for i, topic := range []grant.Input{
		{Format: grant.FormatDecimal, From: grant.FromValue},
		{Format: grant.FormatDecimal, From: grant.FromKey, MaxID: 1 << 40},
		{Format: grant.FormatInt64BE, MaxID: 1 << 40},
		{Format: grant.FormatJSON, Path: "user.id"},
	} {
		for codec := compress.None; codec <= compress.Zstd; codec++ {
			topic.Topic = fmt.Sprintf("formats-%d-%s", i, codec)
			_, err := EnsureTopic(t.Context(), client, topic.Topic, 3, 1, nil)
			require.NoError(t, err)
			p := Plan{Topic: topic, Users: 20_000, Spread: 1 << 30, Duplicates: 0.1, Malformed: 0.02, Seed: uint64(i)}
			r, err := Publish(t.Context(), client, topic, p.Source(), Options{BatchRecords: 3000, Compression: codec})
			require.NoError(t, err)
			require.Equal(t, p.Counts().Records, r.Records)
			requirePopulation(t, client, p, 3, r.InDoubt)
		}
	}
}

func TestRealKafkaValidatesTopics(t *testing.T) {
	client := clientOf(t, devtest.SharedKafka(t).Brokers...)
	_, err := EnsureTopic(t.Context(), client, "no such: name!", 1, 1, nil)
	require.ErrorIs(t, err, kafka.InvalidTopic)
	_, err = EnsureTopic(t.Context(), client, "copies", 2, 3, nil)
	require.ErrorIs(t, err, kafka.InvalidReplicationFactor)
	_, err = EnsureTopic(t.Context(), client, "settings", 1, 1, map[string]string{"retention.mz": "1"})
	require.ErrorIs(t, err, kafka.InvalidConfiguration)

	_, err = EnsureTopic(t.Context(), client, "small", 1, 1, map[string]string{"max.message.bytes": "2000"})
	require.NoError(t, err)
	n, err := EnsureTopic(t.Context(), client, "small", 2, 1, nil)
	require.ErrorContains(t, err, "has 1 partitions, not the 2")
	require.Equal(t, 1, n)
	_, err = Publish(t.Context(), client, decimalTopic("small"), ascending(1000).Source(), Options{})
	require.ErrorIs(t, err, kafka.MessageSizeTooLarge)
	r, err := Publish(t.Context(), client, decimalTopic("small"), ascending(1000).Source(), Options{BatchBytes: 2000})
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.Records)
}

// publishThrough publishes 300,000 users in a few seconds and lets trouble happen once a third of them is acknowledged.
func publishThrough(t *testing.T, client *kafka.Client, topic string, partitions int, o Options, trouble func()) Result {
	t.Helper()
	p := Plan{Topic: decimalTopic(topic), Users: 300_000, Seed: 6}
	third := make(chan struct{})
	var begun atomic.Bool
	o.Rate, o.BatchRecords = 100_000, 1000
	o.Progress = func(r Result) {
		if r.Records > p.Users/3 && begun.CompareAndSwap(false, true) {
			close(third)
		}
	}
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := Publish(t.Context(), client, p.Topic, p.Source(), o)
		done <- outcome{r, err}
	}()
	select {
	case <-third:
		trouble()
	case out := <-done:
		require.NoError(t, out.error)
		require.Fail(t, "the run was over before the trouble began")
	}
	out := <-done
	require.NoError(t, out.error)
	require.Equal(t, p.Users, out.Records)
	require.Positive(t, out.Retries)
	requirePopulation(t, client, p, partitions, max(1, out.InDoubt))
	t.Logf("%+v", out.Result)
	return out.Result
}

func TestNothingIsLostWhenABrokerFreezesAndWhenItIsKilled(t *testing.T) {
	broker := devtest.StartKafka(t, devtest.KafkaOptions{})
	client := clientOf(t, broker.Brokers...)
	for name, trouble := range map[string]func(){
		"frozen": func() {
			broker.Freeze(0)
			<-time.After(3 * time.Second) // how long the fault lasts: beyond the request timeout
			broker.Resume(0)
		},
		"killed": func() {
			broker.Kill(0)
			broker.Restart(0)
		},
	} {
		_, err := EnsureTopic(t.Context(), client, name, 4, 1, nil)
		require.NoError(t, err)
		r := publishThrough(t, client, name, 4, Options{RequestTimeout: time.Second}, trouble)
		require.Positive(t, r.InDoubt, name)
	}
}

func TestNothingIsLostWhenAnotherBrokerTakesOver(t *testing.T) {
	brokers := devtest.StartKafka(t, devtest.KafkaOptions{Brokers: 3})
	client := clientOf(t, brokers.Brokers...)
	_, err := EnsureTopic(t.Context(), client, "t", 6, 3, map[string]string{"min.insync.replicas": "2"})
	require.NoError(t, err)
	publishThrough(t, client, "t", 6, Options{RequestTimeout: 5 * time.Second}, func() { brokers.Kill(1) })
}

func BenchmarkPublish(b *testing.B) {
	client := clientOf(b, devtest.SharedKafka(b).Brokers...)
	const users = 10_000_000
	for _, codec := range []compress.Compression{compress.None, compress.Lz4} {
		b.Run(codec.String(), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				topic := decimalTopic(fmt.Sprintf("bench-%s-%d", codec, i))
				_, err := EnsureTopic(b.Context(), client, topic.Topic, 8, 1, nil)
				require.NoError(b, err)
				r, err := Publish(b.Context(), client, topic, Plan{Topic: topic, Users: users}.Source(),
					Options{Compression: codec})
				require.NoError(b, err)
				b.ReportMetric(r.Rate(), "IDs/s")
				_, err = client.DeleteTopics(context.WithoutCancel(b.Context()),
					&kafka.DeleteTopicsRequest{Topics: []string{topic.Topic}})
				require.NoError(b, err)
			}
		})
	}
}
