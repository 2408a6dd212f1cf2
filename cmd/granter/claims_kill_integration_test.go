//go:build integration

package main

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/payout/banktest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// Claims come by Kafka into PostgreSQL, are decided, ordered and settled by a bank with every fault, while kill -9 meets each
// process again and again: each claim is there once, each approved one is paid once, and sums agree to the won.
func TestClaimsWhoseProcessesAreKilledArePaidOnce(t *testing.T) {
	t.Parallel()
	const n, kills = 300, 8
	kafka := devtest.StartKafka(t, devtest.KafkaOptions{})
	for _, topic := range []string{"claims", "payouts", "payouts.ack"} {
		kafka.CreateTopic(t, topic, 2, 1, nil)
	}
	postgres := devtest.StartPostgres(t)
	sendClaims(t, kafka.Brokers, n)
	services := httptest.NewServer(&identitytest.Services{})
	t.Cleanup(services.Close)
	s, p := storetest.At(t, postgres.URL)
	bank := banktest.New("payouts", "payouts.ack", 1)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	group.Go(func() { require.NoError(t, bank.Run(ctx, kafka.Brokers)) })

	from := []string{"--brokers", kafka.Brokers[0]}
	commands := [][]string{
		append([]string{"receive", "--topic", "claims", "--listen", "off"}, from...),
		{"process", "--business-service", services.URL, "--account-service", services.URL, "--every", "200ms"},
		append([]string{"pay", "--topic", "payouts", "--who", "choi", "--every", "200ms", "--most", "50"}, from...),
		append(
			[]string{"reconcile", "--topic", "payouts.ack", "--ask", "payouts", "--within", "2s", "--listen", "off"},
			from...),
	}
	launch := func(i int) *process {
		return start(t, command{
			args: append([]string{"claims"}, append(commands[i], "--database", postgres.URL)...),
			env:  []string{"GRANTER_BUSINESS_KEY=key", "GRANTER_ACCOUNT_TOKEN=token"},
		})
	}
	processes := make([]*process, len(commands))
	for i := range processes {
		processes[i] = launch(i)
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	killed := 0
	require.Eventually(t, func() bool {
		if killed < kills {
			i := r.IntN(len(processes))
			processes[i].kill()
			killed++
			processes[i] = launch(i)
		}
		for i := range processes {
			if !processes[i].running() { // as systemd does
				processes[i] = launch(i)
			}
		}
		return killed == kills && settledAll(t, s, p, n)
	}, 3*patience, time.Second)
	for i := range processes {
		processes[i].kill()
	}
	paid, sum, err := bank.Compare(t.Context(), s, p.Name)
	require.NoError(t, err)
	require.Greater(t, paid, n/2)
	t.Logf("%d of %d claims paid, %d won", paid, n, sum)
}

// settledAll reports whether every claim is where nothing but a person moves it on.
func settledAll(t *testing.T, s *store.Store, p *claims.Programme, n int) bool {
	t.Helper()
	all, moving := 0, 0
	require.NoError(t, s.Each(t.Context(), p.Name, func(c *store.Claim) error {
		all++
		switch c.State {
		case claims.Received, claims.Checking, claims.Approved, claims.PaymentSent:
			moving++
		case claims.PaymentReturned:
			if len(c.Payments) < store.MostAttempts {
				moving++
			}
		default:
		}
		return nil
	}))
	return all == n && moving == 0
}
