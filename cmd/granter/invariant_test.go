//go:build integration

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/source"
)

// exactlyOnce is the invariant of every scenario, after its last run: whoever has a valid record in the topic is granted,
// once, and nobody else; what is malformed is in the dead-letter topic; and the checkpoint is at the end of the topic. It is
// what granter audit says.
//
// That the audit has seen the topic as it is, is judged by another Kafka client, and by what was published.
func (s *scenario) exactlyOnce() {
	s.Helper()
	if s.campaign.Input.Opaque() {
		s.membersExactlyOnce()
		return
	}
	began := time.Now()
	topic := s.asPublished()
	s.deadLettersHold(topic)
	proof, err := s.reader.Prove(s.Context())
	require.NoError(s, err)
	require.True(s, proof.Holds(), "%+v", proof)
	r := s.proven()
	require.True(s, r.Over)
	require.Equal(s, topic.valid.digest(), r.Topic.Digest)
	require.Equal(s, topic.valid.digest(), r.Ledger.Digest)
	require.Equal(s, topic.records, r.Topic.Records)
	require.EqualValues(s, len(topic.malformed), r.Topic.Malformed)
	require.EqualValues(s, len(topic.malformed), r.Letters.Malformed)
	reached := grant.Offsets{}
	for _, p := range r.Topic.Partitions {
		reached[p.Partition] = p.Checkpoint
	}
	require.Equal(s, topic.ends, reached)
	require.Equal(s, r.Ledger.Digest, proof.Digest)
	s.Logf("exactly once: %d users of %d records granted, %d rejected, %d journal entries (checked in %s, of which the audit %.3f s)",
		r.Ledger.Granted, topic.records, len(topic.malformed), r.Ledger.Entries, time.Since(began).Round(time.Millisecond), r.Seconds)
}

// asPublished reads the topic, which must have what was published to it.
func (s *scenario) asPublished() *contents {
	s.Helper()
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
	return topic
}

// proven audits, and requires that everybody in the topic is granted, once, and nobody else.
func (s *scenario) proven() *audit.Report { s.Helper(); return s.finds() }

// finds audits, requires that something of exactly these kinds is found, and returns the report.
func (s *scenario) finds(kinds ...audit.Kind) *audit.Report {
	s.Helper()
	r := s.audit()
	found := []audit.Kind{}
	for i := range r.Findings {
		found = append(found, r.Findings[i].Kind)
	}
	slices.Sort(found)
	require.ElementsMatch(s, kinds, slices.Compact(found), "%s: %+v", r.Verdict, r.Findings)
	require.Equal(s, len(kinds) == 0, r.Verdict == audit.Proven)
	s.asked.audited()
	return r
}

// audit audits as granter audit --complete does.
func (s *scenario) audit() *audit.Report {
	s.Helper()
	src, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: s.brokers}, Topic: s.campaign.Input, Campaign: s.campaign.Name, RetryFor: patience,
	})
	require.NoError(s, err)
	defer src.Close()
	flags := auditFlags{complete: true}
	flags.brokers, flags.retryFor = s.brokers, patience
	r, _, err := flags.audit(s.Context(), io.Discard, &query{campaign: s.campaign, source: src, opened: s.opened}, nil)
	require.NoError(s, err)
	return r
}

// deadLettersHold checks that every letter of the dead-letter topic is a malformed record as it was, and says why. That each
// record has its letter, the audit says.
func (s *scenario) deadLettersHold(topic *contents) {
	s.Helper()
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
	})
}

// contents is what a topic holds.
type contents struct {
	valid     bitmaps
	malformed map[place][]byte
	ends      grant.Offsets
	records   int64
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
