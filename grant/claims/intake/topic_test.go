package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/feed"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/source"
)

// channel is a topic of claims, and a database that they are taken into.
type channel struct {
	*testing.T
	brokers []string
	client  *kgo.Client
	store   *store.Store
	desk    *intake.Desk

	mu      sync.Mutex
	taken   int
	refused map[source.Reason]int
}

func newChannel(t *testing.T, partitions int32) *channel {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "claims"))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	c := &channel{T: t, brokers: kafka.ListenAddrs(), refused: map[source.Reason]int{}}
	s, p := storetest.Open(t)
	c.store, c.desk = s, &intake.Desk{Store: s, Programme: p}
	c.client, err = kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(c.client.Close)
	return c
}

// Taken implements feed.Observer.
func (c *channel) Taken(n int, refused map[source.Reason]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken += n
	for reason, n := range refused {
		c.refused[reason] += n
	}
}

// Behind implements feed.Observer.
func (*channel) Behind(int64) {}

func (c *channel) send(partition int32, values ...string) {
	c.Helper()
	for _, v := range values {
		require.NoError(
			c,
			c.client.ProduceSync(c.Context(), &kgo.Record{Topic: "claims", Partition: partition, Value: []byte(v)}).
				FirstErr(),
		)
	}
}

// reader is one process that takes the topic in.
func (c *channel) reader() *feed.Topic[store.Filing] {
	c.Helper()
	log := slog.New(slog.NewTextHandler(c.Output(), nil))
	from, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: c.brokers}, Campaign: "outage-2022", Run: grant.NewRunID(time.Now()), Log: log,
		Topic: feed.Input("claims", ""), Pass: grant.Pass{Group: "receive"},
	})
	require.NoError(c, err)
	c.Cleanup(func() { require.NoError(c, from.Close()) })
	by := intake.Channel{Name: "topic", By: store.Actor{Name: "topic claims", Duty: claims.Intake}}
	return &feed.Topic[store.Filing]{
		Name: "claims", Source: from, Store: c.store, Observer: c, Log: log, MaxRejected: 0.9, Once: true,
		Read: func(value []byte) (store.Filing, feed.Refusal) {
			return c.desk.ReadRecord(context.Background(), value, by)
		},
		Commit: c.desk.ReceiveRecords,
	}
}

// letters reads n records of the dead-letter topic, each as its reason and value, sorted.
func (c *channel) letters(n int) (out, details []string) {
	c.Helper()
	for _, r := range c.dead(n) {
		for _, h := range r.Headers {
			switch h.Key {
			case source.HeaderReason:
				out = append(out, string(h.Value)+" "+string(r.Value[:min(len(r.Value), 16)]))
			case source.HeaderDetail:
				details = append(details, string(h.Value))
			}
		}
	}
	slices.Sort(out)
	return out, details
}

// dead reads n records of the dead-letter topic, or some more.
func (c *channel) dead(n int) (out []*kgo.Record) {
	c.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics("claims.rejected"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(c, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	defer cancel()
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(c, ctx.Err(), "%d of %d letters", len(out), n)
		fetches.EachRecord(func(r *kgo.Record) { out = append(out, r) })
	}
	return out
}

func (c *channel) claims() int {
	c.Helper()
	proof, err := c.store.Prove(c.Context(), nil)
	require.NoError(c, err)
	require.Empty(c, proof.Wrong)
	return proof.Claims
}

func TestClaimsOfATopicAreTakenInOnce(t *testing.T) {
	c := newChannel(t, 2)
	form := func(i int) string { return string(intaketest.Record(i)) }
	other := intaketest.Form(2)
	other.ID = "another-number"
	c.send(0, form(1), form(1), form(2), mustJSON(t, other), `{"id": "x", "rrn": "900101-1234567"}`, `not JSON`, "")
	c.send(1, form(3), `{"id": "y"}`, `{"business_number": "1"}`)
	changed := intaketest.Form(3)
	*changed.OutageSales++
	c.send(1, mustJSON(t, changed))
	require.NoError(t, c.reader().Run(t.Context()))
	require.Equal(t, 3, c.claims())
	require.Equal(t, map[source.Reason]int{
		"invalid_json": 1, "empty": 1, "resident_number": 1, "invalid_claim": 2, "business_claimed": 1, "id_taken": 1,
	}, c.refused)
	letters, details := c.letters(7)
	require.Equal(t, []string{
		`business_claimed {"id":"another-n`, `empty `, `id_taken {"id":"k-0000003`, `invalid_claim {"business_numbe`,
		`invalid_claim {"id": "y"}`,
		`invalid_json not JSON`, `resident_number `,
	}, letters)
	require.Contains(t, fmt.Sprint(details), "bank: is missing")
	require.NotContains(t, fmt.Sprint(details), "900101")

	c.send(0, form(4))
	require.NoError(t, c.reader().Run(t.Context()))
	require.Equal(t, 4, c.claims())
	require.Equal(t, 5, c.taken, "it goes on where the one before was; one claim came twice")
	again := c.reader()
	again.Restart = true
	require.NoError(t, again.Run(t.Context()))
	require.Equal(t, 4, c.claims(), "all of it, and nothing is taken in twice")
	_, _ = c.letters(14)
}

// A resident registration number that is a record's key stands in no dead letter either, whatever the record is refused for.
func TestAKeyWithAResidentNumberIsInNoDeadLetter(t *testing.T) {
	c := newChannel(t, 1)
	for _, key := range []string{"owner-1", "900101-1234567"} {
		require.NoError(t, c.client.ProduceSync(t.Context(), &kgo.Record{
			Topic: "claims", Key: []byte(key), Value: []byte(`{"id": "y"}`),
		}).FirstErr())
	}
	require.NoError(t, c.reader().Run(t.Context()))
	var keys []string
	for _, r := range c.dead(2) {
		keys = append(keys, string(r.Key))
		require.JSONEq(t, `{"id": "y"}`, string(r.Value))
	}
	require.Equal(t, []string{"owner-1", ""}, keys)
}

var errKilled = errors.New("killed")

// A process dies between any two of: the claims are committed, the refused ones are dead letters, the position moves.
func TestWhereverReadingATopicEndsNothingIsLostOrTwice(t *testing.T) {
	c := newChannel(t, 3)
	for i := range 60 {
		c.send(int32(i%3), string(intaketest.Record(i)))
		if i%7 == 0 {
			c.send(int32(i%3), "no claim")
		}
	}
	for round := 0; ; round++ {
		require.Less(t, round, 100)
		r := c.reader()
		commit := r.Commit
		calls := 0
		r.Commit = func(ctx context.Context, list []store.Filing, at []store.Position) ([]feed.Refusal, error) {
			if calls++; round%2 == 0 && calls > round/2 && round < 8 {
				return nil, errKilled
			}
			out, err := commit(ctx, list, at)
			if round%2 == 1 && round < 8 {
				return nil, errors.Join(err, errKilled) // committed, and it does not get to hear that
			}
			return out, err
		}
		err := r.Run(t.Context())
		if err == nil {
			break
		}
		require.ErrorIs(t, err, errKilled)
	}
	require.Equal(t, 60, c.claims())
	letters, _ := c.letters(9)
	require.GreaterOrEqual(t, len(letters), 9)
}

func TestTooManyRecordsThatAreNoClaimsEndIt(t *testing.T) {
	c := newChannel(t, 1)
	c.send(0, slices.Repeat([]string{"12345"}, 1100)...)
	r := c.reader()
	r.MaxRejected = 0.1
	require.ErrorIs(t, r.Run(t.Context()), source.ErrTooManyRejected)
}

func mustJSON(t *testing.T, f *intake.Form) string {
	t.Helper()
	data, err := json.Marshal(f)
	require.NoError(t, err)
	return string(data)
}
