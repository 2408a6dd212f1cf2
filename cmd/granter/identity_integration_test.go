//go:build integration

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// remake deletes the topic and makes it again, with two partitions, as somebody does who wants to fill it anew. It returns both IDs.
func (s *scenario) remake(k *devtest.Kafka) (before, after grant.TopicID) {
	s.Helper()
	before = s.identify()
	topic := s.campaign.Source.Topic
	resp, err := s.kafka.DeleteTopics(s.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	require.NoError(s, err)
	require.NoError(s, resp.Errors[topic])
	state := func(so func(error) bool) func() bool {
		return func() bool {
			meta, err := s.kafka.Metadata(s.Context(), &kafka.MetadataRequest{Topics: []string{topic}})
			return err == nil && so(meta.Topics[0].Error)
		}
	}
	await(s.T, "the topic is gone", state(func(err error) bool { return errors.Is(err, kafka.UnknownTopicOrPartition) }))
	k.CreateTopic(s.T, topic, 2, 1, nil)
	await(s.T, "the topic is there again", state(func(err error) bool { return err == nil }))
	s.plans = nil // what it held is gone
	after = s.identify()
	require.NotEqual(s, before, after)
	return before, after
}

// identify returns the identity of the topic that Kafka has.
func (s *scenario) identify() grant.TopicID {
	s.Helper()
	src, err := source.New(source.Config{Kafka: source.Kafka{Brokers: s.brokers}, Topic: s.campaign.Source, Campaign: s.campaign.Name, Pass: grant.Pass{Group: "test"}})
	require.NoError(s, err)
	defer src.Close()
	id, err := src.Identify(s.Context())
	require.NoError(s, err)
	return id
}

// requireStopped waits for the end of a run and checks that it says which topic was there, and which one is.
func (s *scenario) requireStopped(p *process, code int, before, after grant.TopicID) {
	s.Helper()
	require.Equal(s, code, p.wait(), p.err.String())
	said := p.err.String() + p.out.String()
	for _, word := range []string{before.String()[len(before.Cluster)+1:], after.String()[len(after.Cluster)+1:], before.Cluster, "--new-topic"} {
		require.Contains(s, said, word)
	}
}

// goOn grants the topic as it is now, as the error message says, and checks that it was recorded.
func (s *scenario) goOn() {
	s.Helper()
	p := s.run("--new-topic", "--why=the list was corrected")
	require.Zero(s, p.wait(), p.err.String())
	acts, err := s.coordination.History(s.Context())
	require.NoError(s, err)
	last := acts[len(acts)-1]
	require.Equal(s, grant.ActionNewTopic, last.Action)
	require.Contains(s, last.Why, "the list was corrected (")
	topic, granted := s.read(s.campaign.Source.Topic), s.grantedUsers()
	n, example := topic.valid.missing(granted)
	require.Zero(s, n, "users are not granted, one is %d", example)
	proof, err := s.reader.Prove(s.Context())
	require.NoError(s, err)
	require.True(s, proof.Holds(), "%+v", proof)
	require.Equal(s, topic.ends, s.checkpoint())
	again := s.run() // the topic is no news any more, and nobody is left to grant
	require.Zero(s, again.wait(), again.err.String())
	require.Zero(s, again.summary().Granted)
}

// A run follows a topic, and waits for more. The topic is deleted and made again, and holds more than before when the run
// looks again: it would read on in the middle.
func TestTopicIsMadeAgainUnderARunThatFollows(t *testing.T) {
	k := devtest.SharedKafka(t)
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 20_000))
	p := s.run("--follow")
	s.awaitGranted(p, 20_000)
	before, after := s.remake(k)
	s.publish(s.users(1_000_000, 80_000))
	s.requireStopped(p, exitFailed, before, after)
	require.EqualValues(t, 20_000, s.granted(), "nobody of the new topic")
	s.requireStopped(s.run(), exitPreflight, before, after)
	s.goOn()
	require.EqualValues(t, 100_000, s.granted())
}

// The same with a run that is paused: it does not fetch, and its users wait.
func TestTopicIsMadeAgainUnderAPausedRun(t *testing.T) {
	k := devtest.SharedKafka(t)
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 20_000))
	p := s.run("--follow")
	s.awaitGranted(p, 20_000)
	s.order("pause", "--why=test")
	p.awaitLog("paused by")
	s.publish(s.users(20_000, 100)) // so that it stands at the closed gate
	before, after := s.remake(k)
	s.publish(s.users(1_000_000, 80_000))
	s.requireStopped(p, exitFailed, before, after)
	s.order("resume", "--why=test")
	s.goOn()
	require.EqualValues(t, 100_000, s.granted())
}

// The same with the rest of the old topic in the buffer of a run that is slow. What it still grants of that, it may; but the
// new topic must not get the old one's offsets.
func TestTopicIsMadeAgainWhileARunHasTheRestOfIt(t *testing.T) {
	k := devtest.SharedKafka(t)
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 20_000))
	normal := s.throttle(2000)
	p := s.run("--follow")
	s.awaitGranted(p, 2000)
	before, after := s.remake(k)
	s.publish(s.users(1_000_000, 80_000))
	normal()
	s.requireStopped(p, exitFailed, before, after)
	committed, err := s.kafka.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{
		GroupID: "granter-" + s.campaign.Name, Topics: map[string][]int{s.campaign.Source.Topic: {0, 1}},
	})
	require.NoError(t, err)
	for _, c := range committed.Topics[s.campaign.Source.Topic] {
		require.EqualValues(t, -1, c.CommittedOffset, "an offset of the old topic is committed to the new one: %+v", c)
	}
	found, err := s.reader.Checkpoints(t.Context(), s.campaign)
	require.NoError(t, err)
	require.Equal(t, before, found.Topic)
	s.goOn()
}

// The topic is made again between two runs. Nothing of the old one's checkpoint counts for it: not in status, not for the
// replica that is to wait for another one.
func TestTopicIsMadeAgainBetweenRuns(t *testing.T) {
	k := devtest.SharedKafka(t)
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 20_000))
	s.finish()
	before, after := s.remake(k)
	s.publish(s.users(1_000_000, 10_000)) // less than before
	var st Status
	p := granter(t, s.command("status", "--json"))
	require.Zero(t, p.wait(), p.err.String())
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &st))
	require.EqualValues(t, "idle", st.Phase)
	require.Equal(t, st.Records, st.Lag)
	require.Zero(t, st.Percentage)
	require.Equal(t, after.String(), st.TopicID)
	require.Equal(t, before.String(), st.CheckpointID)
	require.Contains(t, st.TopicChanged, "--new-topic")
	s.requireStopped(s.run(), exitPreflight, before, after)
	s.requireStopped(s.run("--force", "--why=test"), exitFailed, before, after)
	require.EqualValues(t, 20_000, s.granted())

	// Two replicas with a partition each; one is done and must wait for the one that dies, whatever was read before.
	normal := s.throttle(1000)
	first := s.run("--new-topic", "--why=the list was corrected", "--shards=1")
	s.awaitGranted(first, 20_500)
	second := s.run("--shards=1")
	await(t, "both have a partition", func() bool { return first.partitions() == 1 && second.partitions() == 1 })
	first.freeze()
	normal()
	second.awaitLog("waiting for the other replicas")
	first.kill()
	require.Zero(t, second.wait(), second.err.String())
	require.EqualValues(t, 30_000, s.granted())
}

// Kafka loses the end of a partition, and grows again: an older copy of the disk is restored, and others are published.
func TestKafkaLosesItsTailAndGrowsAgain(t *testing.T) {
	k := devtest.StartKafka(t, devtest.KafkaOptions{})
	s := newScenarioOn(t, k, 1, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 20_000))
	k.Stop(0)
	copied := filepath.Join(t.TempDir(), "log")
	log := filepath.Join(k.Dir, "broker-1", "data", s.campaign.Source.Topic+"-0")
	require.NoError(t, os.CopyFS(copied, os.DirFS(log)))
	k.Restart(0)
	s.publish(s.users(20_000, 5_000))
	s.finish()
	require.EqualValues(t, 25_000, s.granted())

	k.Stop(0)
	require.NoError(t, os.RemoveAll(log))
	require.NoError(t, os.CopyFS(log, os.DirFS(copied)))
	k.Restart(0)
	s.plans = s.plans[:1]
	s.publish(s.users(1_000_000, 10_000))
	for _, c := range []struct {
		code  int
		flags []string
	}{{exitPreflight, nil}, {exitFailed, []string{"--force", "--why=test"}}} {
		p := s.run(c.flags...)
		require.Equal(t, c.code, p.wait(), p.err.String())
		require.Contains(t, p.err.String(), "partition 0 has lost records that had been read")
		require.Contains(t, p.err.String(), "--new-topic")
	}
	require.EqualValues(t, 25_000, s.granted())
	var st Status
	p := granter(t, s.command("status", "--json"))
	require.Zero(t, p.wait(), p.err.String())
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &st))
	require.Contains(t, st.TopicChanged, "partition 0 has lost records")
	require.Positive(t, st.Lag)
	s.goOn()
	require.EqualValues(t, 35_000, s.granted())
}
