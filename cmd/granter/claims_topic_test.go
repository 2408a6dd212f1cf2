package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/claims/payout/banktest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// sendClaims writes generated claims to the topic "claims".
func sendClaims(t *testing.T, brokers []string, n int, more ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("claims"))
	require.NoError(t, err)
	defer client.Close()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Value: intaketest.Record(i)})
	}
	for _, text := range more {
		records = append(records, &kgo.Record{Value: []byte(text)})
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
}

// Claims come by a topic, are decided, ordered by another one, and settled by what the bank says in a third.
func TestClaimsAreTakenInAndPaidByTopics(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "claims", "payouts", "payouts.ack"))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	brokers := kafka.ListenAddrs()
	sendClaims(t, brokers, 40, "no claim")
	services := httptest.NewServer(&identitytest.Services{})
	t.Cleanup(services.Close)
	t.Setenv("GRANTER_BUSINESS_KEY", "key")
	t.Setenv("GRANTER_ACCOUNT_TOKEN", "token")
	path := filepath.Join(t.TempDir(), "claims.db")
	at, from := "--database="+path, "--brokers="+brokers[0]
	rules := filepath.Join(t.TempDir(), "programme.yaml")
	require.NoError(t, os.WriteFile(rules, storetest.Source(t), 0o600))

	code, _, errs := ask("receive", at, from)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "there is no database")
	code, _, errs = ask("receive", at, from, "--programme", rules)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--topic")
	code, out, errs := ask("receive", at, from, "--programme", rules, "--topic", "claims", "--once", "--json")
	require.Zero(t, code, errs)
	var received struct {
		Records int            `json:"records"`
		Refused map[string]int `json:"refused"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &received))
	require.Equal(t, 40, received.Records)
	require.Equal(t, map[string]int{"invalid_json": 1}, received.Refused)
	code, _, errs = ask("process", at, "--business-service", services.URL, "--account-service", services.URL)
	require.Zero(t, code, errs)

	code, _, errs = ask("pay", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "Say --out FILE, or --topic TOPIC")
	code, _, errs = ask("pay", at, from, "--topic", "payouts", "--again")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--again is of files")
	code, out, errs = ask("pay", at, from, "--topic", "payouts")
	require.Zero(t, code, errs)
	require.Contains(t, out, "sent to topic payouts")
	code, _, errs = ask("reconcile", at, "--ask", "payouts")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--ask goes with --topic")

	bank := banktest.New("payouts", "payouts.ack", 3)
	bank.Faultless = true
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	group.Go(func() { require.NoError(t, bank.Run(ctx, brokers)) })
	require.Eventually(t, func() bool {
		code, out, errs = ask(
			"reconcile",
			at,
			from,
			"--topic",
			"payouts.ack",
			"--once",
			"--ask",
			"payouts",
			"--within",
			"1h",
			"--json",
		)
		require.Zero(t, code, errs)
		var books store.Books
		require.NoError(t, json.Unmarshal([]byte(out), &books))
		return books.Reserved == 0 && books.Settled > 0
	}, patience, 10*time.Millisecond)
	s, p := storetest.At(t, path)
	paid, _, err := bank.Compare(t.Context(), s, p.Name)
	require.NoError(t, err)
	require.Greater(t, paid, 20)
}
