package source

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/granter/granter/grant"
)

// What brokers know spreads in its time: another topic is one when no broker has said anything else for a while.
func TestAnotherTopicIsBelievedWhenAllSayItForAWhile(t *testing.T) {
	now := time.Now()
	bound, other := grant.TopicID{Cluster: "c", Topic: [16]byte{1}}, grant.TopicID{Cluster: "c", Topic: [16]byte{2}}
	var b binding
	require.NoError(t, b.judge("t", other, now), "nothing is bound yet")
	b.id.Store(&bound)
	sure := func(id grant.TopicID, at time.Duration) bool {
		err := b.judge("t", id, now.Add(at))
		if id == bound {
			require.NoError(t, err)
			return false
		}
		_, is := err.(*grant.OtherTopicError) //nolint:errorlint // it is not wrapped
		if !is {
			kind, again := Classify(err)
			require.Equal(t, KindTopic, kind)
			require.True(t, again)
		}
		return is
	}
	require.False(t, sure(other, 0))
	require.False(t, sure(other, 100*time.Millisecond))
	require.False(t, sure(other, 200*time.Millisecond), "three times, but at once")
	require.False(t, sure(bound, 300*time.Millisecond), "another broker knows better")
	require.False(t, sure(other, 2*time.Second))
	require.False(t, sure(grant.TopicID{Cluster: "c", Topic: [16]byte{3}}, 4*time.Second), "yet another one")
	require.False(t, sure(other, 5*time.Second))
	require.False(t, sure(other, 7*time.Second))
	require.True(t, sure(other, 7*time.Second+1))
	require.NoError(t, b.judge("t", grant.TopicID{Cluster: "c"}, now), "a broker that has no topic IDs says nothing")

	bound = grant.TopicID{Cluster: "c"}
	require.NoError(t, b.judge("t", other, now), "the brokers were upgraded")
	require.Error(t, b.judge("t", grant.TopicID{Cluster: "d"}, now))
}

func TestATopicIsReadByItsID(t *testing.T) {
	for _, c := range []struct {
		name   string
		broker kversion.Versions
		known  bool
	}{
		{"Kafka 3.9", *kversion.V3_9_0(), true},
		{"Kafka 2.7, by name", *kversion.V2_7_0(), false},
		{"Kafka 2.1, the oldest", *kversion.V2_1_0(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := fakeKafka(t, 1, kfake.MaxVersions(&c.broker))
			brokers := cluster.ListenAddrs()
			produce(t, brokers, userRecords(topicName, 0, 100)...)
			asked := make(chan [16]byte, 1)
			cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				asked <- req.(*kmsg.FetchRequest).Topics[0].TopicID
				return nil, nil, false
			})
			s := newSource(t, brokers)
			id, err := s.Bind(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.known, id.Known())
			require.NotEmpty(t, id.Cluster)
			require.NoError(t, s.Intact(t.Context(), grant.Checkpoint{Topic: id, Next: grant.Offsets{0: 50},
				Epochs: map[int]int32{0: 0}}))
			read(t, s, 0, 50, 100).requireUsers(100, users(50, 100)...)
			require.Equal(t, id.Topic, <-asked,
				"a fetch by name would not notice on the same connection that the topic is another one")
			require.GreaterOrEqual(t, s.Epoch(0, 100), int32(-1))

			_, err = clientOf(t, brokers...).DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topicName}})
			require.NoError(t, err)
			_, err = clientOf(t, brokers...).CreateTopics(t.Context(), &kafka.CreateTopicsRequest{
				Topics: []kafka.TopicConfig{{Topic: topicName, NumPartitions: 1, ReplicationFactor: 1}},
			})
			require.NoError(t, err)
			produce(t, brokers, userRecords(topicName, 0, 300)...)
			_, err = read(t, s, 0, 100, 300).end()
			if c.known {
				var other *grant.OtherTopicError
				require.ErrorAs(t, err, &other)
				require.Equal(t, id, other.Before)
				require.NotEqual(t, id, other.Now)
			} else {
				require.NoError(t, err, "they are the same to whoever asks by name: the guarantee says so")
			}
		})
	}
}

// epochsOf answers OffsetForLeaderEpoch.
func epochsOf(b *scripted, asked *atomic.Int64, epoch int32, end int64) {
	b.speak[23] = 3
	b.other = func(req kmsg.Request) kmsg.Response {
		q, ok := req.(*kmsg.OffsetForLeaderEpochRequest)
		if !ok {
			return nil
		}
		asked.Add(1)
		resp := q.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		part.LeaderEpoch, part.EndOffset = epoch, end
		resp.Topics = []kmsg.OffsetForLeaderEpochResponseTopic{{Topic: topicName,
			Partitions: []kmsg.OffsetForLeaderEpochResponseTopicPartition{part}}}
		return resp
	}
}

func TestALostTailIsFoundBeforeReading(t *testing.T) {
	for _, c := range []struct {
		name  string
		epoch int32 // of the answer
		end   int64
		lost  bool
	}{
		{"all is there", 4, 50, false},
		{"there is more of the epoch", 4, 99, false},
		{"the epoch ends before", 4, 49, true},
		{"the epoch is gone, and the one before goes on", 3, 60, true},
		{"nothing is known of it", -1, -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := startScripted(t, serveLog(t))
			b.end.Store(200)
			var asked atomic.Int64
			epochsOf(b, &asked, c.epoch, c.end)
			s := newSource(t, []string{b.addr})
			err := s.Intact(t.Context(), grant.Checkpoint{Next: grant.Offsets{0: 50}, Epochs: map[int]int32{0: 4}})
			require.EqualValues(t, 1, asked.Load())
			if !c.lost {
				require.NoError(t, err)
				require.EqualValues(t, 4, s.Epoch(0, 50))
				return
			}
			var lost *grant.TruncatedError
			require.ErrorAs(t, err, &lost)
			require.Equal(t, grant.TruncatedError{Partition: 0, Offset: 50, Epoch: 4, EndEpoch: c.epoch, End: c.end}, *lost)
		})
	}
	b := startScripted(t, serveLog(t))
	b.end.Store(40)
	err := newSource(t, []string{b.addr}).Intact(t.Context(), grant.Checkpoint{Next: grant.Offsets{0: 50}})
	require.ErrorContains(t, err, "it ends at offset 40", "also without epochs")
}

// Kafka loses its tail while it is read, and answers the next fetch with where the epoch ends.
func TestALostTailIsFoundWhileReading(t *testing.T) {
	first := batchOf(users(0, 10)...) // of epoch 7
	var seen []int32
	b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		part := req.Topics[0].Partitions[0]
		seen = append(seen, part.LastFetchedEpoch)
		resp := fetchResponse(100, first.encode(t))
		if part.FetchOffset > 0 {
			resp = fetchResponse(100, nil)
			resp.Topics[0].Partitions[0].DivergingEpoch.Epoch, resp.Topics[0].Partitions[0].DivergingEpoch.EndOffset = 4, 7
		}
		resp.Version = fetchFlexible
		return send(c, correlation, resp.AppendTo([]byte{0}))
	})
	b.speak[apiFetch] = fetchFlexible
	s := newSource(t, []string{b.addr})
	reading := read(t, s, 0, 0, 100)
	_, err := reading.end()
	var lost *grant.TruncatedError
	require.ErrorAs(t, err, &lost)
	require.Equal(t, grant.TruncatedError{Partition: 0, Offset: 10, Epoch: 7, EndEpoch: 4, End: 7}, *lost)
	require.Equal(t, []int32{-1, 7}, seen)
	require.EqualValues(t, 7, s.Epoch(0, 10))
}

func TestEpochsOfWhatWasRead(t *testing.T) {
	e := epochs{parts: map[int][]epochStart{}}
	require.EqualValues(t, -1, e.at(0, 10))
	e.set(0, 9, 1) // of the checkpoint
	require.EqualValues(t, 1, e.begin(0, 10))
	e.set(0, 15, 2)
	e.set(0, 20, 4)
	for next, want := range map[int64]int32{10: 1, 15: 1} {
		require.Equal(t, want, e.at(0, next))
	}
	require.EqualValues(t, 2, e.at(0, 16))
	require.EqualValues(t, 2, e.at(0, 20))
	require.EqualValues(t, 4, e.at(0, 21))
	require.EqualValues(t, 4, e.begin(0, 30), "a session that goes on where the last one stopped")
	require.EqualValues(t, -1, e.begin(0, 3), "one that starts before")
}

// Offsets are committed with what they count in, and not believed for another topic.
func TestCommitsSayWhatTheyCountIn(t *testing.T) {
	brokers := fakeKafka(t, 1).ListenAddrs()
	produce(t, brokers, userRecords(topicName, 0, 10)...)
	s := newSource(t, brokers)
	id, err := s.Bind(t.Context())
	require.NoError(t, err)
	committed := func() kafka.OffsetFetchPartition {
		resp, err := s.client.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: s.cfg.Pass.Group,
			Topics: map[string][]int{topicName: {0}}})
		require.NoError(t, err)
		return resp.Topics[topicName][0]
	}
	group, err := s.Join()
	require.NoError(t, err)
	gen, err := group.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, gen.Commit(grant.Offsets{0: 7}))
	require.EqualValues(t, 7, committed().CommittedOffset)
	of, ok := CommittedFor(committed().Metadata)
	require.True(t, ok)
	require.Equal(t, id, of)
	gen.Release()
	require.NoError(t, group.Leave())

	believed := grant.Offsets{0: 7}
	require.NoError(t, s.dropForeign(t.Context(), s.cfg.Pass.Group, believed))
	require.Equal(t, grant.Offsets{0: 7}, believed)
	again := id
	again.Topic[0]++
	s.binding.id.Store(&again)
	require.NoError(t, s.dropForeign(t.Context(), s.cfg.Pass.Group, believed))
	require.Equal(t, grant.Offsets{0: -1}, believed)
	_, ok = CommittedFor("")
	require.False(t, ok, "of 0c10d32, or of Kafka's tools")
}
