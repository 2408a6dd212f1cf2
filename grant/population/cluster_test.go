package population

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// requirePopulation reads a topic and compares it with what the plan promises; extra records are valid repeats.
func requirePopulation(t testing.TB, client *kafka.Client, p Plan, partitions int, extra int64) {
	t.Helper()
	var got Counts
	seen := make(map[grant.UserID]bool, p.Users)
	for partition := range partitions {
		for _, m := range readPartition(t, client, p.Topic.Topic, partition) {
			part := m.value
			if p.Topic.From == grant.FromKey {
				part = m.key
			}
			id, ok := judge(p.Topic, part)
			got.Records++
			switch {
			case !ok:
				got.Malformed++
			case seen[id]:
				got.Repeats++
			default:
				got.Distinct++
				seen[id] = true
			}
		}
	}
	if extra == 0 {
		require.Equal(t, p.Counts(), got)
	}
	require.Equal(t, p.Users, got.Distinct)
	require.GreaterOrEqual(t, got.Records, p.Counts().Records)
	require.LessOrEqual(t, got.Records, p.Counts().Records+extra)
	for id := range p.IDs {
		require.True(t, seen[id], "user %d is missing", id)
	}
}

func TestPublishedPopulationsAreReadBack(t *testing.T) {
	_, client := fakeKafka(t, kfake.NumBrokers(3))
	for i, topic := range []grant.Input{
		{Format: grant.FormatDecimal, From: grant.FromValue},
		{Format: grant.FormatDecimal, From: grant.FromKey, MaxID: 1 << 40},
		{Format: grant.FormatInt64BE, MaxID: 1 << 40},
		{Format: grant.FormatJSON, Path: "user.id"},
	} {
		for codec := compress.None; codec <= compress.Zstd; codec++ {
			topic.Topic = fmt.Sprintf("population-%d-%s", i, codec)
			p := Plan{Topic: topic, Users: 2000, Spread: 1 << 30, Duplicates: 0.1, Malformed: 0.02, Seed: uint64(i)}
			n, err := EnsureTopic(t.Context(), client, topic.Topic, 4, 1, nil)
			require.NoError(t, err)
			require.Equal(t, 4, n)
			r, err := Publish(t.Context(), client, topic, p.Source(), Options{BatchRecords: 150, Compression: codec})
			require.NoError(t, err)
			require.Equal(t, p.Counts().Records, r.Records)
			require.Equal(t, p.Counts().Malformed, r.Malformed)
			requirePopulation(t, client, p, 4, r.InDoubt)
		}
	}
}

func TestPublishingGoesOnWhenLeadersMove(t *testing.T) {
	cluster, client := fakeKafka(t, kfake.NumBrokers(3), kfake.SeedTopics(6, "t"))
	client.Transport.(*kafka.Transport).MetadataTTL = 100 * time.Millisecond
	faults := cluster.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{2}, Err: kerr.RequestTimedOut, Count: 1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{3}, Err: kerr.NotEnoughReplicas, Count: 3},
	)
	p := Plan{Topic: decimalTopic("t"), Users: 20_000, Seed: 4}
	var once sync.Once
	r, err := Publish(t.Context(), client, p.Topic, p.Source(), Options{BatchRecords: 100, Progress: func(Result) {
		once.Do(func() {
			for partition := range int32(6) {
				next := (cluster.LeaderFor("t", partition) + 1) % 3
				require.NoError(t, cluster.MoveTopicPartition("t", partition, next))
			}
		})
	}})
	require.NoError(t, err)
	require.EqualValues(t, 20_000, r.Records)
	require.GreaterOrEqual(t, r.Retries, int64(4+1), "the faults, and at least one moved leader")
	require.EqualValues(t, 100, r.InDoubt)
	require.Equal(t, int64(4), int64(faults.Hits()))
	requirePopulation(t, client, p, 6, 100)
}

func TestPublishingNeedsTheTopic(t *testing.T) {
	_, client := fakeKafka(t, kfake.NumBrokers(1))
	_, err := Publish(t.Context(), client, decimalTopic("nowhere"), ascending(1).Source(), Options{})
	require.ErrorIs(t, err, errNoTopic)
	require.ErrorContains(t, err, "nowhere")
}

func TestBatchesAboveTheTopicsLimitAreReported(t *testing.T) {
	_, client := fakeKafka(t, kfake.NumBrokers(1))
	_, err := EnsureTopic(t.Context(), client, "small", 1, 1, map[string]string{"max.message.bytes": "2000"})
	require.NoError(t, err)
	_, err = Publish(t.Context(), client, decimalTopic("small"), ascending(1000).Source(), Options{})
	require.ErrorIs(t, err, kafka.MessageSizeTooLarge)
	require.ErrorContains(t, err, "max.message.bytes")
	r, err := Publish(t.Context(), client, decimalTopic("small"), ascending(1000).Source(), Options{BatchBytes: 2000})
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.Records)
}

func TestAListIsPublished(t *testing.T) {
	_, client := fakeKafka(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
	want := map[grant.UserID]bool{}
	var list strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		id := grant.NumberID(random.Uint64N(1 << 40))
		want[id] = true
		fmt.Fprintf(&list, "%s\r\n", id)
	}
	topic := decimalTopic("t")
	r, err := Publish(t.Context(), client, topic, List(strings.NewReader(list.String()), topic), Options{})
	require.NoError(t, err)
	require.EqualValues(t, 50_000, r.Records)
	for partition := range 2 {
		for _, m := range readPartition(t, client, "t", partition) {
			id, ok := judge(topic, m.value)
			require.True(t, ok)
			delete(want, id)
		}
	}
	require.Empty(t, want)
}

func TestEnsureTopic(t *testing.T) {
	_, client := fakeKafka(t, kfake.NumBrokers(1), kfake.DefaultNumPartitions(7))
	ensure := func(topic string, partitions int) (int, error) {
		return EnsureTopic(t.Context(), client, topic, partitions, 0, map[string]string{"retention.ms": "60000"})
	}
	for range 2 {
		n, err := ensure("three", 3)
		require.NoError(t, err, "it is there the second time")
		require.Equal(t, 3, n)
	}
	n, err := ensure("three", 0)
	require.NoError(t, err, "any number will do")
	require.Equal(t, 3, n)
	n, err = ensure("three", 4)
	require.ErrorContains(t, err, "topic three has 3 partitions, not the 4 asked for")
	require.Equal(t, 3, n)
	n, err = ensure("default", 0)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	_, err = EnsureTopic(t.Context(), client, "copies", 2, 3, nil)
	require.ErrorIs(t, err, kafka.InvalidReplicationFactor)
	require.ErrorContains(t, err, "creating topic copies with 2 partitions and 3 replicas")

	settings, err := client.DescribeConfigs(t.Context(), &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: "three", ConfigNames: []string{"retention.ms"},
		}},
	})
	require.NoError(t, err)
	require.Equal(t, "60000", settings.Resources[0].ConfigEntries[0].ConfigValue)
}

func TestEnsureTopicWinsARaceForTheSameTopic(t *testing.T) {
	cluster, client := fakeKafka(t, kfake.NumBrokers(1))
	client.Transport.(*kafka.Transport).MetadataTTL = 200 * time.Millisecond
	_, err := client.Metadata(t.Context(), &kafka.MetadataRequest{})
	require.NoError(t, err, "kafka-go has cached that there are no topics")
	require.NoError(t, cluster.CreateTopic("t", 5, nil))
	n, err := EnsureTopic(t.Context(), client, "t", 5, 1, nil)
	require.NoError(t, err)
	require.Equal(t, 5, n)
}
