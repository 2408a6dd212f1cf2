package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
)

// MaxDeadLetter is the largest record, in bytes, that a dead-letter topic takes which Prepare created; larger ones are cut.
// It is more than a broker's default for the source (1 MiB), because a compressed record can be larger than the limit when
// it is written again on its own.
const MaxDeadLetter = 32 << 20

// The headers of a dead letter.
const (
	HeaderReason    = "granter-reason"
	HeaderTopic     = "granter-topic"
	HeaderPartition = "granter-partition"
	HeaderOffset    = "granter-offset"
	HeaderCampaign  = "granter-campaign"
	HeaderRun       = "granter-run"
	HeaderTopicID   = "granter-topic-id"  // what the offset counts in, as grant.TopicID writes it; missing: not known
	HeaderDetail    = "granter-detail"    // what is wrong, in words, where the reason is one of many
	HeaderTruncated = "granter-truncated" // original length of key, value and Parts.Header together; the longest is cut
)

// One request takes this much: with some 250 bytes of headers for each letter, below the 1 MiB that a topic takes by default.
const (
	letterBytes = 512 << 10
	letterCount = 1024
)

// deadLetters writes rejected records. It is safe for concurrent use.
type deadLetters struct {
	client   *kafka.Client
	campaign string
	run      grant.RunID
	header   string               // that holds the IDs, which letters keep; empty: none
	topic    string               // the source
	name     string               // where they go
	id       func() grant.TopicID // of the source, as far as it is known
}

// deadLetter is a rejected record, with memory of its own. Nil and empty differ.
type deadLetter struct {
	Parts

	offset int64
	reason Reason
	detail string
	whole  int // size before it was cut; 0: it is whole
}

func newDeadLetter(offset int64, parts *Parts, reason Reason) deadLetter {
	l := deadLetter{Parts: *parts, offset: offset, reason: reason}
	for l.size() > MaxDeadLetter { // it would be cut anyway
		l.cut()
	}
	l.Key, l.Value, l.Header = bytes.Clone(l.Key), bytes.Clone(l.Value), bytes.Clone(l.Header)
	return l
}

func (l *deadLetter) size() int { return len(l.Key) + len(l.Value) + len(l.Header) }

// cut halves the longer part of a letter that is too large for the dead-letter topic. The source still has the whole
// record. It reports whether there was anything to cut.
func (l *deadLetter) cut() bool {
	longer := &l.Value
	for _, other := range []*[]byte{&l.Key, &l.Header} {
		if len(*other) > len(*longer) {
			longer = other
		}
	}
	if len(*longer) < 2 {
		return false
	}
	if l.whole == 0 {
		l.whole = l.size()
	}
	*longer = (*longer)[:len(*longer)/2]
	return true
}

// write returns when the letters of a partition are on all in-sync replicas, in order. It takes off letters what is
// there, also when it fails. Writing a letter again after an error may store it twice: topic, partition and offset in
// its headers identify it.
func (d *deadLetters) write(ctx context.Context, partition int, letters *[]deadLetter) error {
	if len(*letters) == 0 {
		return nil
	}
	t, err := describe(ctx, d.client, d.name)
	if err != nil {
		return err
	}
	for len(*letters) > 0 {
		n, size := 0, 0
		for ; n < len(*letters) && n < letterCount; n++ {
			l := &(*letters)[n]
			for l.size() > MaxDeadLetter {
				l.cut()
			}
			if size += l.size(); n > 0 && size > letterBytes {
				break
			}
		}
		if err := d.produce(ctx, partition, partition%max(1, len(t.Partitions)), (*letters)[:n]); err != nil {
			return fmt.Errorf("writing rejected records to %s: %w", d.name, err)
		}
		*letters = (*letters)[n:]
	}
	return nil
}

// produce writes letters of a partition in one request, or in several if the topic refuses that as too large.
func (d *deadLetters) produce(ctx context.Context, from, to int, letters []deadLetter) error {
	list := make([]kafka.Record, len(letters))
	for i := range letters {
		l := &letters[i]
		list[i] = kafka.Record{Key: kafka.NewBytes(l.Key), Value: kafka.NewBytes(l.Value), Headers: d.headers(from, l)}
	}
	resp, err := d.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: d.name, Partition: to, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(list...),
	})
	if err == nil {
		err = resp.Error
	}
	if !errors.Is(err, kafka.MessageSizeTooLarge) && !errors.Is(err, kafka.RecordListTooLarge) {
		return err
	}
	if half := len(letters) / 2; half > 0 {
		if err := d.produce(ctx, from, to, letters[:half]); err != nil {
			return err
		}
		return d.produce(ctx, from, to, letters[half:])
	}
	if letters[0].cut() {
		return d.produce(ctx, from, to, letters)
	}
	return err
}

func (d *deadLetters) headers(partition int, l *deadLetter) []kafka.Header {
	h := []kafka.Header{
		{Key: HeaderReason, Value: []byte(l.reason)},
		{Key: HeaderTopic, Value: []byte(d.topic)},
		{Key: HeaderPartition, Value: strconv.AppendInt(nil, int64(partition), 10)},
		{Key: HeaderOffset, Value: strconv.AppendInt(nil, l.offset, 10)},
		{Key: HeaderCampaign, Value: []byte(d.campaign)},
		{Key: HeaderRun, Value: []byte(d.run.String())},
	}
	if id := d.id(); id != (grant.TopicID{}) {
		h = append(h, kafka.Header{Key: HeaderTopicID, Value: []byte(id.String())})
	}
	if l.detail != "" {
		h = append(h, kafka.Header{Key: HeaderDetail, Value: []byte(l.detail)})
	}
	if d.header != "" && l.Header != nil {
		h = append(h, kafka.Header{Key: d.header, Value: l.Header})
	}
	if l.whole > 0 {
		h = append(h, kafka.Header{Key: HeaderTruncated, Value: strconv.AppendInt(nil, int64(l.whole), 10)})
	}
	return h
}

// deadLetterTopic is the topic that rejected records of another one are stored in: with as many partitions and replicas,
// and never expiring.
func deadLetterTopic(name string, source kafka.Topic) kafka.TopicConfig {
	replicas := 1
	if len(source.Partitions) > 0 {
		replicas = max(1, len(source.Partitions[0].Replicas))
	}
	return kafka.TopicConfig{
		Topic: name, NumPartitions: len(source.Partitions), ReplicationFactor: replicas,
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(MaxDeadLetter)},
			{ConfigName: "retention.ms", ConfigValue: "-1"},
		},
	}
}

// ensureDeadLetterTopic creates the dead-letter topic unless it exists: brokers refuse to create one also when it exists, if
// they do not allow it.
func ensureDeadLetterTopic(ctx context.Context, client *kafka.Client, name string, source kafka.Topic) error {
	if _, err := describe(ctx, client, name); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return err
	}
	resp, err := client.CreateTopics(
		ctx,
		&kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{deadLetterTopic(name, source)}},
	)
	if err == nil {
		err = resp.Errors[name]
	}
	if err == nil || errors.Is(err, kafka.TopicAlreadyExists) {
		return nil
	}
	if errors.Is(err, kafka.InvalidTopic) {
		return fmt.Errorf(
			"creating dead-letter topic %s (choose another name by source.dead_letters in the spec): %w",
			name,
			err,
		)
	}
	return fmt.Errorf("creating dead-letter topic %s (create it yourself, or allow %s to): %w", name, ClientID, err)
}
