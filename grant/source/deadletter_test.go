package source

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

var letterTopic = topicName + grant.DeadLetterSuffix

// prepared is a source on a cluster, whose dead-letter topic exists.
func prepared(t *testing.T, c *kfake.Cluster, options ...func(*Config)) *Source {
	t.Helper()
	s := newSource(t, c.ListenAddrs(), options...)
	require.NoError(t, s.Prepare(t.Context()))
	return s
}

func TestRejectedRecordsAreStoredAsTheyWere(t *testing.T) {
	c := fakeKafka(t, 2)
	s := prepared(t, c, func(c *Config) { c.Observer = &witness{} })
	written := []*kgo.Record{
		{Partition: 1, Value: []byte("7")},
		{Partition: 1, Value: nil},
		{Partition: 1, Value: []byte{}},
		{Partition: 1, Key: []byte{}, Value: []byte("007")},
		{Partition: 1, Key: []byte("k"), Value: []byte("\x00\xff 1"),
			Headers: []kgo.RecordHeader{{Key: "theirs", Value: []byte("x")}}},
		{Partition: 1, Value: []byte("8")},
		{Partition: 1, Key: []byte("only"), Value: nil},
	}
	for _, r := range written {
		r.Topic = topicName
	}
	produce(t, c.ListenAddrs(), written...)
	r := read(t, s, 1, 0, 7)
	p, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{7, 8}, r.ids())
	require.EqualValues(t, 7, p.Next)
	require.EqualValues(t, 5, p.Rejected)
	require.EqualValues(t, 7, p.Consumed)

	letters := stored(t, c.ListenAddrs(), letterTopic, 5)
	reasons := []string{"empty", "empty", "leading_zero", "space", "empty"}
	for i, offset := range []int{1, 2, 3, 4, 6} {
		got, want := letters[i], written[offset]
		require.EqualValues(t, 1, got.Partition, "a partition's letters stay together, in order")
		require.Equal(t, want.Key, got.Key, "null and empty differ")
		require.Equal(t, want.Value, got.Value)
		require.Equal(t, reasons[i], header(got, HeaderReason))
		require.Equal(t, topicName, header(got, HeaderTopic))
		require.Equal(t, "1", header(got, HeaderPartition))
		require.Equal(t, strconv.Itoa(offset), header(got, HeaderOffset))
		require.Equal(t, "sorry", header(got, HeaderCampaign))
		require.Equal(t, grant.RunID(0xabc).String(), header(got, HeaderRun))
		require.Equal(t, "(none)", header(got, HeaderTruncated))
	}
	require.Equal(t, reasons, s.cfg.Observer.(*witness).rejected)
}

// The default name may be taken, or collide with another topic's.
func TestTheDeadLetterTopicCanBeNamed(t *testing.T) {
	c := fakeKafka(t, 1)
	s := prepared(t, c, func(c *Config) { c.Topic.DeadLetters = "elsewhere"; c.Topic.MaxRejected = 0 })
	produce(t, c.ListenAddrs(), values(topicName, "1", "x")...)
	_, err := read(t, s, 0, 0, 2).end()
	require.ErrorContains(t, err, "elsewhere has samples")
	require.Equal(t, "x", string(stored(t, c.ListenAddrs(), "elsewhere", 1)[0].Value))
	require.Nil(t, c.TopicInfo(letterTopic))
}

func TestTheDeadLetterTopicTakesLargerRecordsAndKeepsThem(t *testing.T) {
	c := fakeKafka(t, 3, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "5000000"}))
	prepared(t, c)
	info := c.TopicInfo(letterTopic)
	require.NotNil(t, info)
	require.Len(t, c.PartitionInfos(letterTopic), 3)
	require.Equal(t, "33554432", *info.Configs["max.message.bytes"])
	require.Equal(t, "-1", *info.Configs["retention.ms"])
	prepared(t, c) // it exists
}

// A small batch may inflate to more rejected records than are held at once: each of them is stored all the same, once.
func TestMoreRejectsThanAreHeldAtOnceAreAllStored(t *testing.T) {
	const records = 2*maxLetters + 100
	c := fakeKafka(t, 1)
	s := prepared(t, c, func(c *Config) { c.Topic.MaxRejected = 1 })
	list := make([]string, records)
	for i := range list {
		list[i] = "x"
	}
	produce(t, c.ListenAddrs(), values(topicName, list...)...)
	p, err := read(t, s, 0, 0, records).end()
	require.NoError(t, err)
	require.EqualValues(t, records, p.Next)
	require.EqualValues(t, records, p.Rejected)
	for i, got := range stored(t, c.ListenAddrs(), letterTopic, records) {
		require.Equal(t, strconv.Itoa(i), header(got, HeaderOffset))
	}
}

// A batch is inflated where the one before it was, and rejected records of both are stored when the fetch has been read.
func TestLettersOutliveTheBatchThatTheyCameIn(t *testing.T) {
	c := fakeKafka(t, 1)
	writer := franz(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	value := func(i int) string { return fmt.Sprintf("no user in batch %d %s", i, strings.Repeat("-", 1000)) } // compresses well
	for i := range 3 {
		require.NoError(t, writer.ProduceSync(t.Context(), values(topicName, value(i))...).FirstErr())
	}
	_, err := read(t, prepared(t, c), 0, 0, 3).end()
	require.NoError(t, err)
	for i, got := range stored(t, c.ListenAddrs(), letterTopic, 3) {
		require.Equal(t, value(i), string(got.Value))
	}
}

// Whoever loses one broker must not lose letters that a checkpoint has passed.
func TestLettersAreAcknowledgedByAllReplicas(t *testing.T) {
	c := fakeKafka(t, 1)
	s := prepared(t, c)
	produce(t, c.ListenAddrs(), values(topicName, "x")...)
	acks := make(chan int16, 1)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		acks <- req.(*kmsg.ProduceRequest).Acks
		return nil, nil, false
	})
	_, err := read(t, s, 0, 0, 1).end()
	require.NoError(t, err)
	require.EqualValues(t, -1, <-acks)
}

// The topic may have been made by somebody else, with lower limits.
func TestALetterThatIsTooLargeIsCut(t *testing.T) {
	c := fakeKafka(t, 1)
	require.NoError(t, c.CreateTopic(letterTopic, 1, map[string]string{"max.message.bytes": "20000"}))
	s := prepared(t, c)
	big := bytes.Repeat([]byte("0123456789"), 10_000)
	list := values(topicName, "x", string(big), "y")
	list = append(list, &kgo.Record{Topic: topicName, Key: big, Value: []byte("z")})
	for i := range 300 {
		list = append(list, values(topicName, "small "+strconv.Itoa(i))...)
	}
	produce(t, c.ListenAddrs(), list...)
	p, err := read(t, s, 0, 0, 304).end()
	require.NoError(t, err)
	require.EqualValues(t, 304, p.Rejected)
	for i, got := range stored(t, c.ListenAddrs(), letterTopic, 304) {
		require.Equal(t, strconv.Itoa(i), header(got, HeaderOffset))
		switch i {
		case 1:
			require.Equal(t, string(big[:12_500]), string(got.Value))
			require.Equal(t, "100000", header(got, HeaderTruncated))
		case 3:
			require.Equal(t, string(big[:12_500]), string(got.Key))
			require.Equal(t, "z", string(got.Value))
			require.Equal(t, "100001", header(got, HeaderTruncated))
		default:
			require.Equal(t, string(list[i].Value), string(got.Value))
			require.Equal(t, "(none)", header(got, HeaderTruncated))
		}
	}
}

func TestAMillionBytesOfSmallLettersFitTheDefaultLimit(t *testing.T) {
	c := fakeKafka(t, 1)
	require.NoError(t, c.CreateTopic(letterTopic, 1, nil))
	var list []*kgo.Record
	for i := range 5000 {
		list = append(list, values(topicName, fmt.Sprintf("user %0*d", 1+i%900, i))...)
	}
	produce(t, c.ListenAddrs(), list...)
	p, err := read(t, prepared(t, c), 0, 0, 5000).end()
	require.NoError(t, err)
	require.EqualValues(t, 5000, p.Rejected)
	for i, got := range stored(t, c.ListenAddrs(), letterTopic, 5000) {
		require.Equal(t, string(list[i].Value), string(got.Value))
	}
}

// The checkpoint must not pass a rejected record that a crash could still lose.
func TestThePositionWaitsForTheDeadLetters(t *testing.T) {
	c := fakeKafka(t, 1)
	seen := new(witness)
	s := prepared(t, c, func(c *Config) { c.Observer = seen })
	produce(t, c.ListenAddrs(), values(topicName, "1", "x", "3")...)
	asked, release := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	r := read(t, s, 0, 0, 3)
	<-asked
	require.Zero(t, r.position().Next)
	require.Empty(t, seen.rejected)
	close(release)
	p, err := r.end()
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Next)
	require.Equal(t, []string{string(ReasonNotDecimal)}, seen.rejected)
	stored(t, c.ListenAddrs(), letterTopic, 1)
}

func TestLettersAreWrittenAgainUntilTheyAreStored(t *testing.T) {
	c := fakeKafka(t, 1)
	s := prepared(t, c)
	produce(t, c.ListenAddrs(), values(topicName, "1", "x", "y", "4")...)
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.UnknownTopicOrPartition} {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: letterTopic, Err: e})
	}
	p, err := read(t, s, 0, 0, 4).end()
	require.NoError(t, err)
	require.EqualValues(t, 2, p.Rejected)
	require.EqualValues(t, 4, p.Consumed)
	stored(t, c.ListenAddrs(), letterTopic, 2)

	// An answer that got lost stores letters twice, and their headers say so.
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: letterTopic, Err: kerr.NotEnoughReplicasAfterAppend})
	p, err = read(t, s, 0, 0, 4).end()
	require.NoError(t, err)
	require.EqualValues(t, 2, p.Rejected, "counted once")
	twice := stored(t, c.ListenAddrs(), letterTopic, 6)
	require.Equal(t, header(twice[2], HeaderOffset), header(twice[4], HeaderOffset))
}

func TestLettersThatCannotBeStoredStopTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		err   *kerr.Error
		retry time.Duration
	}{
		"at once when waiting does not help": {kerr.TopicAuthorizationFailed, time.Hour},
		"after a while when it might":        {kerr.NotEnoughReplicas, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fakeKafka(t, 1)
			s := prepared(t, cluster, func(cfg *Config) { cfg.RetryFor = c.retry })
			produce(t, cluster.ListenAddrs(), values(topicName, "1", "x", "3")...)
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: letterTopic, Err: c.err, Count: -1})
			p, err := read(t, s, 0, 0, 3).end()
			require.ErrorContains(t, err,
				"partition 0: writing rejected records to kakaotalk-users.rejected: ["+strconv.Itoa(int(c.err.Code))+"]")
			require.Zero(t, p.Next)
		})
	}
}

// What a run that is stopped has in hand, it finishes: otherwise all of the fetch would be read again.
func TestAStoppedRunStoresTheLettersInHand(t *testing.T) {
	t.Parallel()
	c := fakeKafka(t, 1)
	s := prepared(t, c)
	produce(t, c.ListenAddrs(), values(topicName, "1", "x", "3")...)
	failing := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: letterTopic, Err: kerr.NotEnoughReplicas, Count: -1})
	r := read(t, s, 0, 0, -1)
	require.Eventually(t, func() bool { return failing.Hits() >= 2 }, patience, time.Millisecond)
	r.cancel()
	require.Zero(t, r.position().Next)
	failing.Remove()
	p, err := r.end()
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Next)
	require.EqualValues(t, 1, p.Rejected)
	stored(t, c.ListenAddrs(), letterTopic, 1)
}

func TestAStoppedRunDoesNotWaitForLettersForEver(t *testing.T) {
	t.Parallel()
	c := fakeKafka(t, 1)
	s := prepared(t, c, forever)
	produce(t, c.ListenAddrs(), values(topicName, "1", "x", "3")...)
	failing := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: letterTopic, Err: kerr.NotEnoughReplicas, Count: -1})
	r := read(t, s, 0, 0, 3)
	require.Eventually(t, func() bool { return failing.Hits() >= 2 }, patience, time.Millisecond)
	r.cancel()
	p, err := r.end()
	require.NoError(t, err)
	require.Zero(t, p.Next)
}

func secured(t *testing.T, acls ...kfake.ACL) *kfake.Cluster {
	return fakeKafka(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.User("PLAIN", "granter", "secret", acls...))
}

func allow(name string, operations ...kmsg.ACLOperation) (list []kfake.ACL) {
	for _, o := range operations {
		list = append(list, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: name,
			Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: o, Allow: true})
	}
	return list
}

func as(password string) func(*Config) {
	return func(c *Config) { c.Kafka.SASL = plain.Mechanism{Username: "granter", Password: password} }
}

func TestATopicMadeBySomebodyElseNeedsNoPermissionToCreate(t *testing.T) {
	c := secured(t, append(allow(topicName, kmsg.ACLOperationRead), allow(letterTopic, kmsg.ACLOperationWrite)...)...)
	s := newSource(t, c.ListenAddrs(), as("secret"), forever)
	err := s.Prepare(t.Context())
	require.ErrorContains(t, err, "creating dead-letter topic kakaotalk-users.rejected (create it yourself, or allow granter to)")

	require.NoError(t, c.CreateTopic(letterTopic, 1, nil))
	require.NoError(t, newSource(t, c.ListenAddrs(), as("secret")).Prepare(t.Context()))
}

func TestWhatIsMissingIsNamedAtOnce(t *testing.T) {
	open := fakeKafka(t, 1)
	other := func(c *Config) { c.Topic.Topic = "other" }
	err := newSource(t, open.ListenAddrs(), other, forever).Prepare(t.Context())
	require.ErrorContains(t, err, "topic other: [3] Unknown Topic Or Partition")
	require.ErrorContains(t, err, "create it, or correct source.topic in the spec")

	c := secured(t, allow("unrelated", kmsg.ACLOperationRead)...)
	err = newSource(t, c.ListenAddrs(), as("secret"), forever).Prepare(t.Context())
	require.ErrorIs(t, err, kafka.TopicAuthorizationFailed, "hiding a topic is not saying that there is none")
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl() // kfake itself hangs up
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	err = newSource(t, c.ListenAddrs(), as("wrong"), forever).Prepare(t.Context())
	require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)

	// Without a broker it goes on for as long as it may.
	err = newSource(t, []string{"127.0.0.1:1"}, func(c *Config) { c.RetryFor = 300 * time.Millisecond }).Prepare(t.Context())
	require.ErrorContains(t, err, "asking for topic kakaotalk-users")
	require.ErrorContains(t, err, "127.0.0.1:1: connect: connection refused")
}
