package population

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/segmentio/kafka-go"
)

// errNoTopic says that the topic does not exist, or that the client may not see it.
var errNoTopic = errors.New("topic does not exist")

// adminTimeout bounds the creation of a topic; the controller waits half as long for the brokers.
const adminTimeout = 30 * time.Second

// EnsureTopic creates a topic unless it exists, and returns how many partitions it has. 0 partitions or replicas means
// the brokers' default; config holds topic settings by name. An existing topic is left as it is, but one with another
// number of partitions than asked for is an error: partitions cannot be taken away, and adding them moves keys.
func EnsureTopic(
	ctx context.Context, client *kafka.Client, topic string, partitions, replication int, config map[string]string,
) (int, error) {
	c := &kafka.Client{Addr: client.Addr, Transport: client.Transport, Timeout: adminTimeout}
	t, err := describe(ctx, c, topic)
	if errors.Is(err, errNoTopic) {
		err = create(ctx, c, topic, partitions, replication, config)
		// someone else was faster, or kafka-go's metadata is some seconds old
		if err == nil || errors.Is(err, kafka.TopicAlreadyExists) {
			t, err = awaitTopic(ctx, c, topic)
		}
	}
	if err != nil {
		return 0, err
	}
	if n := len(t.Partitions); partitions > 0 && n != partitions {
		return n, fmt.Errorf("topic %s has %d partitions, not the %d asked for: use it as it is, or another topic", topic, n,
			partitions)
	}
	return len(t.Partitions), nil
}

func create(ctx context.Context, c *kafka.Client, topic string, partitions, replication int, config map[string]string) error {
	request := kafka.TopicConfig{Topic: topic, NumPartitions: -1, ReplicationFactor: -1}
	if partitions > 0 {
		request.NumPartitions = partitions
	}
	if replication > 0 {
		request.ReplicationFactor = replication
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		request.ConfigEntries = append(request.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: config[name]})
	}
	response, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{request}})
	if err == nil {
		err = response.Errors[topic]
	}
	if err != nil {
		return fmt.Errorf("creating topic %s with %d partitions and %d replicas (-1: default): %w",
			topic, request.NumPartitions, request.ReplicationFactor, err)
	}
	return nil
}

// awaitTopic waits until kafka-go's metadata, which it refreshes every few seconds, shows a topic that exists.
func awaitTopic(ctx context.Context, c cluster, topic string) (kafka.Topic, error) {
	return backoff.Retry(ctx, func() (kafka.Topic, error) {
		t, err := describe(ctx, c, topic)
		if err != nil && !errors.Is(err, errNoTopic) && !errors.Is(err, kafka.LeaderNotAvailable) {
			err = backoff.Permanent(err)
		}
		return t, err
	}, backoff.WithBackOff(retryDelays()), backoff.WithMaxElapsedTime(adminTimeout))
}

// describe returns what the cluster says about a topic, as fresh as kafka-go's metadata.
func describe(ctx context.Context, c cluster, topic string) (kafka.Topic, error) {
	m, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return kafka.Topic{}, fmt.Errorf("asking for topic %s: %w", topic, err)
	}
	for _, t := range m.Topics {
		switch {
		case t.Name != topic:
		case errors.Is(t.Error, kafka.UnknownTopicOrPartition):
			return kafka.Topic{}, fmt.Errorf("topic %s: %w", topic, errNoTopic)
		case t.Error != nil:
			return kafka.Topic{}, fmt.Errorf("topic %s: %w", topic, t.Error)
		default:
			return t, nil
		}
	}
	return kafka.Topic{}, fmt.Errorf("topic %s: %w", topic, errNoTopic)
}
