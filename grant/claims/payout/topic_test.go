package payout_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/feed"
	"github.com/granter/granter/grant/claims/payout"
	"github.com/granter/granter/grant/claims/payout/banktest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/source"
)

var payer = store.Actor{Name: "choi", Duty: claims.Payer}

// counter counts what a topic had.
type counter struct {
	mu      sync.Mutex
	taken   int
	refused map[source.Reason]int
}

func (c *counter) Taken(n int, refused map[source.Reason]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken += n
	for reason, n := range refused {
		c.refused[reason] += n
	}
}
func (*counter) Behind(int64) {}

// answers reads the bank's topic of answers until the context ends or, once, to its end.
func answers(t *testing.T, s *store.Store, brokers []string, once bool) *feed.Topic[store.Answer] {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	from, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: brokers}, Campaign: "outage-2022", Run: grant.NewRunID(time.Now()), Log: log,
		Topic: feed.Input("payouts.ack", ""), Pass: grant.Pass{Group: "reconcile"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, from.Close()) })
	return &feed.Topic[store.Answer]{
		Name: "payouts.ack", Source: from, Store: s, Read: payout.ReadRecord, Commit: payout.Take(s, func([]store.Effect) {}),
		Observer: &counter{refused: map[source.Reason]int{}}, Log: log, MaxRejected: 0.5, Once: once,
	}
}

// A bank with every fault, over Kafka, and payers who die between what they note and what they send: nobody is paid twice,
// nothing is lost, and what nobody knows is asked and not sent again.
func TestABankWithEveryFaultOverKafka(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "payouts", "payouts.ack"))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	brokers := kafka.ListenAddrs()
	s, p := storetest.Open(t)
	payout.Approve(t, s, storetest.Receive(t, s, p, 60, 100_000))
	bank := banktest.New("payouts", "payouts.ack", 7)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { require.NoError(t, bank.Run(ctx, brokers)) })
	reading := make(chan error, 1)
	group.Go(func() { reading <- answers(t, s, brokers, false).Run(ctx) })
	out := payout.NewTopic(s, brokers, "payouts", source.Kafka{Brokers: brokers}.Transport())
	defer out.Writer.Close()

	_, err = s.Declare(ctx, p, 20, payer)
	require.NoError(t, err)
	lost, err := s.HandOver(ctx, p.Name, 5) // and dies before it sends them
	require.NoError(t, err)
	require.Len(t, lost, 5)
	deadline := time.Now().Add(2 * time.Minute)
	for open := true; open; {
		require.Less(t, time.Now(), deadline, "it does not come to an end")
		_, err = s.Declare(ctx, p, 25, payer)
		require.NoError(t, err)
		_, err = out.Send(ctx, p.Name)
		require.NoError(t, err)
		_, err = out.Ask(ctx, p.Name, 300*time.Millisecond)
		require.NoError(t, err)
		payout.VerifyAgain(t, s)
		open = unsettled(t, s, p)
	}
	stop()
	require.ErrorIs(t, <-reading, feed.ErrStopped)
	group.Wait()
	_, _, err = bank.Compare(t.Context(), s, p.Name)
	require.NoError(t, err)
}

// unsettled reports whether money is still to be sent, or under way.
func unsettled(t *testing.T, s *store.Store, p *claims.Programme) bool {
	t.Helper()
	counts, err := s.Counts(t.Context(), p.Name)
	require.NoError(t, err)
	final := counts[claims.Paid].Claims
	list, err := s.List(t.Context(), store.Filter{States: []claims.State{claims.PaymentReturned}})
	require.NoError(t, err)
	for _, line := range list {
		c, err := s.Get(t.Context(), line.ID)
		require.NoError(t, err)
		if len(c[0].Payments) == store.MostAttempts {
			final++
		}
	}
	return final < 60
}

func TestAnswersOfATopic(t *testing.T) {
	a, refused := payout.ReadRecord([]byte(`{"id":"r","payment":"p","status":"settled","amount":5,"more":1}`))
	require.Empty(t, refused)
	require.Equal(t, store.Answer{ID: "r", Payment: "p", Status: store.BankSettled, Amount: 5}, a)
	for text, want := range map[string]string{
		``:           "",
		`{`:          "unexpected end",
		`{"id":"r"}`: "must not be empty",
		`{"id":1}`:   "cannot unmarshal",
		`{"id":"r","payment":"p","status":"paid"}`:                  `status "paid"`,
		`{"id":"r","payment":"p","status":"settled","amount":-1}`:   "amount -1",
		`{"id":"r","payment":"p","status":"settled","amount":"30"}`: "cannot unmarshal",
	} {
		_, refused := payout.ReadRecord([]byte(text))
		require.NotEmpty(t, refused.Reason, text)
		require.Contains(t, refused.Detail, want, text)
	}
	for _, text := range []string{
		`{"id":"r","payment":"p","status":"returned","reason":"900101-1234567"}`,
		`{"id":"r","payment":"p","status":"900101-1234567"}`,
		`{"id":1,"holder":"900101-1234567"}`, `900101-1234567`,
	} {
		_, refused := payout.ReadRecord([]byte(text))
		require.True(t, refused.Withhold, text)
		require.NotContains(t, refused.Detail, "1234567")
	}
}
