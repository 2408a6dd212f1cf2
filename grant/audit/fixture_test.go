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
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a campaign that was granted by the real ledger: on servers in memory, or on real ones.
type world struct {
	*testing.T
	brokers  []string
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
	names    names // where IDs are not dense
}

const spec = `campaign: %s
title: Audited
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: %[1]s-users, max_rejected: 50%%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
`

const (
	parts    = 3
	perChunk = 40 // users
)

// newWorld is an empty topic and an empty ledger, both in memory.
func newWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return newWorldOn(t, "audited", cluster.ListenAddrs(), miniredis.RunT(t).Addr())
}

func newWorldOn(t *testing.T, name string, brokers []string, redisAddr string) *world {
	t.Helper()
	return newWorldOf(t, fmt.Sprintf(spec, name), brokers, redisAddr)
}

func newWorldOf(t *testing.T, spec string, brokers []string, redisAddr string) *world {
	t.Helper()
	w := &world{T: t, brokers: brokers, ends: grant.Offsets{}}
	var err error
	w.campaign, err = campaign.Parse("test", []byte(spec))
	require.NoError(t, err)
	w.connect()
	w.makeTopic(w.campaign.Input.Topic, parts)
	w.makeTopic(w.campaign.Input.DeadLetterTopic(), 1)
	w.client, err = ledger.Connect(ledger.Options{Addrs: []string{redisAddr}})
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
		Kafka: source.Kafka{Brokers: w.brokers}, Topic: w.campaign.Input, Campaign: w.campaign.Name,
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
	list := make([]*kgo.Record, len(values))
	for i, v := range values {
		list[i] = &kgo.Record{Topic: w.campaign.Input.Topic, Partition: int32(partition), Value: []byte(v)}
	}
	require.NoError(w, w.kafka.ProduceSync(w.Context(), list...).FirstErr())
	w.ends[partition] = list[len(list)-1].Offset + 1
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
		source.HeaderTopic: w.campaign.Input.Topic, source.HeaderPartition: strconv.Itoa(partition),
		source.HeaderOffset:   fmt.Sprint(offset),
		source.HeaderCampaign: w.campaign.Name, source.HeaderRun: w.run.String(), source.HeaderReason: "not_decimal",
	} {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	letter := &kgo.Record{Topic: w.campaign.Input.DeadLetterTopic(), Value: []byte("x"), Headers: headers}
	require.NoError(w, w.kafka.ProduceSync(w.Context(), letter).FirstErr())
}

// granted is a world in which everybody is granted: users of chunks 0, 1 and 5, one of them twice in the topic, and a malformed
// record in each partition.
func granted(t *testing.T) *world {
	t.Helper()
	return newWorld(t).granted()
}

func (w *world) granted() *world {
	w.Helper()
	for partition, chunk := range []uint64{0, 1, 5} {
		var users []uint64
		var records []string
		for i := range uint64(perChunk) {
			users = append(users, chunk<<16|i*uint64(partition+1))
			records = append(records, fmt.Sprint(users[i]))
		}
		w.publish(partition, append(records, records[3], "x")...)
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
	if w.campaign.Input.Opaque() {
		return w.membersConfig()
	}
	decode, err := source.Decoder(w.campaign.Input)
	require.NoError(w, err)
	cfg := w.anyConfig()
	w.ids = found{}
	cfg.Decode, cfg.IDs = decode, w.ids
	return cfg
}

func (w *world) membersConfig() Config {
	w.Helper()
	decode, err := source.MemberDecoder(&w.campaign.Input)
	require.NoError(w, err)
	cfg := w.anyConfig()
	w.names = names{}
	cfg.Members, cfg.IDs = decode, w.names
	return cfg
}

func (w *world) anyConfig() Config {
	w.Helper()
	runs, err := w.orders.Runs(w.Context())
	require.NoError(w, err)
	dead, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: w.brokers}, RetryFor: time.Minute,
		Topic: grant.Input{Topic: w.campaign.Input.DeadLetterTopic(), Format: grant.FormatDecimal},
	})
	require.NoError(w, err)
	return Config{
		Campaign: w.campaign, Ledger: w.reader, Topic: w.source, Runs: runs, Letters: LettersOf(dead),
		Checkpoint: func(ctx context.Context) (grant.Checkpoint, error) { return w.reader.Checkpoints(ctx, w.campaign) },
		Committed: func(ctx context.Context, id grant.TopicID) (grant.Offsets, error) {
			return w.source.Committed(ctx, "granter-"+w.campaign.Name, id)
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
	return fmt.Sprintf("granter:{%s/%d}:%s", w.campaign.Name, chunk, name)
}
