package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
)

// DeadLetterTopic returns the name of the topic that holds the rejected records of a topic.
func DeadLetterTopic(topic string) string { return topic + grant.DeadLetterSuffix }

// maxDeadLetter is the largest record that the dead-letter topic takes: more than a broker's default for the source
// (1 MiB), because a compressed record can be larger than the limit when it is written again on its own.
const maxDeadLetter = 32 << 20

// The headers of a dead letter.
const (
	HeaderReason    = "granter-reason"
	HeaderTopic     = "granter-topic"
	HeaderPartition = "granter-partition"
	HeaderOffset    = "granter-offset"
	HeaderCampaign  = "granter-campaign"
	HeaderRun       = "granter-run"
	HeaderTruncated = "granter-truncated" // the original length; the bytes are cut to what the dead-letter topic takes
)

// deadLetters writes rejected records. It is safe for concurrent use.
type deadLetters struct {
	writer   *kafka.Writer
	campaign string
	run      grant.RunID
	topic    string
}

func newDeadLetters(k Kafka, transport *kafka.Transport, topic, campaign string, run grant.RunID) *deadLetters {
	return &deadLetters{
		topic: topic, campaign: campaign, run: run,
		writer: &kafka.Writer{
			Addr: kafka.TCP(k.Brokers...), Topic: DeadLetterTopic(topic), Transport: transport,
			RequiredAcks: kafka.RequireAll, Balancer: &kafka.RoundRobin{},
			BatchTimeout: time.Millisecond, BatchBytes: maxDeadLetter, MaxAttempts: 10,
			WriteTimeout: k.timeout(), ReadTimeout: k.timeout(),
		},
	}
}

// letter makes the dead letter of a record. It copies the record's bytes.
func (d *deadLetters) letter(partition int, offset int64, rec *record, reason Reason) kafka.Message {
	clone := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		return append([]byte{}, b...)
	}
	return kafka.Message{Key: clone(rec.key), Value: clone(rec.value), Headers: []kafka.Header{
		{Key: HeaderReason, Value: []byte(reason)},
		{Key: HeaderTopic, Value: []byte(d.topic)},
		{Key: HeaderPartition, Value: strconv.AppendInt(nil, int64(partition), 10)},
		{Key: HeaderOffset, Value: strconv.AppendInt(nil, offset, 10)},
		{Key: HeaderCampaign, Value: []byte(d.campaign)},
		{Key: HeaderRun, Value: []byte(d.run.String())},
	}}
}

// write returns when the letters are on all in-sync replicas. Writing a letter again after an error may store it
// twice: topic, partition and offset in its headers tell.
func (d *deadLetters) write(ctx context.Context, letters []kafka.Message) error {
	err := d.writer.WriteMessages(ctx, letters...)
	var tooLarge kafka.MessageTooLargeError
	if errors.As(err, &tooLarge) || errors.Is(err, kafka.MessageSizeTooLarge) {
		for i := range letters {
			truncate(&letters[i])
		}
		err = d.writer.WriteMessages(ctx, letters...)
	}
	if err != nil {
		return fmt.Errorf("writing %d rejected records to %s: %w", len(letters), d.writer.Topic, first(err))
	}
	return nil
}

// first returns the first real error of a batch: kafka-go reports one for every message.
func first(err error) error {
	var many kafka.WriteErrors
	if errors.As(err, &many) {
		for _, e := range many {
			if e != nil {
				return e
			}
		}
	}
	return err
}

const truncatedLength = 256 << 10

// truncate cuts a letter that the dead-letter topic refuses. The source still has the whole record.
func truncate(m *kafka.Message) {
	for _, b := range []*[]byte{&m.Key, &m.Value} {
		if len(*b) > truncatedLength {
			m.Headers = append(m.Headers, kafka.Header{Key: HeaderTruncated, Value: strconv.AppendInt(nil, int64(len(*b)), 10)})
			*b = (*b)[:truncatedLength]
		}
	}
}

func (d *deadLetters) close() error { return d.writer.Close() }

// ensureDeadLetterTopic creates the dead-letter topic, with as many partitions and replicas as the source has.
func ensureDeadLetterTopic(ctx context.Context, client *kafka.Client, source kafka.Topic) error {
	replicas := 1
	if len(source.Partitions) > 0 {
		replicas = max(1, len(source.Partitions[0].Replicas))
	}
	name := DeadLetterTopic(source.Name)
	resp, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: name, NumPartitions: len(source.Partitions), ReplicationFactor: replicas,
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(maxDeadLetter)},
			{ConfigName: "retention.ms", ConfigValue: "-1"},
		},
	}}})
	if err == nil {
		err = resp.Errors[name]
	}
	if err == nil || errors.Is(err, kafka.TopicAlreadyExists) {
		return nil
	}
	return fmt.Errorf("creating dead-letter topic %s (create it yourself, or allow %s to): %w", name, clientID, err)
}
