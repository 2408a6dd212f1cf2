package audit

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// What becomes of topics and of a Redis, in memory and on real servers alike.

const patience = time.Minute

// connect makes a client, which has seen no topic yet.
func (w *world) connect() {
	w.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond))
	require.NoError(w, err)
	w.Cleanup(client.Close)
	w.kafka = client
}

func ask[R kmsg.Response](w *world, q interface {
	RequestWith(ctx context.Context, r kmsg.Requestor) (R, error)
}) R {
	w.Helper()
	resp, err := q.RequestWith(w.Context(), w.kafka)
	require.NoError(w, err)
	return resp
}

// until asks for something until the broker does it: what was just made or deleted takes a moment.
func (w *world) until(what string, done func() int16) {
	w.Helper()
	code := int16(0)
	require.Eventually(w, func() bool { code = done(); return code == 0 }, patience, 20*time.Millisecond, what)
	require.NoError(w, kerr.ErrorForCode(code))
}

func (w *world) makeTopic(name string, partitions int32) {
	w.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	q.Topics = []kmsg.CreateTopicsRequestTopic{topic}
	w.until("the topic is made", func() int16 { return ask(w, q).Topics[0].ErrorCode })
	w.awaitPartitions(name, partitions)
}

// awaitPartitions waits until the topic has so many partitions, each with a leader.
func (w *world) awaitPartitions(name string, partitions int32) {
	w.Helper()
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	require.Eventually(w, func() bool {
		found := ask(w, q).Topics[0]
		for _, p := range found.Partitions {
			if p.ErrorCode != 0 || p.Leader < 0 {
				return false
			}
		}
		return found.ErrorCode == 0 && len(found.Partitions) == int(partitions)
	}, patience, 20*time.Millisecond)
}

// remakeTopic deletes the topic and makes it again.
func (w *world) remakeTopic() {
	w.Helper()
	name := w.campaign.Input.Topic
	q := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	q.TopicNames, q.Topics = []string{name}, []kmsg.DeleteTopicsRequestTopic{topic}
	require.Zero(w, ask(w, q).Topics[0].ErrorCode)
	w.makeTopic(name, parts)
	w.connect()
}

func (w *world) addPartition() {
	w.Helper()
	q := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = w.campaign.Input.Topic, parts+1
	q.Topics = []kmsg.CreatePartitionsRequestTopic{topic}
	require.Zero(w, ask(w, q).Topics[0].ErrorCode)
	w.awaitPartitions(w.campaign.Input.Topic, parts+1)
	w.connect()
}

// deleteRecords does what retention does.
func (w *world) deleteRecords(topic string, partition int, before int64) {
	w.Helper()
	q := kmsg.NewPtrDeleteRecordsRequest()
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic = topic
	of.Partitions = []kmsg.DeleteRecordsRequestTopicPartition{{Partition: int32(partition), Offset: before}}
	q.Topics = []kmsg.DeleteRecordsRequestTopic{of}
	require.Zero(w, ask(w, q).Topics[0].Partitions[0].ErrorCode)
}

// commit is what a run tells Kafka.
func (w *world) commit(next grant.Offsets) {
	w.Helper()
	id, err := w.source.Identify(w.Context())
	require.NoError(w, err)
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation = "granter-"+w.campaign.Name, -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = w.campaign.Input.Topic, id.Topic
	for partition, offset := range next {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(partition), offset, new(id.String())
		topic.Partitions = append(topic.Partitions, p)
	}
	q.Topics = []kmsg.OffsetCommitRequestTopic{topic}
	w.until("the offsets are committed", func() (code int16) {
		for _, p := range ask(w, q).Topics[0].Partitions {
			code = max(code, p.ErrorCode)
		}
		return code
	})
}

// snapshot is all that Redis has of the campaign, by key; restore puts it back.
func (w *world) snapshot() map[string]any {
	w.Helper()
	out := map[string]any{}
	ctx := w.Context()
	for _, key := range w.keys() {
		var err error
		switch kind := w.client.Type(ctx, key).Val(); kind {
		case "string":
			out[key], err = w.client.Get(ctx, key).Result()
		case "list":
			out[key], err = w.client.LRange(ctx, key, 0, -1).Result()
		case "set":
			var members []string
			members, err = w.client.SMembers(ctx, key).Result()
			out[key] = anyOf(members)
		case "hash":
			out[key], err = w.client.HGetAll(ctx, key).Result()
		default:
			require.Fail(w, "a key of type "+kind)
		}
		require.NoError(w, err)
	}
	return out
}

type set []any

func anyOf(members []string) set {
	out := make(set, len(members))
	for i, m := range members {
		out[i] = m
	}
	return out
}

func (w *world) keys() []string {
	return append(w.client.Keys(w.Context(), "granter:{"+w.campaign.Name+"}:*").Val(),
		w.client.Keys(w.Context(), "granter:{"+w.campaign.Name+"/*").Val()...)
}

func (w *world) restore(from map[string]any) {
	w.Helper()
	ctx := w.Context()
	require.NoError(w, w.client.Del(ctx, w.keys()...).Err())
	_, err := w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for key, v := range from {
			switch v := v.(type) {
			case string:
				p.Set(ctx, key, v, 0)
			case []string:
				p.RPush(ctx, key, anyOf(v)...)
			case set:
				p.SAdd(ctx, key, v...)
			case map[string]string:
				p.HSet(ctx, key, v)
			}
		}
		return nil
	})
	require.NoError(w, err)
}
