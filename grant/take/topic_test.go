package take

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/dense"
)

const (
	takesTopic = "takes"
	patience   = 60 * time.Second
)

// desk is a ledger of users who may take things, and a topic in which they ask for it.
type desk struct {
	*testing.T
	mini    *miniredis.Miniredis
	client  redis.UniversalClient
	c       *grant.Campaign
	store   *ledger.Store
	brokers []string
}

// newDesk grants users 0 to 99 the campaign.
func newDesk(t *testing.T, partitions int32) *desk {
	t.Helper()
	return newDeskOf(t, partitions, "", func(g *ledger.Grants) error {
		members := new(dense.Bitmap)
		for low := range uint16(100) {
			members.Set(low)
		}
		return g.Grant(t.Context(), &dense.Flush{Seq: 1, Deltas: []dense.Delta{{Members: members, Count: 100}}})
	})
}

// uuid is the n-th user of newDeskOfUUIDs.
func uuid(n int) string { return fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", n) }

// newDeskOfUUIDs is newDesk where IDs are not dense.
func newDeskOfUUIDs(t *testing.T, partitions int32) *desk {
	t.Helper()
	return newDeskOf(t, partitions, grant.IDsUUID, func(g *ledger.Grants) error {
		form := userid.FormOf(&grant.Input{IDs: grant.IDsUUID})
		var members [][]byte
		for n := range 100 {
			member, _ := form.Member(nil, []byte(uuid(n)))
			members = append(members, member)
		}
		_, err := g.AddSome(t.Context(), new(uint64), nil, members)
		return err
	})
}

func newDeskOf(t *testing.T, partitions int32, ids grant.IDs, grantAll func(*ledger.Grants) error) *desk {
	t.Helper()
	d := &desk{T: t, mini: miniredis.RunT(t)}
	d.c = &grant.Campaign{
		Name: "sorry", Hash: "aa11", Canonical: []byte("{}"),
		Input: grant.Input{Topic: "users", IDs: ids, MaxID: 1000, MaxRejected: 1},
		Items: []grant.Item{
			{ID: "has", Validity: grant.Validity{}},
			{ID: "cheer", Validity: grant.Validity{Taken: true}},
			{ID: "few", Validity: grant.Validity{Taken: true}, First: 2},
		},
	}
	var err error
	d.client, err = ledger.Connect(ledger.Options{Addrs: []string{d.mini.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { d.client.Close() })
	d.store, err = ledger.Open(d.client, d.c, ledger.Config{})
	require.NoError(t, err)
	g := ledger.NewGrants(d.store, 1)
	_, err = g.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	require.NoError(t, grantAll(g))
	kafka, err := kfake.NewCluster(kfake.SeedTopics(partitions, takesTopic))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	d.brokers = kafka.ListenAddrs()
	return d
}

func (d *desk) kafka(options ...kgo.Opt) *kgo.Client {
	d.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(d.brokers...)}, options...)...)
	require.NoError(d, err)
	d.Cleanup(c.Close)
	return c
}

// ask writes records to a partition.
func (d *desk) ask(partition int32, values ...string) {
	d.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: takesTopic, Partition: partition, Value: []byte(v)})
	}
	require.NoError(d, d.kafka(kgo.RecordPartitioner(kgo.ManualPartitioner())).ProduceSync(d.Context(), records...).FirstErr())
}

// letters reads n records of the dead-letter topic, each as its value and reason, in order of those.
func (d *desk) letters(n int) (out []string) {
	d.Helper()
	c := d.kafka(kgo.ConsumeTopics(takesTopic+".rejected"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	for len(out) < n {
		fetches := c.PollFetches(ctx)
		require.NoError(d, ctx.Err(), "%d of %d letters", len(out), n)
		fetches.EachRecord(func(r *kgo.Record) {
			for _, h := range r.Headers {
				if h.Key == source.HeaderReason {
					out = append(out, string(r.Value)+" "+string(h.Value))
				}
			}
		})
	}
	slices.Sort(out)
	return out
}

// tally is an observer that counts.
type tally struct {
	mu       sync.Mutex
	outcomes map[string]int
}

func (o *tally) note(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes[what]++
}
func (o *tally) Took(item int, outcome grant.Outcome) { o.note(fmt.Sprint(item, " ", outcome)) }
func (o *tally) Malformed(reason source.Reason)       { o.note(string(reason)) }
func (o *tally) Behind(int64)                         {}
func (o *tally) Regressed()                           { o.note("regressed") }

func (o *tally) of(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.outcomes[what]
}

// reader is one process that reads the topic.
func (d *desk) reader(run grant.RunID, set ...func(*Topic)) (*Topic, *tally) {
	d.Helper()
	pass := grant.Pass{Group: "granter-sorry-takes"}
	log := slog.New(slog.NewTextHandler(d.Output(), nil))
	s, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: d.brokers}, Topic: Input(d.c, takesTopic), Campaign: d.c.Name, Run: run, Pass: pass,
		Log: log,
	})
	require.NoError(d, err)
	d.Cleanup(func() { require.NoError(d, s.Close()) })
	seen := &tally{outcomes: map[string]int{}}
	t := &Topic{
		Campaign: d.c, Items: []int{1, 2}, Pass: pass, Source: s, Ledger: ledger.NewTopicTakes(d.store, takesTopic, run),
		Observer: seen, Log: log,
	}
	for _, fn := range set {
		fn(t)
	}
	return t, seen
}

func once(t *Topic) { t.Once = true }

func (d *desk) taken() []int64 {
	d.Helper()
	counts, err := ledger.NewReader(d.store).Taken(d.Context(), d.c)
	require.NoError(d, err)
	var out []int64
	for _, one := range counts {
		out = append(out, one.Taken)
	}
	return out
}

// proven fails where bits, times, entries and quota contradict each other.
func (d *desk) proven() {
	d.Helper()
	var proof ledger.Proof
	require.NoError(d, ledger.NewReader(d.store).ProveTakes(d.Context(), d.c, &proof))
	require.Empty(d, proof.Violations)
}

// Each record counts once, what is refused or is no wish becomes a dead letter with the reason, and who reads on reads on.
func TestATopicOfTakesIsReadOnceInEffect(t *testing.T) {
	d := newDesk(t, 2)
	d.ask(0, `{"user": 1, "item": "cheer"}`, `{"user":"1","item":"cheer","id":"again","at":"2023-01-05T09:00:00+09:00"}`,
		`{"user": 500, "item": "cheer"}`, `{"user": 1001, "item": "cheer"}`, `{"user": 2, "item": "has"}`,
		`{"user": 2, "item": 7}`,
		`{"user": 2, "item": "cheer", "item": "few"}`, `{"item": "cheer"}`, `not JSON`, ``)
	d.ask(1, `{"user": 3, "item": "few"}`, `{"user": 4, "item": "few"}`, `{"user": 5, "item": "few"}`, `{"user": 6}`)
	reader, seen := d.reader(7, once)
	require.NoError(t, reader.Run(t.Context()))
	require.Equal(t, map[string]int{
		"1 taken": 2, "1 already": 1, "1 not_granted": 1, "2 taken": 2, "2 exhausted": 2,
		"over_limit": 1, "unknown_item": 1, "field_type": 1, "ambiguous": 1, "missing_field": 1, "invalid_json": 1, "empty": 1,
	}, seen.outcomes)
	require.Equal(t, []int64{2, 2}, d.taken())
	require.Equal(t, []string{
		` empty`, `not JSON invalid_json`, `{"item": "cheer"} missing_field`, `{"user": 1001, "item": "cheer"} over_limit`,
		`{"user": 2, "item": "cheer", "item": "few"} ambiguous`, `{"user": 2, "item": "has"} unknown_item`,
		`{"user": 2, "item": 7} field_type`, `{"user": 5, "item": "few"} exhausted`, `{"user": 500, "item": "cheer"} not_granted`,
		`{"user": 6} exhausted`,
	}, d.letters(10))
	d.proven()

	d.ask(1, `{"user": 7, "item": "cheer"}`)
	reader, seen = d.reader(8, once)
	require.NoError(t, reader.Run(t.Context()))
	require.Equal(t, map[string]int{"1 taken": 1}, seen.outcomes, "it goes on where the one before was")
	reader, seen = d.reader(9, once, func(t *Topic) { t.Restart = true })
	require.NoError(t, reader.Run(t.Context()))
	require.Equal(t, 6, seen.of("1 already")+seen.of("2 already"), "all of it, and nobody takes anything twice")
	require.Zero(t, seen.of("1 taken")+seen.of("2 taken"))
	d.proven()
}

// losing is a ledger that loses everything that was taken as soon as it has acknowledged the first call.
type losing struct {
	Sessions

	lose func()
	once sync.Once
}

func (l *losing) TakeFrom(ctx context.Context, lane int, c *grant.Campaign, wishes []ledger.Take) ([]ledger.Taken, error) {
	taken, err := l.Sessions.TakeFrom(ctx, lane, c, wishes)
	l.once.Do(l.lose)
	return taken, err
}

// forget is what a Redis does that comes back without its last writes.
func (d *desk) forget() {
	for _, key := range d.mini.Keys() {
		if strings.Contains(key, "take") || strings.Contains(key, ":tip:") || strings.Contains(key, "first") {
			d.mini.Del(key)
		}
	}
}

// Redis comes back without anything that was taken, before a checkpoint says that it was, or after that: the reader notices, and
// takes it again.
func TestTakesThatRedisLosesAreReadAgain(t *testing.T) {
	for ids, begin := range map[grant.IDs]func(*testing.T, int32) *desk{
		grant.IDsDense: newDesk, grant.IDsUUID: newDeskOfUUIDs,
	} {
		t.Run(string(ids), func(t *testing.T) { losesTakes(t, begin(t, 1), ids) })
	}
}

func losesTakes(t *testing.T, d *desk, ids grant.IDs) {
	wish := func(n int) string {
		user := fmt.Sprint(n)
		if ids == grant.IDsUUID {
			user = strconv.Quote(uuid(n))
		}
		return `{"user": ` + user + `, "item": "cheer"}`
	}
	d.ask(0, wish(1), wish(2))
	reader, seen := d.reader(7)
	reader.Ledger = &losing{Sessions: reader.Ledger, lose: d.forget}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reader.Run(ctx) }()
	checkpoint := func() int64 {
		at, err := ledger.NewTopicTakes(d.store, takesTopic, 1).Checkpoints(t.Context())
		require.NoError(t, err)
		return at.Next[0]
	}
	require.Eventually(t, func() bool { return checkpoint() == 2 }, patience, 10*time.Millisecond)
	require.Equal(t, []int64{2, 0}, d.taken())
	require.Equal(t, 1, seen.of("regressed"))
	d.forget()
	d.ask(0, wish(3))
	require.Eventually(t, func() bool { return checkpoint() == 3 }, patience, 10*time.Millisecond)
	stop()
	require.ErrorIs(t, <-done, ErrStopped)
	require.Equal(t, 2, seen.of("regressed"))
	require.Equal(t, []int64{3, 0}, d.taken())
	d.proven()
}

// Two share the partitions; when one ends, the other one has all of them.
func TestReadersShareTheTopic(t *testing.T) {
	d := newDesk(t, 2)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 2)
	var seen []*tally
	leave := make([]context.CancelFunc, 2)
	for i := range leave {
		reader, tally := d.reader(grant.RunID(7 + i))
		seen = append(seen, tally)
		var own context.Context
		own, leave[i] = context.WithCancel(ctx)
		go func() { done <- reader.Run(own) }()
	}
	user := 0
	more := func(partition int32) {
		user++
		d.ask(partition, fmt.Sprintf(`{"user": %d, "item": "cheer"}`, user))
	}
	require.Eventually(t, func() bool {
		more(0)
		more(1)
		return seen[0].of("1 taken") > 0 && seen[1].of("1 taken") > 0 || user > 90
	}, patience, 200*time.Millisecond)
	require.Less(t, user, 91, "one of them has everything")
	leave[0]()
	require.ErrorIs(t, <-done, ErrStopped)
	more(0)
	more(1)
	require.Eventually(t, func() bool { return d.taken()[0] == int64(user) }, patience, 10*time.Millisecond)
	stop()
	require.ErrorIs(t, <-done, ErrStopped)
	d.proven()
}

// What is no topic of takes is not made a dead-letter topic of.
func TestTooManyThatAreNoTakesEndIt(t *testing.T) {
	d := newDesk(t, 1)
	d.c.Input.MaxRejected = 0.01
	d.ask(0, slices.Repeat([]string{"12345"}, 1500)...)
	reader, _ := d.reader(7, once)
	require.ErrorIs(t, reader.Run(t.Context()), source.ErrTooManyRejected)
}

// Users with UUIDs are one, whatever the spelling; numbers are none of them.
func TestATopicOfTakesOfUUIDsIsReadOnceInEffect(t *testing.T) {
	id, d := uuid, newDeskOfUUIDs(t, 2)
	d.ask(0, `{"user": "`+id(10)+`", "item": "cheer"}`, `{"user": "{`+strings.ToUpper(id(10))+`}"}`,
		`{"user": "`+id(7)+`", "item": "few"}`)
	d.ask(1, `{"user": 7, "item": "cheer"}`, `{"user": "`+id(500)+`", "item": "cheer"}`, `{"user": "`+id(11)+`", "item": "has"}`,
		`{"user": "`+id(11)+`", "item": "cheer"}`)
	for _, outcome := range []grant.Outcome{grant.OutcomeTaken, grant.OutcomeAlready} {
		reader, seen := d.reader(7, once, func(t *Topic) { t.Restart = outcome == grant.OutcomeAlready })
		require.NoError(t, reader.Run(t.Context()))
		require.Positive(t, seen.of("1 "+string(outcome)))
		require.Equal(t, 1, seen.of("1 not_granted"))
		require.Equal(t, []int64{2, 2}, d.taken())
	}
	letters := d.letters(6)
	require.Contains(t, letters, `{"user": 7, "item": "cheer"} field_type`)
	require.Contains(t, letters, `{"user": "`+id(11)+`", "item": "has"} unknown_item`)
	d.proven()
}
