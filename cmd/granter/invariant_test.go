//go:build integration

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
)

// exactlyOnce is the invariant of every scenario, after its last run: whoever has a valid record in the topic is granted,
// once, and nobody else; what is malformed is in the dead-letter topic; and the checkpoint is at the end of the topic.
//
// What the topic holds is read by another Kafka client than granter's, and held against what was published.
func (s *scenario) exactlyOnce() {
	s.Helper()
	began := time.Now()
	topic := s.read(s.campaign.Input.Topic)
	published := bitmaps{}
	var malformed int64
	for _, plan := range s.plans {
		for id := range plan.IDs {
			published.add(id.Number())
		}
		malformed += plan.Counts().Malformed
	}
	n, example := published.missing(topic.valid)
	require.Zero(s, n, "published users are not in the topic, one is %d", example)
	n, example = topic.valid.missing(published)
	require.Zero(s, n, "users are in the topic that nobody published, one is %d", example)
	require.GreaterOrEqual(s, int64(len(topic.malformed)), malformed) // a batch may be in the topic twice

	granted := s.grantedUsers()
	n, example = topic.valid.missing(granted)
	require.Zero(s, n, "users are not granted, one is %d", example)
	n, example = granted.missing(topic.valid)
	require.Zero(s, n, "users are granted who are not in the topic, one is %d", example)

	proof, err := s.reader.Prove(s.Context())
	require.NoError(s, err)
	require.True(s, proof.Holds(), "%+v", proof)
	require.Equal(s, topic.valid.count(), proof.Granted)
	require.Equal(s, topic.valid.count(), proof.Journaled)

	s.deadLettersHold(topic)
	checkpoint, err := s.reader.Checkpoints(s.Context(), s.campaign)
	require.NoError(s, err)
	require.Equal(s, topic.ends, checkpoint.Next)
	s.Logf("exactly once: %d users of %d records granted, %d rejected, %d journal entries (checked in %s)",
		proof.Granted, topic.records, len(topic.malformed), proof.Entries, time.Since(began).Round(time.Millisecond))
}

// deadLettersHold checks that the dead-letter topic has every malformed record, as it was, and nothing else.
func (s *scenario) deadLettersHold(topic *contents) {
	s.Helper()
	found := map[place]bool{}
	s.each(s.campaign.Input.DeadLetterTopic(), func(r *kgo.Record) {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		require.Equal(s, s.campaign.Input.Topic, headers["granter-topic"])
		require.Equal(s, s.campaign.Name, headers["granter-campaign"])
		require.NotEmpty(s, headers["granter-reason"])
		partition, err := strconv.Atoi(headers["granter-partition"])
		require.NoError(s, err)
		offset, err := strconv.ParseInt(headers["granter-offset"], 10, 64)
		require.NoError(s, err)
		at := place{partition, offset}
		value, ok := topic.malformed[at]
		require.True(s, ok, "%v is in the dead-letter topic, and is not malformed", at)
		require.Equal(s, value, r.Value)
		found[at] = true
	})
	require.Len(s, found, len(topic.malformed), "malformed records are not in the dead-letter topic")
}

// contents is what a topic holds.
type contents struct {
	valid     bitmaps
	malformed map[place][]byte
	ends      grant.Offsets
	records   int64
}

// grantedUsers are those of the ledger.
func (s *scenario) grantedUsers() bitmaps {
	s.Helper()
	granted := bitmaps{}
	chunks, err := s.reader.Chunks(s.Context())
	require.NoError(s, err)
	members, err := s.reader.Bitmaps(s.Context(), chunks)
	require.NoError(s, err)
	for i, chunk := range chunks {
		if members[i] != nil {
			granted[chunk] = members[i]
		}
	}
	return granted
}

type place struct {
	partition int
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%d/%d", p.partition, p.offset) }

func (s *scenario) read(topic string) *contents {
	s.Helper()
	c := &contents{valid: bitmaps{}, malformed: map[place][]byte{}}
	c.ends = s.each(topic, func(r *kgo.Record) {
		c.records++
		id, err := strconv.ParseUint(string(r.Value), 10, 63)
		if err != nil || strconv.FormatUint(id, 10) != string(r.Value) || id > s.campaign.Input.MaxID {
			c.malformed[place{int(r.Partition), r.Offset}] = r.Value
			return
		}
		c.valid.add(id)
	})
	return c
}

// each hands every record of a topic to fn, and returns where its partitions end.
func (s *scenario) each(topic string, fn func(*kgo.Record)) grant.Offsets {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	ends := s.ends(topic)
	starts := map[int32]kgo.Offset{}
	left := int64(0)
	for partition, end := range ends {
		starts[int32(partition)] = kgo.NewOffset().AtStart()
		left += end
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}))
	require.NoError(s, err)
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(s, fetches.Err(), "%d records left in %s", left, topic)
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < ends[int(r.Partition)] {
				fn(r)
				left--
			}
		})
	}
	return ends
}

// ends returns the end offset of every partition of a topic. A broker that has just restarted needs a moment.
func (s *scenario) ends(topic string) (ends grant.Offsets) {
	s.Helper()
	await(s.T, "the broker knows where "+topic+" ends", func() bool {
		ends = grant.Offsets{}
		meta, err := s.kafka.Metadata(s.Context(), &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil || meta.Topics[0].Error != nil {
			return false
		}
		var ask []kafka.OffsetRequest
		for _, p := range meta.Topics[0].Partitions {
			ask = append(ask, kafka.LastOffsetOf(p.ID))
		}
		offsets, err := s.kafka.ListOffsets(s.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
		if err != nil {
			return false
		}
		for _, p := range offsets.Topics[topic] {
			if p.Error == nil {
				ends[p.Partition] = p.LastOffset
			}
		}
		return len(ends) == len(ask)
	})
	return ends
}
