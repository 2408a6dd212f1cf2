package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// A campaign that is over is purged: what stays says what went, and no replay of the topic grants anybody again. One that is not
// over is not, nor is one that somebody may still write to; and what was cut off is done again.
func TestACampaignIsPurged(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	addr := ""
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
		if name == "GRANTER_REDIS" {
			addr = value
		}
	}
	call := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, want, run(with(args...).args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		return stdout.String() + stderr.String()
	}
	client, err := ledger.Connect(ledger.Options{Addrs: []string{addr}})
	require.NoError(t, err)
	defer client.Close()
	ctx := context.Background()
	left := func() []string {
		keys, err := client.Keys(ctx, "granter:{dated*").Result()
		require.NoError(t, err)
		slices.Sort(keys)
		return keys
	}
	sure := []string{"purge", "--why", "kept for five years", "--confirm", "dated"}

	require.Contains(t, call(exitFailed, sure...), "the campaign is")
	call(exitOK, "run")
	call(exitOK, "note", "--reason", "called twice", "2")
	require.Contains(t, call(exitUsage, "purge", "--why", "x"), "--confirm dated")
	require.Contains(t, call(exitUsage, "purge", "--confirm", "dated"), "--why")
	all := left()
	var dry PurgeResult
	require.NoError(t, json.Unmarshal([]byte(call(exitOK, "purge", "--dry-run", "--json")), &dry))
	require.Equal(t, all, left(), "a dry run removes nothing")
	require.EqualValues(t, 3, dry.Proof.Granted)
	require.Contains(t, call(exitOK, "digest"), dry.Proof.Users)

	require.NoError(t, client.Set(ctx, "granter:{dated}:publisher:webhook:billing", "x", 0).Err())
	require.Contains(t, call(exitFailed, sure...), "somebody publishes its events or tells its hooks (webhook:billing)")
	require.NoError(t, client.Del(ctx, "granter:{dated}:publisher:webhook:billing").Err())
	until := time.Now().Add(time.Minute).UnixMilli()
	require.NoError(t, client.HSet(ctx, "granter:{dated}:leases", "0123456789abcdef", until).Err())
	require.Contains(t, call(exitFailed, sure...), "may still grant")
	require.NoError(t, client.HDel(ctx, "granter:{dated}:leases", "0123456789abcdef").Err())
	require.Equal(t, all, left())

	// One is killed when it has marked the ledger, and removed a key.
	store, err := ledger.Open(client, &grant.Campaign{Name: "dated"}, ledger.Config{})
	require.NoError(t, err)
	mark := dry.Purge
	mark.Who, mark.Why = "mira", "kept for five years"
	require.NoError(t, ledger.NewPurger(store).Begin(ctx, &mark, false))
	require.NoError(t, client.Del(ctx, "granter:{dated/0}:granted").Err())
	require.Contains(t, call(exitFailed, "run", "--force", "--why", "x"), "The purge was cut off: do it again")
	require.Contains(t, call(exitOK, sure...), dry.Proof.Ledger, "what there was is known, as it was seen before")

	stays := []string{"granter:{dated}:format", "granter:{dated}:history", "granter:{dated}:spec"}
	require.Equal(t, stays, left())
	for _, args := range [][]string{
		{"run", "--force", "--why", "x"}, {"verify", "2"}, {"status"}, {"pause", "--why", "x"},
		{"grant-user", "--reason", "x", "9"},
	} {
		require.Contains(t, call(exitFailed, args...), "this campaign was purged by mira", args[0])
	}
	require.Equal(t, stays, left(), "nothing was written")
	require.Contains(t, call(exitOK, sure...), "dated was purged by mira", "again is nothing")
}
