//go:build integration

package main

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/population"
)

// The only broker goes away in the middle of a run and comes back: killed, and shut down cleanly.
func TestBrokerRestarts(t *testing.T) { devtest.EachKafka(t, brokerRestarts) }

func brokerRestarts(t *testing.T) {
	k := devtest.StartKafka(t, devtest.KafkaOptions{})
	s := newScenarioOn(t, k, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 400_000))
	normal := s.throttle(40_000)
	p := s.run("--shards=1", "--timeout=2s", "--fetch-memory=1", "--listen=127.0.0.1:0")
	s.awaitGranted(p, 60_000)
	k.Kill(0)
	p.awaitLog("trying again")
	p.awaitReady("not ready: Kafka does not answer")
	k.Restart(0)
	s.awaitGranted(p, s.granted()+60_000)
	k.Stop(0)
	k.Restart(0)
	normal()
	require.Zero(t, p.wait(), p.err.String())
	t.Logf("%d records of %d were read, some of them again", p.summary().Consumed, s.plans[0].Counts().Records)
	s.exactlyOnce()
}

// addPartitions makes the topic larger.
func (s *scenario) addPartitions(count int32) {
	s.Helper()
	resp, err := s.kafka.CreatePartitions(s.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: s.campaign.Input.Topic, Count: count}},
	})
	require.NoError(s, err)
	require.NoError(s, resp.Errors[s.campaign.Input.Topic])
	await(s.T, "the new partitions are there", func() bool {
		meta, err := s.kafka.Metadata(s.Context(), &kafka.MetadataRequest{Topics: []string{s.campaign.Input.Topic}})
		require.NoError(s, err)
		return len(meta.Topics[0].Partitions) == int(count) && meta.Topics[0].Error == nil
	})
}

func TestTopicGrowsWhileItIsFollowed(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	published := s.trickle(s.users(0, 100_000), population.Options{Rate: 50_000, BatchRecords: 100})
	p := s.run("--follow")
	s.awaitGranted(p, 10_000)
	s.addPartitions(5)
	s.publish(s.users(90_000, 100_000))
	published()
	s.awaitGranted(p, 190_000)
	require.Equal(t, 5, p.partitions())
	p.interrupt()
	require.Equal(t, exitStopped, p.wait())
	s.exactlyOnce()
}

// A run that grants what was there when it started grants what is in a partition that it saw later, too.
func TestTopicGrowsDuringARun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 280_000))
	normal := s.throttle(20_000)
	p := s.run("--shards=1")
	s.awaitGranted(p, 20_000)
	s.addPartitions(5)
	p.awaitLog("the topic has grown")
	normal()
	require.Zero(t, p.wait())
	s.publish(s.users(260_000, 80_000)) // into old and new partitions
	s.finish()
	s.exactlyOnce()
}
