package publish

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

var began = time.Date(2022, 11, 5, 9, 0, 0, 0, time.UTC)

func aCampaign() *grant.Campaign {
	return &grant.Campaign{
		Name: "sorry-2022", Hash: strings.Repeat("5f", 32), StartsAt: began,
		Items: []grant.Item{
			{ID: "thank-you", Kind: grant.KindEmoticon},
			{ID: "cheer-up", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 90 * 24 * time.Hour}},
		},
	}
}

// world is a ledger, which grants, and what it takes to publish it.
type world struct {
	testing.TB
	client       redis.UniversalClient
	grants       *ledger.Grants
	coordination *ledger.Coordination
	reader       *ledger.Reader
	metrics      *metrics.Publish
	registry     *prometheus.Registry
	seq          uint64
	granted      map[grant.UserID]bool
	campaign     *grant.Campaign
	store        *ledger.Store
}

func newWorld(t testing.TB, redisAddr string) *world {
	t.Helper()
	return newWorldOf(t, redisAddr, aCampaign())
}

func newWorldOf(t testing.TB, redisAddr string, c *grant.Campaign) *world {
	t.Helper()
	w := &world{TB: t, granted: map[grant.UserID]bool{}, registry: prometheus.NewRegistry(), campaign: c}
	w.metrics = metrics.NewPublish(w.registry, "sorry-2022", "test", "s")
	var err error
	w.client, err = ledger.Connect(ledger.Options{Addrs: []string{redisAddr}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.client.Close()) })
	store, err := ledger.Open(w.client, c, ledger.Config{RetryFor: 20 * time.Second})
	require.NoError(t, err)
	w.store = store
	w.coordination, w.reader = ledger.NewCoordination(store), ledger.NewReader(store)
	w.grants = ledger.NewGrants(store, 7)
	w.begin()
	return w
}

func (w *world) begin() {
	w.Helper()
	_, err := w.grants.Begin(context.Background(), grant.TopicID{})
	require.NoError(w, err)
}

// grant grants some users, with one journal entry in each of their chunks.
func (w *world) grant(users ...grant.UserID) {
	w.Helper()
	byChunk := map[uint64]*dense.Bitmap{}
	for _, user := range users {
		chunk, low := dense.Split(user.Number())
		if byChunk[chunk] == nil {
			byChunk[chunk] = new(dense.Bitmap)
		}
		byChunk[chunk].Set(low)
		w.granted[user] = true
	}
	w.seq++
	f := &dense.Flush{Seq: w.seq, Ranges: []sharding.Range{{Partition: 0, First: 1, Last: 9}}}
	for chunk, members := range byChunk {
		f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: members, Count: members.Count()})
	}
	require.NoError(w, w.grants.Grant(context.Background(), f))
}

func span(from grant.UserID, n int) []grant.UserID {
	users := make([]grant.UserID, n)
	for i := range users {
		users[i] = grant.NumberID(from.Number() + uint64(i))
	}
	return users
}

// publisher makes a publisher to a target.
func (w *world) publisher(to Target, changes ...func(*Config)) *Publisher {
	cfg := Config{
		Name: "s", Who: grant.NewRunID(time.Now()).String(), Metrics: w.metrics,
		Log:    slog.New(slog.NewTextHandler(w.Output(), nil)),
		GiveUp: 20 * time.Second, Every: 10 * time.Millisecond,
		Spec: func(context.Context) (*grant.Campaign, error) { return w.campaign, nil },
	}
	for _, change := range changes {
		change(&cfg)
	}
	return New(w.coordination, w.reader, to, cfg)
}

func (w *world) once(to Target, changes ...func(*Config)) {
	w.Helper()
	require.NoError(w, w.publisher(to, changes...).Once(context.Background()))
}

// count returns the value of a metric of all subscribers.
func (w *world) count(name string) float64 {
	w.Helper()
	families, err := w.registry.Gather()
	require.NoError(w, err)
	for _, f := range families {
		if f.GetName() == "granter_publish_"+name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return sum
		}
	}
	w.Fatalf("no metric %s", name)
	return 0
}

func topicOf(t testing.TB, brokers []string, form Form) Target {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: 20 * time.Second}
	return NewTopic(client, Topic{Name: "events", Form: form, Compression: kafka.Lz4}, transport.CloseIdleConnections)
}

// event is one CloudEvent, as a reader of the topic finds it.
type event struct {
	SpecVersion string    `json:"specversion"`
	Type        string    `json:"type"`
	Source      string    `json:"source"`
	ID          string    `json:"id"`
	Time        time.Time `json:"time"`
	Subject     string    `json:"subject"`
	ContentType string    `json:"datacontenttype"`
	Data        struct {
		User  string `json:"user"`
		Item  string `json:"item"`
		Items []item `json:"items"`
	} `json:"data"`
}

// records returns everything that is in the topic, in the order of each partition.
func records(t testing.TB, brokers []string) []*kgo.Record {
	t.Helper()
	ends := map[int32]int64{}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("events"), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	reader := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: &kafka.Transport{}}
	defer reader.Transport.(*kafka.Transport).CloseIdleConnections()
	m, err := reader.Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{"events"}})
	require.NoError(t, err)
	var ask []kafka.OffsetRequest
	for _, p := range m.Topics[0].Partitions {
		ask = append(ask, kafka.LastOffsetOf(p.ID))
	}
	offsets, err := reader.ListOffsets(context.Background(),
		&kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"events": ask}})
	require.NoError(t, err)
	left := int64(0)
	for _, p := range offsets.Topics["events"] {
		require.NoError(t, p.Error)
		ends[int32(p.Partition)] = p.LastOffset
		left += p.LastOffset
	}
	var out []*kgo.Record
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < ends[r.Partition] {
				out = append(out, r)
				left--
			}
		})
	}
	return out
}

// events returns the events of the topic without repetitions, in the order of their first coming.
func events(t testing.TB, brokers []string) []event {
	t.Helper()
	var out []event
	seen := map[string]bool{}
	place := map[string]int32{}
	for _, r := range records(t, brokers) {
		var e event
		require.NoError(t, json.Unmarshal(r.Value, &e), "%s", r.Value)
		require.Equal(t, e.Subject, string(r.Key))
		require.Equal(t, e.Subject, e.Data.User)
		require.Equal(t, "application/cloudevents+json; charset=UTF-8", string(r.Headers[0].Value))
		if p, ok := place[e.Subject]; ok {
			require.Equal(t, p, r.Partition, "a user's events are in one partition")
		}
		place[e.Subject] = r.Partition
		if !seen[e.ID] {
			seen[e.ID] = true
			out = append(out, e)
		}
	}
	return out
}

// holds requires that each granted user has one event.
func (w *world) holds(all []event) {
	w.Helper()
	found := map[grant.UserID]bool{}
	for _, e := range all {
		id, err := strconv.ParseUint(e.Subject, 10, 64)
		require.NoError(w, err)
		require.False(w, found[grant.NumberID(id)], "user %d has two events", id)
		found[grant.NumberID(id)] = true
	}
	require.Equal(w, w.granted, found)
}
