package audit

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a campaign that was granted: by the real ledger on a Redis in memory, from a topic of a Kafka in memory.
type world struct {
	*testing.T
	cluster  *kfake.Cluster
	redis    *miniredis.Miniredis
	client   redis.UniversalClient
	kafka    *kgo.Client
	source   *source.Source
	campaign *grant.Campaign
	grants   *ledger.Grants
	reader   *ledger.Reader
	orders   *ledger.Coordination
	run      grant.RunID
	flushes  uint64
	ends     grant.Offsets
	ids      found
}

const spec = `campaign: audited
title: Audited
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: users, max_rejected: 50%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
`

const (
	parts     = 3
	perChunk  = 40 // users
	testTopic = "users"
	letters   = "users.rejected"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, redis: miniredis.RunT(t), ends: grant.Offsets{}}
	var err error
	w.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(parts, testTopic), kfake.SeedTopics(1, letters))
	require.NoError(t, err)
	t.Cleanup(w.cluster.Close)
	w.connect()
	w.campaign, err = campaign.Parse("test", []byte(spec))
	require.NoError(t, err)
	w.client, err = ledger.Connect(ledger.Options{Addrs: []string{w.redis.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { w.client.Close() })
	w.open()
	w.begin()
	return w
}

// open opens topic and ledger.
func (w *world) open() {
	w.Helper()
	var err error
	w.source, err = source.New(source.Config{
		Kafka: source.Kafka{Brokers: w.cluster.ListenAddrs()}, Topic: w.campaign.Input, Campaign: w.campaign.Name,
		RetryFor: time.Minute,
	})
	require.NoError(w, err)
	s := w.source
	w.Cleanup(func() { s.Close() })
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{RetryFor: time.Minute})
	require.NoError(w, err)
	w.run = grant.NewRunID(time.Now())
	w.grants, w.reader, w.orders = ledger.NewGrants(store, w.run), ledger.NewReader(store), ledger.NewCoordination(store)
	w.flushes = 0
}

// begin begins a run of the topic that is there.
func (w *world) begin() {
	w.Helper()
	id, err := w.source.Identify(w.Context())
	require.NoError(w, err)
	require.True(w, id.Known())
	_, err = w.grants.Begin(w.Context(), id)
	require.NoError(w, err)
	require.NoError(w, w.grants.EnsureSpec(w.Context(), w.campaign))
	w.record("")
}

// record is what the run says about itself.
func (w *world) record(pass string) {
	w.Helper()
	id, err := w.source.Identify(w.Context())
	require.NoError(w, err)
	require.NoError(w, w.orders.SaveRun(w.Context(), grant.RunRecord{
		Run: w.run, Spec: w.campaign.Hash, State: grant.RunFinished, Topic: id, Partitions: []int{0, 1, 2}, Pass: pass,
		Tally: grant.Tally{Granted: 1},
	}))
}

// publish puts records into a partition.
func (w *world) publish(partition int, values ...string) {
	w.Helper()
	for _, v := range values {
		r := &kgo.Record{Topic: testTopic, Partition: int32(partition), Value: []byte(v)}
		require.NoError(w, w.kafka.ProduceSync(w.Context(), r).FirstErr())
		w.ends[partition] = r.Offset + 1
	}
}

// grant grants users as a flush does that read some offsets of a partition.
func (w *world) grant(partition int, from, to int64, users ...uint64) {
	w.Helper()
	byChunk := map[uint64]*dense.Bitmap{}
	for _, user := range users {
		chunk, low := dense.Split(user)
		if byChunk[chunk] == nil {
			byChunk[chunk] = new(dense.Bitmap)
		}
		byChunk[chunk].Set(low)
	}
	w.flushes++
	f := &dense.Flush{Seq: w.flushes, Ranges: []sharding.Range{{Partition: partition, First: from, Last: to}}}
	for _, chunk := range sortedKeys(byChunk) {
		f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: byChunk[chunk], Count: byChunk[chunk].Count()})
	}
	require.NoError(w, w.grants.Grant(w.Context(), f))
}

func (w *world) checkpoint(next grant.Offsets) {
	w.Helper()
	require.NoError(w, w.grants.Checkpoint(w.Context(), next, nil))
}

// reject stores a dead letter of a record.
func (w *world) reject(partition int, offset int64) {
	w.Helper()
	headers := []kgo.RecordHeader{}
	for key, value := range map[string]string{
		source.HeaderTopic: testTopic, source.HeaderPartition: strconv.Itoa(partition), source.HeaderOffset: fmt.Sprint(offset),
		source.HeaderCampaign: w.campaign.Name, source.HeaderRun: w.run.String(), source.HeaderReason: "not_decimal",
	} {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	letter := &kgo.Record{Topic: letters, Value: []byte("x"), Headers: headers}
	require.NoError(w, w.kafka.ProduceSync(w.Context(), letter).FirstErr())
}

// granted is a world in which everybody is granted: users of chunks 0, 1 and 5, one of them twice in the topic, and a malformed
// record in each partition.
func granted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for partition, chunk := range []uint64{0, 1, 5} {
		var users []uint64
		for i := range uint64(perChunk) {
			users = append(users, chunk<<16|i*uint64(partition+1))
			w.publish(partition, fmt.Sprint(users[i]))
		}
		w.publish(partition, fmt.Sprint(users[3]), "x")
		w.grant(partition, 0, 19, users[:20]...)
		w.grant(partition, 20, perChunk+1, users[20:]...)
		w.reject(partition, w.ends[partition]-1)
	}
	w.checkpoint(w.ends)
	return w
}

// found is who an audit finds something about.
type found map[Kind][]uint64

func (f found) Add(kind Kind, user grant.UserID) error {
	f[kind] = append(f[kind], user.Number())
	return nil
}

func (w *world) config() Config {
	w.Helper()
	decode, err := source.Decoder(w.campaign.Input)
	require.NoError(w, err)
	runs, err := w.orders.Runs(w.Context())
	require.NoError(w, err)
	dead, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: w.cluster.ListenAddrs()}, Topic: grant.Input{Topic: letters, Format: grant.FormatDecimal},
	})
	require.NoError(w, err)
	w.ids = found{}
	return Config{
		Campaign: w.campaign, Ledger: w.reader, Topic: w.source, Runs: runs, IDs: w.ids, Letters: LettersOf(dead),
		Decode: func(key, value []byte) (uint64, bool) {
			id, reason := decode(key, value)
			return id, reason != ""
		},
		Checkpoint: func(ctx context.Context) (grant.Checkpoint, error) { return w.reader.Checkpoints(ctx, w.campaign) },
		Committed: func(ctx context.Context, id grant.TopicID) (grant.Offsets, error) {
			return w.source.Committed(ctx, "granter-audited", id)
		},
	}
}

func (w *world) audit(set ...func(*Config)) *Report {
	w.Helper()
	cfg := w.config()
	for _, fn := range set {
		fn(&cfg)
	}
	r, err := Run(w.Context(), cfg)
	require.NoError(w, err)
	return r
}

// finds audits, and requires that exactly these kinds of findings come, each about so many.
func (w *world) finds(verdict Verdict, want map[Kind]int64, set ...func(*Config)) *Report {
	w.Helper()
	r := w.audit(set...)
	got := map[Kind]int64{}
	for _, f := range r.Findings {
		got[f.Kind] += f.Count
		require.NotEmpty(w, f.What)
		require.NotEmpty(w, f.Do)
	}
	require.Equal(w, want, got, "%+v", r.Findings)
	require.Equal(w, verdict, r.Verdict)
	return r
}

func (w *world) key(chunk uint64, name string) string {
	return fmt.Sprintf("granter:{audited/%d}:%s", chunk, name)
}

// connect makes a client, which has seen no topic yet.
func (w *world) connect() {
	w.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(w, err)
	w.Cleanup(client.Close)
	w.kafka = client
}

func ask[R kmsg.Response](w *world, q interface {
	RequestWith(ctx context.Context, r kmsg.Requestor) (R, error)
}) R {
	w.Helper()
	resp, err := q.RequestWith(w.Context(), w.kafka)
	require.NoError(w, err)
	return resp
}

func (w *world) remakeTopic() {
	w.Helper()
	gone := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = new(testTopic)
	gone.TopicNames, gone.Topics = []string{testTopic}, []kmsg.DeleteTopicsRequestTopic{topic}
	require.Zero(w, ask(w, gone).Topics[0].ErrorCode)
	made := kmsg.NewPtrCreateTopicsRequest()
	again := kmsg.NewCreateTopicsRequestTopic()
	again.Topic, again.NumPartitions, again.ReplicationFactor = testTopic, parts, 1
	made.Topics = []kmsg.CreateTopicsRequestTopic{again}
	require.Zero(w, ask(w, made).Topics[0].ErrorCode)
	w.connect()
}

func (w *world) addPartition() {
	w.Helper()
	q := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = testTopic, parts+1
	q.Topics = []kmsg.CreatePartitionsRequestTopic{topic}
	require.Zero(w, ask(w, q).Topics[0].ErrorCode)
	w.connect()
}

// deleteRecords does what retention does.
func (w *world) deleteRecords(partition int, before int64) {
	w.Helper()
	q := kmsg.NewPtrDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = testTopic
	topic.Partitions = []kmsg.DeleteRecordsRequestTopicPartition{{Partition: int32(partition), Offset: before}}
	q.Topics = []kmsg.DeleteRecordsRequestTopic{topic}
	require.Zero(w, ask(w, q).Topics[0].Partitions[0].ErrorCode)
}

// commit is what a run tells Kafka.
func (w *world) commit(next grant.Offsets) {
	w.Helper()
	id, err := w.source.Identify(w.Context())
	require.NoError(w, err)
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation = "granter-audited", -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = testTopic, id.Topic
	for partition, offset := range next {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(partition), offset, new(id.String())
		topic.Partitions = append(topic.Partitions, p)
	}
	q.Topics = []kmsg.OffsetCommitRequestTopic{topic}
	for _, p := range ask(w, q).Topics[0].Partitions {
		require.Zero(w, p.ErrorCode)
	}
}

// snapshot is all of Redis, which restore puts back.
func (w *world) snapshot() *miniredis.Miniredis {
	w.Helper()
	into := miniredis.RunT(w.T)
	w.copyTo(into)
	return into
}

func (w *world) restore(from *miniredis.Miniredis) {
	w.Helper()
	w.redis.FlushAll()
	kept := w.redis
	w.redis = from
	w.copyTo(kept)
	w.redis = kept
}

func (w *world) copyTo(into *miniredis.Miniredis) {
	w.Helper()
	for _, key := range w.redis.Keys() {
		switch kind := w.redis.Type(key); kind {
		case "string":
			v, err := w.redis.Get(key)
			require.NoError(w, err)
			require.NoError(w, into.Set(key, v))
		case "list":
			v, err := w.redis.List(key)
			require.NoError(w, err)
			_, err = into.RPush(key, v...)
			require.NoError(w, err)
		case "set":
			v, err := w.redis.Members(key)
			require.NoError(w, err)
			_, err = into.SAdd(key, v...)
			require.NoError(w, err)
		case "hash":
			fields, err := w.redis.HKeys(key)
			require.NoError(w, err)
			for _, f := range fields {
				into.HSet(key, f, w.redis.HGet(key, f))
			}
		default:
			require.Fail(w, "a key of type "+kind)
		}
	}
}
