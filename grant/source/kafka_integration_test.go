//go:build integration

package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/sharding/dense"
)

// Audited makes a campaign of a topic of decimal IDs, on a Redis of its own. A run grants everybody of it, and calls during
// meanwhile, if that is not nil; an audit, by both readers, says what it comes to, and what it finds.
var Audited func(t *testing.T, brokers []string, topic string) (run func(during func()), audit func() (string, []string))

// proven has everybody of a topic granted, and requires that an audit proves it.
func proven(t *testing.T, k *devtest.Kafka, topic string, during func()) {
	t.Helper()
	run, audit := Audited(t, k.Brokers, topic)
	run(during)
	verdict, kinds := audit()
	require.Equal(t, "proven", verdict, kinds)
}

func on(topic string) func(*Config) {
	return func(c *Config) { c.Topic.Topic, c.Pass.Group = topic, "granter-"+topic }
}

// shared1 is a topic of one partition on the shared broker, and a source of it.
func shared1(t *testing.T, topic string, config map[string]string, options ...func(*Config)) (*devtest.Kafka, *Source) {
	t.Helper()
	k := devtest.SharedKafka(t)
	k.CreateTopic(t, topic, 1, 1, config)
	return k, newSource(t, k.Brokers, append(options, on(topic))...)
}

func end(t *testing.T, s *Source) int64 {
	t.Helper()
	bounds, err := s.Bounds(t.Context())
	require.NoError(t, err)
	return bounds.Ends[0]
}

func TestRealKafkaEveryClientsBatchesAreRead(t *testing.T) {
	devtest.EachKafka(t, realKafkaEveryClientsBatchesAreRead)
}

func realKafkaEveryClientsBatchesAreRead(t *testing.T) {
	k := devtest.SharedKafka(t)
	client := clientOf(t, k.Brokers...)
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			topic := "codec-" + codec.String()
			k.CreateTopic(t, topic, 1, 1, nil)

			// Java's, 0 to 2,999.
			var lines bytes.Buffer
			for _, r := range users(0, 3000) {
				fmt.Fprintf(&lines, "%s\n", r.value)
			}
			producer := "org.apache.kafka.tools.ConsoleProducer"
			if strings.HasPrefix(k.Version, "3.") {
				producer = "kafka.tools.ConsoleProducer"
			}
			java := exec.Command("../../deploy/dev/kafka.sh", "tool", producer, "--bootstrap-server", k.Brokers[0],
				"--topic", topic, "--compression-codec", strings.ReplaceAll(codec.String(), "uncompressed", "none"),
				"--batch-size", "5000")
			java.Stdin, java.Env = &lines, append(os.Environ(), "GRANTER_DEV_KAFKA="+k.Version)
			out, err := java.CombinedOutput()
			require.NoError(t, err, "%s", out)

			// kafka-go's, 3,000 to 5,999.
			transport := new(kafka.Transport)
			defer transport.CloseIdleConnections()
			w := &kafka.Writer{
				Addr: kafka.TCP(k.Brokers...), Topic: topic, Transport: transport, Compression: codec,
				BatchTimeout: time.Millisecond,
				RequiredAcks: kafka.RequireAll, // by default it waits for none
			}
			var list []kafka.Message
			for _, r := range users(3000, 6000) {
				list = append(list, kafka.Message{Key: []byte("k"), Value: r.value,
					Headers: []kafka.Header{{Key: "h", Value: []byte("v")}}})
			}
			require.NoError(t, w.WriteMessages(t.Context(), list...))
			require.NoError(t, w.Close())

			// Ours, 6,000 to 8,999.
			plan := population.Plan{Topic: grant.Input{Topic: topic, Format: grant.FormatDecimal}, Users: 3000, First: 6000,
				Order: population.Ascending}
			_, err = population.Publish(t.Context(), client, plan.Topic, plan.Source(),
				population.Options{Compression: codec, BatchRecords: 700})
			require.NoError(t, err)

			s := newSource(t, k.Brokers, on(topic))
			require.EqualValues(t, 9000, end(t, s))
			read(t, s, 0, 0, 9000).requireUsers(9000, users(0, 9000)...)
			r := read(t, s, 0, 1234, 5678) // from the middle of a batch to the middle of another
			r.requireUsers(5678, users(1234, 5678)...)
			proven(t, k, topic, nil)
		})
	}
}

// Brokers hand a topic with compression.type=zstd to nobody who asks by an old version of the API.
func TestRealKafkaTopicsThatCompressAreRead(t *testing.T) {
	devtest.EachKafka(t, realKafkaTopicsThatCompressAreRead)
}

func realKafkaTopicsThatCompressAreRead(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			topic := "compress-" + codec.String()
			k, s := shared1(t, topic, map[string]string{"compression.type": codec.String()})
			produce(t, k.Brokers, userRecords(topic, 0, 2000)...)
			read(t, s, 0, 0, 2000).requireUsers(2000, users(0, 2000)...)
		})
	}
}

// writer is a transactional producer.
func writer(t *testing.T, k *devtest.Kafka, id string) *kgo.Client {
	return franz(t, k.Brokers, kgo.TransactionalID(id))
}

func write(t *testing.T, w *kgo.Client, topic string, from, to int64) {
	t.Helper()
	require.NoError(t, w.ProduceSync(t.Context(), userRecords(topic, from, to)...).FirstErr())
}

func TestRealKafkaAbortedTransactionsAreHidden(t *testing.T) {
	devtest.EachKafka(t, realKafkaAbortedTransactionsAreHidden)
}

func realKafkaAbortedTransactionsAreHidden(t *testing.T) {
	k, s := shared1(t, "transactions", nil)
	a, b, c := writer(t, k, "tx-a"), writer(t, k, "tx-b"), writer(t, k, "tx-c")
	finish := func(w *kgo.Client, how kgo.TransactionEndTry) { require.NoError(t, w.EndTransaction(t.Context(), how)) }
	commit, abort := kgo.TryCommit, kgo.TryAbort

	require.NoError(t, a.BeginTransaction())
	require.NoError(t, b.BeginTransaction())
	write(t, a, "transactions", 0, 10)
	write(t, b, "transactions", 100, 110)
	produce(t, k.Brokers, userRecords("transactions", 200, 210)...)
	write(t, a, "transactions", 10, 20)
	finish(a, abort)
	write(t, b, "transactions", 110, 120)
	require.NoError(t, a.BeginTransaction())
	write(t, a, "transactions", 20, 30)
	finish(b, commit)
	finish(a, commit)
	require.NoError(t, c.BeginTransaction())
	write(t, c, "transactions", 300, 305)
	finish(c, commit)
	require.NoError(t, c.BeginTransaction())
	write(t, c, "transactions", 305, 310)
	finish(c, abort) // a marker and nothing else is at the end

	until := end(t, s)
	want := slices.Concat(users(20, 30), users(100, 120), users(200, 210), users(300, 305))
	read(t, s, 0, 0, until).requireUsers(until, want...)
	for from := range until { // wherever a checkpoint may be
		r := read(t, s, 0, from, until)
		p, err := r.end()
		require.NoError(t, err)
		require.Equal(t, until, p.Next)
		require.Subset(t, offsetsOf(want), r.ids(), "from %d", from)
	}
	proven(t, k, "transactions", nil)
}

func TestRealKafkaAnOpenTransactionIsWaitedFor(t *testing.T) {
	devtest.EachKafka(t, realKafkaAnOpenTransactionIsWaitedFor)
}

func realKafkaAnOpenTransactionIsWaitedFor(t *testing.T) {
	k, s := shared1(t, "open", nil)
	produce(t, k.Brokers, userRecords("open", 0, 10)...)
	w := writer(t, k, "tx-open")
	require.NoError(t, w.BeginTransaction())
	write(t, w, "open", 10, 20)
	produce(t, k.Brokers, userRecords("open", 20, 30)...)
	require.EqualValues(t, 30, end(t, s))
	told := &witness{}
	s.cfg.Observer = told
	read(t, s, 0, 0, 10).requireUsers(10, users(0, 10)...)
	require.Zero(t, told.transaction(), "nothing that is to be read waits")
	r := read(t, s, 0, 0, 30)
	r.reaches(10)
	require.Equal(t, offsetsOf(users(0, 10)), r.ids())
	require.Eventually(t, func() bool { return told.transaction() == [2]int64{10, 20} }, patience, time.Millisecond,
		"it is said why")
	require.NoError(t, w.EndTransaction(t.Context(), kgo.TryCommit))
	r.requireUsers(30, users(0, 30)...)
	require.NotEqual(t, [2]int64{10, 20}, told.transaction(), "it is said that it is over")
	proven(t, k, "open", nil)
}

// The cleaner leaves gaps, and batches without records.
func TestRealKafkaACompactedTopicIsReadToItsEnd(t *testing.T) {
	devtest.EachKafka(t, realKafkaACompactedTopicIsReadToItsEnd)
}

func realKafkaACompactedTopicIsReadToItsEnd(t *testing.T) {
	k, s := shared1(t, "compacted", map[string]string{
		"cleanup.policy": "compact", "segment.ms": "10", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0",
	})
	require.NoError(t, s.Prepare(t.Context()))
	id := int64(0)
	keyed := func(key string, tombstone bool) *kgo.Record {
		r := &kgo.Record{Topic: "compacted", Key: []byte(key)}
		if !tombstone {
			r.Value = strconv.AppendInt(nil, id, 10)
			id++
		}
		return r
	}
	var list []*kgo.Record
	for i := range 2000 {
		list = append(list, keyed(strconv.Itoa(i%97), i%11 == 5))
	}
	for i := range len(list) / 20 { // many small batches
		produce(t, k.Brokers, list[i*20:(i+1)*20]...)
	}
	until := end(t, s)
	require.EqualValues(t, 2000, until)
	remaining := func() (out []*kgo.Record) {
		start := map[string]map[int32]kgo.Offset{"compacted": {0: kgo.NewOffset().AtStart()}}
		c := franz(t, k.Brokers, kgo.ConsumePartitions(start))
		defer c.Close()
		for len(out) == 0 || out[len(out)-1].Offset < until-1 {
			out = append(out, c.PollFetches(t.Context()).Records()...)
		}
		return out
	}
	require.Eventually(t, func() bool { return len(remaining()) < 400 }, patience, 200*time.Millisecond)

	left := remaining() // the cleaner may go on, but takes away no user that is left: none has a later record with its key
	r := read(t, s, 0, 0, until)
	p, err := r.end()
	require.NoError(t, err)
	require.Equal(t, until, p.Next)
	var want []int64
	tombstones := 0
	for _, x := range left {
		if x.Value == nil {
			tombstones++
			continue
		}
		n, err := strconv.ParseInt(string(x.Value), 10, 64)
		require.NoError(t, err)
		want = append(want, n)
	}
	require.Subset(t, want, r.ids())
	require.LessOrEqual(t, p.Rejected, int64(tombstones))
	t.Logf("%d of 2000 records are left, %d of them tombstones", len(left), tombstones)
	for from := int64(0); from <= until; from += 37 {
		p, err := read(t, s, 0, from, until).end()
		require.NoError(t, err)
		require.Equal(t, until, p.Next, "from %d", from)
	}
}

func deleteRecords(t *testing.T, brokers []string, topic string, before int64) {
	t.Helper()
	c := franz(t, brokers)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: before}}}}
	resp, err := req.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].Partitions[0].ErrorCode)
	c.Close()
}

func TestRealKafkaDeletedRecordsAreAGap(t *testing.T) {
	devtest.EachKafka(t, realKafkaDeletedRecordsAreAGap)
}

func realKafkaDeletedRecordsAreAGap(t *testing.T) {
	k, s := shared1(t, "gap", nil)
	produce(t, k.Brokers, userRecords("gap", 0, 100)...)
	deleteRecords(t, k.Brokers, "gap", 40)
	p, err := read(t, s, 0, 25, 100).end()
	var gap *grant.GapError
	require.ErrorAs(t, err, &gap)
	require.Equal(t, []grant.Gap{{From: 25, To: 40}}, gap.Gaps)
	require.EqualValues(t, 25, p.Next)
	read(t, s, 0, 40, 100).requireUsers(100, users(40, 100)...)
	accept := func(c *Config) { c.Pass.AcceptGaps = gap.Gaps }
	read(t, newSource(t, k.Brokers, on("gap"), accept), 0, 25, 100).requireUsers(100, users(40, 100)...)

	// While it reads: it waits at the end, and what comes next is deleted before it looks.
	seen := &gate{reached: make(chan struct{}), open: make(chan struct{}), at: 100}
	r := read(t, newSource(t, k.Brokers, on("gap"), func(c *Config) { c.Observer = seen }), 0, 40, -1)
	<-seen.reached
	produce(t, k.Brokers, userRecords("gap", 100, 200)...)
	deleteRecords(t, k.Brokers, "gap", 150)
	close(seen.open)
	p, err = r.end()
	require.ErrorAs(t, err, &gap)
	require.Equal(t, []grant.Gap{{From: 100, To: 150}}, gap.Gaps)
	require.EqualValues(t, 100, p.Next)

	// Everything is gone.
	deleteRecords(t, k.Brokers, "gap", 200)
	all := func(c *Config) { c.Pass.AcceptGaps = []grant.Gap{{From: 25, To: 200}} }
	read(t, newSource(t, k.Brokers, on("gap"), all), 0, 25, 200).requireUsers(200)
}

// gate is an observer that holds a partition up when it comes to an offset.
type gate struct {
	witness
	at      int64
	reached chan struct{}
	open    chan struct{}
	was     bool
}

func (g *gate) Position(partition int, next, highest int64) {
	g.witness.Position(partition, next, highest)
	if next >= g.at && !g.was {
		g.was = true
		close(g.reached)
		<-g.open
	}
}

func TestRealKafkaATopicMadeAgainIsNoticed(t *testing.T) {
	devtest.EachKafka(t, realKafkaATopicMadeAgainIsNoticed)
}

func realKafkaATopicMadeAgainIsNoticed(t *testing.T) {
	k, s := shared1(t, "again", nil)
	produce(t, k.Brokers, userRecords("again", 0, 100)...)
	read(t, s, 0, 0, 100).requireUsers(100, users(0, 100)...)
	_, err := clientOf(t, k.Brokers...).DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{"again"}})
	require.NoError(t, err)
	k.CreateTopic(t, "again", 1, 1, nil)
	produce(t, k.Brokers, userRecords("again", 0, 50)...)
	_, err = read(t, s, 0, 100, 200).end()
	require.ErrorContains(t, err, "it was read to offset 100", "a source that is bound to no topic has only the end to go by")
	require.ErrorContains(t, err, "it ends at offset 50")
}

func TestRealKafkaLargeRecordsAndSmallFetches(t *testing.T) {
	devtest.EachKafka(t, realKafkaLargeRecordsAndSmallFetches)
}

func realKafkaLargeRecordsAndSmallFetches(t *testing.T) {
	config := map[string]string{"max.message.bytes": "40000000"}
	k, s := shared1(t, "large", config, func(c *Config) { c.FetchMemory = 1 })
	require.NoError(t, s.Prepare(t.Context()))
	big := bytes.Repeat([]byte("9"), 5<<20)
	huge := bytes.Repeat([]byte("x"), 35<<20)
	c := franz(t, k.Brokers, kgo.ProducerBatchMaxBytes(39<<20), kgo.BrokerMaxWriteBytes(90<<20))
	for _, v := range [][]byte{[]byte("0"), big, []byte("2"), huge, []byte("4")} {
		require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Topic: "large", Value: v}).FirstErr())
	}
	r := read(t, s, 0, 0, 5)
	p, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{0, 2, 4}, r.ids())
	require.EqualValues(t, 2, p.Rejected)
	reader := franz(t, k.Brokers, kgo.ConsumeTopics("large.rejected"), kgo.FetchMaxPartitionBytes(40<<20),
		kgo.FetchMaxBytes(80<<20))
	var letters []*kgo.Record
	for len(letters) < 2 {
		letters = append(letters, reader.PollFetches(t.Context()).Records()...)
	}
	require.True(t, bytes.Equal(big, letters[0].Value), "whole")
	require.Equal(t, string(ReasonOverLimit), header(letters[0], HeaderReason))
	require.Len(t, letters[1].Value, len(huge)/2, "cut to what the topic takes")
	require.Equal(t, strconv.Itoa(len(huge)), header(letters[1], HeaderTruncated))
}

func TestRealKafkaLettersKeepNullAndEmptyApart(t *testing.T) {
	devtest.EachKafka(t, realKafkaLettersKeepNullAndEmptyApart)
}

func realKafkaLettersKeepNullAndEmptyApart(t *testing.T) {
	k, s := shared1(t, "letters", nil)
	require.NoError(t, s.Prepare(t.Context()))
	list := []*kgo.Record{{Value: nil}, {Value: []byte{}}, {Key: []byte{}, Value: []byte("a")},
		{Key: []byte("k"), Value: []byte("\x00\xff")}}
	for _, r := range list {
		r.Topic = "letters"
	}
	produce(t, k.Brokers, list...)
	p, err := read(t, s, 0, 0, 4).end()
	require.NoError(t, err)
	require.EqualValues(t, 4, p.Rejected)
	for i, got := range stored(t, k.Brokers, "letters.rejected", 4) {
		require.Equal(t, list[i].Key, got.Key)
		require.Equal(t, list[i].Value, got.Value)
		require.Equal(t, strconv.Itoa(i), header(got, HeaderOffset))
	}
}

func TestRealKafkaGroupsShareGrowAndRecover(t *testing.T) {
	devtest.EachKafka(t, realKafkaGroupsShareGrowAndRecover)
}

func realKafkaGroupsShareGrowAndRecover(t *testing.T) {
	k := devtest.SharedKafka(t)
	k.CreateTopic(t, "group", 4, 1, nil)
	short := func(c *Config) { c.SessionTimeout = time.Second }
	both := []*member{
		follow(t, join(t, newSource(t, k.Brokers, on("group"), short))),
		follow(t, join(t, newSource(t, k.Brokers, on("group"), short))),
	}
	shared(t, both, 2, 2)
	resp, err := clientOf(t, k.Brokers...).CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: "group", Count: 6}},
	})
	require.NoError(t, err)
	require.NoError(t, resp.Errors["group"])
	shared(t, both, 3, 3)
	both[1].hangUp() // as if it were killed
	shared(t, both[:1], 6)
	both[0].leave()

	g := join(t, newSource(t, k.Brokers, on("group"), short))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	gen, err := g.Next(ctx)
	require.NoError(t, err)
	require.NoError(t, gen.Commit(grant.Offsets{0: 1, 5: 7}))
	gen.Release()
	gen, err = g.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, grant.Offsets{0: 1, 1: -1, 2: -1, 3: -1, 4: -1, 5: 7}, gen.Committed())
	gen.Release()
}

func TestRealKafkaNamesATopicThatIsMissing(t *testing.T) {
	devtest.EachKafka(t, realKafkaNamesATopicThatIsMissing)
}

func realKafkaNamesATopicThatIsMissing(t *testing.T) {
	err := newSource(t, devtest.SharedKafka(t).Brokers, on("no-such-topic"), forever).Prepare(t.Context())
	require.ErrorContains(t, err, "topic no-such-topic")
	require.ErrorContains(t, err, "create it, or correct source.topic in the spec")
}

// What a broker has nothing more of is granted at once, and does not wait for company until the deadline of the shards.
func TestRealKafkaATrickleIsGrantedAtOnce(t *testing.T) {
	devtest.EachKafka(t, realKafkaATrickleIsGrantedAtOnce)
}

func realKafkaATrickleIsGrantedAtOnce(t *testing.T) {
	k, s := shared1(t, "trickle", nil)
	r := read(t, s, 0, 0, -1, func(c *dense.Config) { c.MaxDelay = time.Hour })
	for i := range int64(10) {
		produce(t, k.Brokers, userRecords("trickle", i, i+1)...)
		require.Eventually(t, func() bool { return len(r.ids()) == int(i)+1 }, patience, time.Millisecond)
	}
	r.cancel()
	_, err := r.end()
	require.NoError(t, err)
}
