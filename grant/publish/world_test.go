package publish

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

var began = time.Date(2022, 11, 5, 9, 0, 0, 0, time.UTC)

// onEachLayout runs a test on ledgers of chunks and of buckets: with strings of all kinds in them, and with more kinds of IDs.
func onEachLayout(t *testing.T, test func(t *testing.T, ids grant.IDs), more ...grant.IDs) {
	t.Helper()
	for _, ids := range append([]grant.IDs{grant.IDsDense, grant.IDsString}, more...) {
		t.Run(string(ids), func(t *testing.T) { test(t, ids) })
	}
}

func aCampaign(ids grant.IDs) *grant.Campaign {
	return &grant.Campaign{
		Name: "sorry-2022", Hash: strings.Repeat("5f", 32), StartsAt: began, Population: 1000,
		Input: grant.Input{IDs: ids},
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
	ids          map[uint64]grant.UserID
}

func newWorld(t testing.TB, redisAddr string, ids grant.IDs) *world {
	t.Helper()
	return newWorldOf(t, redisAddr, aCampaign(ids))
}

func newWorldOf(t testing.TB, redisAddr string, c *grant.Campaign) *world {
	t.Helper()
	w := &world{
		TB: t, granted: map[grant.UserID]bool{}, registry: prometheus.NewRegistry(), campaign: c, ids: map[uint64]grant.UserID{},
	}
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

// id is the user whose number is n in a ledger of dense IDs. In a ledger of buckets it is another one, in the bucket that stands
// for that chunk.
func (w *world) id(n uint64) grant.UserID {
	if !w.reader.Buckets() {
		return grant.NumberID(n)
	}
	if user, known := w.ids[n]; known {
		return user
	}
	layout, form := ledger.LayoutOf(w.campaign), userid.FormOf(&w.campaign.Input)
	before, behind, _ := strings.Cut(nasty[n%uint64(len(nasty))], "#")
	for member, try := []byte(nil), uint64(0); ; try++ {
		switch layout.Width {
		case 16:
			member = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(member[:0], try), n)
		case 8:
			member = binary.BigEndian.AppendUint64(member[:0], n<<32^try<<48^try)
		default:
			member = strconv.AppendUint(append(strconv.AppendUint(append(member[:0], before...), n, 10), '.'), try, 10)
			member = append(member, behind...)
		}
		if layout.Bucket(opaque.Hash(member)) == 256|n>>16&255 {
			w.ids[n] = form.ID(member)
			return w.ids[n]
		}
	}
}

// nasty are strings that users may be.
var nasty = []string{
	"#", "#@example.com", `"#\`, "#\r\nX-Other: 1", "../#/..", "민지#", "%2F#", " # ", "\x00#\x7f", "<#&'>", "#\u2028🎁",
	"\ufffe#", "#+1", "\u0085#\u202e", strings.Repeat("ä", 119) + "#",
}

func (w *world) member(user grant.UserID) (bucket uint64, member []byte) {
	w.Helper()
	form := userid.FormOf(&w.campaign.Input)
	member, fault := form.Member(nil, []byte(user.String()))
	require.Empty(w, fault, "%q", user)
	layout := ledger.LayoutOf(w.campaign)
	return layout.Bucket(opaque.Hash(member)), member
}

func (w *world) span(from uint64, n int) []grant.UserID {
	users := make([]grant.UserID, n)
	for i := range users {
		users[i] = w.id(from + uint64(i))
	}
	return users
}

// firstKey is a key of the first chunk, or of the bucket that stands for it.
func (w *world) firstKey(name string) string {
	chunk := uint64(0)
	if w.reader.Buckets() {
		chunk = 256
	}
	return fmt.Sprintf("granter:{sorry-2022/%d}:%s", chunk, name)
}

// grant grants some users, with one journal entry in each of their chunks.
func (w *world) grant(users ...grant.UserID) {
	w.Helper()
	for _, user := range users {
		w.granted[user] = true
	}
	w.seq++
	ranges := []sharding.Range{{Partition: 0, First: 1, Last: 9}}
	if w.reader.Buckets() {
		w.grantMembers(ranges, users)
		return
	}
	byChunk := map[uint64]*dense.Bitmap{}
	for _, user := range users {
		chunk, low := dense.Split(user.Number())
		if byChunk[chunk] == nil {
			byChunk[chunk] = new(dense.Bitmap)
		}
		byChunk[chunk].Set(low)
	}
	f := &dense.Flush{Seq: w.seq, Ranges: ranges}
	for chunk, members := range byChunk {
		f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: members, Count: members.Count()})
	}
	require.NoError(w, w.grants.Grant(context.Background(), f))
}

func (w *world) grantMembers(ranges []sharding.Range, users []grant.UserID) {
	w.Helper()
	byBucket := map[uint64][][]byte{}
	for _, user := range users {
		bucket, member := w.member(user)
		byBucket[bucket] = append(byBucket[bucket], member)
	}
	width := ledger.LayoutOf(w.campaign).Width
	for part := range slices.Chunk(slices.Sorted(maps.Keys(byBucket)), opaque.MaxDeltas) {
		seen, err := w.reader.Lengths(context.Background(), part, []ledger.List{ledger.ListJournal})
		require.NoError(w, err)
		f := &opaque.Flush{Seq: w.seq, Ranges: ranges}
		for i, bucket := range part {
			members := byBucket[bucket]
			slices.SortFunc(members, opaque.Compare)
			d := opaque.Delta{Bucket: bucket, Seen: int(seen[i][0]), Count: len(members), Width: width}
			for _, member := range members {
				d.Bytes = width.Append(d.Bytes, member)
			}
			f.Deltas = append(f.Deltas, d)
		}
		require.NoError(w, w.grants.AddMembers(context.Background(), f))
		for i := range f.Deltas {
			require.True(w, f.Deltas[i].Granted)
		}
		w.seq++
	}
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

// topicOf is the target of a topic, which is "events" if none is named.
func topicOf(t testing.TB, brokers []string, form Form, named ...string) Target {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: 20 * time.Second}
	to := Topic{Name: append(named, "events")[0], Form: form, Compression: kafka.Lz4}
	return NewTopic(client, to, transport.CloseIdleConnections)
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

// conforms requires what CloudEvents does of attributes, and that no two users have one ID.
func (e *event) conforms(t testing.TB) {
	t.Helper()
	for _, text := range []string{e.ID, e.Subject, e.Source, e.Type} {
		require.NotContains(t, text, "\ufffe", "it is no character")
		require.Equal(t, -1, strings.IndexFunc(text, unicode.IsControl), "%q", text)
	}
	user, err := url.PathUnescape(e.ID[strings.LastIndex(e.ID, "/")+1:])
	require.NoError(t, err, e.ID)
	require.Equal(t, e.Data.User, user)
	if e.Subject != "" || isAttribute([]byte(user)) {
		require.Equal(t, e.Data.User, e.Subject)
	}
}

// records returns everything that is in the topic, in the order of each partition.
func records(t testing.TB, brokers []string, named ...string) []*kgo.Record {
	t.Helper()
	topic := append(named, "events")[0]
	ends := map[int32]int64{}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	reader := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: &kafka.Transport{}}
	defer reader.Transport.(*kafka.Transport).CloseIdleConnections()
	m, err := reader.Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{topic}})
	require.NoError(t, err)
	var ask []kafka.OffsetRequest
	for _, p := range m.Topics[0].Partitions {
		ask = append(ask, kafka.LastOffsetOf(p.ID))
	}
	offsets, err := reader.ListOffsets(context.Background(),
		&kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	require.NoError(t, err)
	left := int64(0)
	for _, p := range offsets.Topics[topic] {
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
func events(t testing.TB, brokers []string, named ...string) []event {
	t.Helper()
	var out []event
	seen := map[string]bool{}
	place := map[string]int32{}
	for _, r := range records(t, brokers, named...) {
		var e event
		require.NoError(t, json.Unmarshal(r.Value, &e), "%s", r.Value)
		require.Equal(t, e.Data.User, string(r.Key))
		e.conforms(t)
		require.Equal(t, "application/cloudevents+json; charset=UTF-8", string(r.Headers[0].Value))
		if p, ok := place[e.Data.User]; ok {
			require.Equal(t, p, r.Partition, "a user's events are in one partition")
		}
		place[e.Data.User] = r.Partition
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
		user := grant.TextID(e.Data.User)
		require.False(w, found[user], "user %q has two events", user)
		found[user] = true
	}
	require.Equal(w, w.granted, found)
}
