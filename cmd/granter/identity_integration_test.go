//go:build integration

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/source"
)

// remake deletes the topic and makes it again, with two partitions, as somebody does who wants to fill it anew. It returns both IDs.
func (s *scenario) remake(k *devtest.Kafka) (before, after grant.TopicID) {
	s.Helper()
	s.asked.note("the topic was made again")
	before = s.identify()
	topic := s.campaign.Input.Topic
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
	src, err := source.New(source.Config{Kafka: source.Kafka{Brokers: s.brokers}, Topic: s.campaign.Input, Campaign: s.campaign.Name, Pass: grant.Pass{Group: "test"}})
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

// goOn grants the topic as it is now, as the error message says, and checks that it was recorded, and how many have it then.
func (s *scenario) goOn(granted int64) {
	s.Helper()
	p := s.run("--new-topic", "--why=the list was corrected")
	require.Zero(s, p.wait(), p.err.String())
	acts, err := s.coordination.History(s.Context())
	require.NoError(s, err)
	last := acts[len(acts)-1]
	require.Equal(s, grant.ActionNewTopic, last.Action)
	require.Contains(s, last.Why, "the list was corrected (")
	topic := s.read(s.campaign.Input.Topic)
	require.Equal(s, topic.ends, s.checkpoint())
	again := s.run() // the topic is no news any more, and nobody is left to grant
	require.Zero(s, again.wait(), again.err.String())
	require.Zero(s, again.summary().Granted)
	s.ofAnotherTopic(granted)
}

// ofAnotherTopic audits: everybody of this topic is granted; of the one before that cannot be seen any more.
func (s *scenario) ofAnotherTopic(granted int64) {
	s.Helper()
	topic := s.read(s.campaign.Input.Topic)
	r := s.audit()
	s.Logf("%s: %+v", r.Verdict, r.Findings)
	require.Equal(s, audit.NotProven, r.Verdict)
	require.Equal(s, topic.valid.digest(), r.Topic.Digest)
	require.Equal(s, granted, r.Ledger.Granted)
	unprovable := int64(0)
	for _, f := range r.Findings {
		if f.Kind == audit.Unprovable {
			unprovable += f.Count
		}
	}
	require.Equal(s, granted-topic.valid.count(), unprovable, "%+v", r.Findings)
	s.asked.audited()
}

// Somebody changes the topic behind granter's back: deletes it and makes it again, or restores an old copy of a partition; and
// fills it, so that it reaches beyond where it was read to. Whoever would go on there stops, names what was and what is, and grants
// everybody when told to begin anew.
func TestTheTopicIsNotTheOneThatWasRead(t *testing.T) {
	devtest.EachKafka(t, theTopicIsNotTheOneThatWasRead)
}

func theTopicIsNotTheOneThatWasRead(t *testing.T) {
	k, r := devtest.StartKafka(t, devtest.KafkaOptions{}), devtest.StartRedis(t, durable()...)
	t.Run("it lost its tail and grew again", func(t *testing.T) { lostTail(newScenarioOn(t, k, 1, r.Addr), k) }) // stops the broker
	for _, c := range []struct {
		name  string
		begin func(s *scenario) (p *process, thawed func()) // a run that is frozen while the topic is made again; nil: there is none
		added int64                                         // users of the new topic
		then  func(s *scenario, before, after grant.TopicID)
	}{
		{"made again under a run that follows", following, 80_000, nobodyOfTheNewTopic},
		{"made again under a run that is paused", paused, 80_000, goesOnResumed},
		{"made again while a run has the rest of it", hasTheRest, 80_000, nothingIsCommitted},
		{"made again between two runs", finished, 10_000, betweenRuns}, // less than before
	} {
		t.Run(c.name, func(t *testing.T) { // when that one is over
			t.Parallel()
			s := newScenarioOn(t, k, 2, r.Addr)
			s.publish(s.users(0, 20_000))
			p, thawed := c.begin(s)
			if p != nil { // it sees nothing of the topic until that reaches beyond where it was read to
				p.freeze()
			}
			before, after := s.remake(k)
			s.publish(s.users(1_000_000, c.added))
			if p != nil {
				p.thaw()
				thawed()
				s.requireStopped(p, exitFailed, before, after)
			}
			c.then(s, before, after)
		})
	}
}

// membership is kept by a run that is frozen for a while: it goes on where it was.
const membership = "--session-timeout=1m"

// following is a run that has read everything, and waits for more.
func following(s *scenario) (p *process, thawed func()) {
	p = s.run("--follow", membership)
	s.awaitGranted(p, 20_000)
	return p, func() {}
}

func nobodyOfTheNewTopic(s *scenario, before, after grant.TopicID) {
	require.EqualValues(s, 20_000, s.granted())
	s.requireStopped(s.run(), exitPreflight, before, after)
	s.goOn(100_000)
}

// paused is a run that does not fetch, because its users wait at the closed gate.
func paused(s *scenario) (p *process, thawed func()) {
	p, thawed = following(s)
	s.order("pause", "--why=test")
	p.awaitLog("paused by")
	s.publish(s.users(20_000, 100))
	return p, thawed
}

func goesOnResumed(s *scenario, _, _ grant.TopicID) {
	s.order("resume", "--why=test")
	s.goOn(100_000)
}

// hasTheRest is a run that has most of the old topic in its buffer. What it still grants of that, it may; but the new topic must
// not get the old one's offsets.
func hasTheRest(s *scenario) (p *process, thawed func()) {
	thawed = s.throttle(2000)
	p = s.run("--follow", membership)
	s.awaitGranted(p, 2000)
	return p, thawed
}

func nothingIsCommitted(s *scenario, before, _ grant.TopicID) {
	committed, err := s.kafka.OffsetFetch(s.Context(), &kafka.OffsetFetchRequest{
		GroupID: "granter-" + s.campaign.Name, Topics: map[string][]int{s.campaign.Input.Topic: {0, 1}},
	})
	require.NoError(s, err)
	for _, c := range committed.Topics[s.campaign.Input.Topic] {
		// Kafka cannot be told for which topic an offset is: one that is sent while the topic is made again comes to the new one,
		// where its metadata keep it from being believed.
		of, says := source.CommittedFor(c.Metadata)
		require.True(s, c.CommittedOffset == -1 || says && of == before,
			"an offset of the old topic is committed to the new one as if it were its own: %+v", c)
	}
	found, err := s.reader.Checkpoints(s.Context(), s.campaign)
	require.NoError(s, err)
	require.Equal(s, before, found.Topic)
	granted := s.granted() // of the old topic, among the first 20,000
	s.goOn(granted + 80_000)
}

func finished(s *scenario) (*process, func()) {
	s.finish()
	return nil, nil
}

// betweenRuns checks that nothing of the old topic's checkpoint counts for the new one: not in status, not for a run, not for
// the replica that is to wait for another one.
func betweenRuns(s *scenario, before, after grant.TopicID) {
	st := s.how()
	require.EqualValues(s, "idle", st.Phase)
	require.Equal(s, st.Records, st.Lag)
	require.Zero(s, st.Percentage)
	require.Equal(s, after.String(), st.TopicID)
	require.Equal(s, before.String(), st.CheckpointID)
	require.Contains(s, st.TopicChanged, "--new-topic")
	s.requireStopped(s.run(), exitPreflight, before, after)
	s.requireStopped(s.run("--force", "--why=test"), exitFailed, before, after)
	require.EqualValues(s, 20_000, s.granted())

	// Two replicas with a partition each; one is done and must wait for the one that dies, whatever was read before.
	normal := s.throttle(1000)
	first := s.run("--new-topic", "--why=the list was corrected", "--shards=1")
	s.awaitGranted(first, 20_500)
	second := s.run("--shards=1")
	await(s.T, "both have a partition", func() bool { return first.partitions() == 1 && second.partitions() == 1 })
	first.freeze()
	normal()
	second.awaitLog("waiting for the other replicas")
	first.kill()
	require.Zero(s, second.wait(), second.err.String())
	s.ofAnotherTopic(30_000)
}

// lostTail takes the end of a partition's log away, as a disk does that is restored to what it was, and fills it with others.
func lostTail(s *scenario, k *devtest.Kafka) {
	s.publish(s.users(0, 20_000))
	dir := filepath.Join(k.Dir, "broker-1", "data", s.campaign.Input.Topic+"-0")
	log := filepath.Join(dir, fmt.Sprintf("%020d.log", 0))
	then, err := os.Stat(log)
	require.NoError(s, err)
	s.publish(s.users(20_000, 5_000))
	s.finish()
	require.EqualValues(s, 25_000, s.granted())

	k.Stop(0)
	require.NoError(s, os.Truncate(log, then.Size()))
	for _, derived := range []string{"*.index", "*.timeindex", "*.snapshot"} {
		files, err := filepath.Glob(filepath.Join(dir, derived))
		require.NoError(s, err)
		for _, file := range files {
			require.NoError(s, os.Remove(file))
		}
	}
	k.Restart(0)
	s.plans = s.plans[:1]
	s.publish(s.users(1_000_000, 10_000))
	for _, c := range []struct {
		code  int
		flags []string
	}{{exitPreflight, nil}, {exitFailed, []string{"--force", "--why=test"}}} {
		p := s.run(c.flags...)
		require.Equal(s, c.code, p.wait(), p.err.String())
		require.Contains(s, p.err.String(), "partition 0 has lost records that had been read")
		require.Contains(s, p.err.String(), "--new-topic")
	}
	require.EqualValues(s, 25_000, s.granted())
	st := s.how()
	require.Contains(s, st.TopicChanged, "partition 0 has lost records")
	require.Positive(s, st.Lag)
	s.goOn(35_000)
}
