package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// A campaign that is over is purged: what stays says what went, and no replay of the topic grants anybody again. One that is not
// over is not, nor is one that somebody may still write to; and what was cut off is done again.
func TestACampaignIsPurged(t *testing.T) {
	ctx := context.Background()
	call, client, left := purging(t)
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

// purging makes a campaign that can be purged: what calls granter with it, its Redis, and what lists its keys.
func purging(t *testing.T) (call func(want int, args ...string) string, client redis.UniversalClient, left func() []string) {
	t.Helper()
	return purgingOf(t, dated(t, "starts_at: 2023-01-05T00:00:00+09:00"))
}

func purgingOf(t *testing.T, with func(args ...string) command) (
	call func(want int, args ...string) string, client redis.UniversalClient, left func() []string,
) {
	t.Helper()
	addr := ""
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
		if name == "GRANTER_REDIS" {
			addr = value
		}
	}
	call = func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, want, run(with(args...).args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		return stdout.String() + stderr.String()
	}
	client, err := ledger.Connect(ledger.Options{Addrs: []string{addr}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return call, client, func() []string {
		keys, err := client.Keys(t.Context(), "granter:{dated*").Result()
		require.NoError(t, err)
		slices.Sort(keys)
		return keys
	}
}

// A subscriber that takes no events is shown to whoever looks at the campaign, also when nobody publishes any more; and it gets
// everything when it answers again.
func TestADeadSubscriberIsShown(t *testing.T) {
	call, _, _ := purging(t)
	call(exitOK, "run")
	answer := http.StatusGone
	var events int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if answer == http.StatusNoContent {
			events++
		}
		w.WriteHeader(answer)
	}))
	defer server.Close()
	folder := t.TempDir()
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "secret"), []byte(secret), 0o600))
	file := filepath.Join(folder, "webhooks.yaml")
	text := "webhooks: [{name: billing, url: '" + server.URL + "', secret_file: secret}]"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))

	require.Contains(t, call(exitFailed, "publish", "--once", "--webhooks", file), "webhook:billing: it answers 410 Gone")
	require.Regexp(t, `NOT SERVED +webhook:billing: failing since .*, 1 entries behind: "it answers 410 Gone`,
		call(exitOK, "status"))
	require.Contains(t, call(exitOK, "status", "--json"), `"state": "failing"`)
	answer = http.StatusNoContent
	call(exitOK, "publish", "--once", "--webhooks", file)
	require.Equal(t, 3, events)
	require.Regexp(t, `subscriber +webhook:billing: stopped, 0 entries behind, last took events at `, call(exitOK, "status"))
}

// Classes of records are removed alone: the campaign stays as it is, is proven, and is replayed without anybody being granted
// again. What went is in the history, by number and digest; what decides who has what is not removed alone.
func TestClassesOfRecordsArePurged(t *testing.T) {
	t.Run("dense", func(t *testing.T) { purgesClasses(t, dated(t, "starts_at: 2023-01-05T00:00:00+09:00"), "2") })
	t.Run("uuid", func(t *testing.T) {
		const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c"
		purgesClasses(t, datedOf(t, "starts_at: 2023-01-05T00:00:00+09:00\npopulation: 1000", "source: {topic: dated, id: uuid}",
			id+"1", id+"2", id+"3"), id+"2")
	})
}

func purgesClasses(t *testing.T, with func(args ...string) command, user string) {
	t.Helper()
	ctx := context.Background()
	call, client, left := purgingOf(t, with)
	sure := func(classes string) []string {
		return []string{"purge", "--json", "--only", classes, "--why", "kept for a year", "--confirm", "dated"}
	}
	purged := func(out string) (r ClassesPurged) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(out), &r))
		return r
	}
	require.Contains(t, call(exitFailed, sure("samples")...), "the campaign is", "nobody has finished it")
	call(exitOK, "run")
	id := client.HKeys(ctx, "granter:{dated}:runs").Val()[0]
	text := client.HGet(ctx, "granter:{dated}:runs", id).Val()
	sampled := strings.TrimSuffix(text, "}") + `,"samples":[{"partition":0,"offset":7,"reason":"x","value":"kim@example.com"}]}`
	require.NoError(t, client.HSet(ctx, "granter:{dated}:runs", id, sampled).Err())
	require.NoError(t, client.HSet(ctx, "granter:{dated}:proposals", "a", "{}", "b", "{}").Err())
	require.NoError(t, client.RPush(ctx, "granter:{dated}:proposed:a:1", "1", "2").Err())
	require.NoError(t, client.HSet(ctx, "granter:{dated}:published:billing", "0", "x").Err())
	call(exitOK, "revoke", "--kind", "fraud", "--reason", "bot", user)

	for class, why := range map[string]string{
		"members": "cannot be purged alone: without the bitmaps a replay", "journals": "status --prove", "states": "revoked",
		"takes": "a second time", "replays": "a second user",
		"access-log": "granter access purge", "dead-letters": "kafka-topics.sh",
		"nonsense": "want some of samples, proposals, subscribers, trail",
	} {
		require.Contains(t, call(exitUsage, sure(class)...), why)
	}
	require.Contains(t, call(exitUsage, append(sure("trail"), "--trail")...), "say --only trail")
	require.Contains(t, call(exitUsage, "purge", "--only", "trail", "--why", "x"), "--confirm dated")
	until := time.Now().Add(time.Minute).UnixMilli()
	require.NoError(t, client.HSet(ctx, "granter:{dated}:leases", "0123456789abcdef", until).Err())
	require.Contains(t, call(exitFailed, sure("samples")...), "may still write")
	require.NoError(t, client.HDel(ctx, "granter:{dated}:leases", "0123456789abcdef").Err())

	all := left()
	dry := purged(call(exitOK, "purge", "--only", "samples,proposals,subscribers,trail", "--dry-run", "--json"))
	require.Equal(t, all, left(), "a dry run removes nothing")
	require.True(t, dry.DryRun)
	counts := map[string]int64{}
	for _, p := range dry.Purged {
		counts[p.Class] = p.Records
	}
	require.Equal(t, map[string]int64{"samples": 1, "proposals": 4, "subscribers": 1, "trail": 1}, counts)

	copied := filepath.Join(t.TempDir(), "dated.ledger")
	call(exitOK, "export", "--why", "before the purge", copied)
	done := purged(call(exitOK, sure("samples,proposals,subscribers")...))
	require.Equal(t, dry.Purged[:3], done.Purged, "what went is what the dry run said")
	record := client.HGet(ctx, "granter:{dated}:runs", id).Val()
	require.JSONEq(t, text, record, "of a run nothing but the samples")
	for _, key := range left() {
		require.NotContains(t, key, "propos")
		require.NotContains(t, key, "published")
	}
	require.Contains(t, call(exitOK, "history", "--json"), dry.Purged[1].Digest)
	require.Contains(t, call(exitOK, "history"), "records removed: samples: 1, proposals: 4, subscribers: 1")

	call(exitOK, sure("trail")...)
	trail := client.LRange(ctx, "granter:{dated}:history", 0, -1).Val()
	require.Len(t, trail, 1, "the purge of the trail")
	require.Contains(t, trail[0], `"class":"trail","records":3`)
	again := purged(call(exitOK, sure("samples")...))
	require.Zero(t, again.Purged[0].Records, "again is nothing")

	require.Contains(t, call(exitOK, "status", "--prove"), "PROVEN: 3 users")
	require.Contains(t, call(exitOK, "run", "--json", "--group", "dated-fresh"), `"granted": 0`)
	require.Contains(t, call(exitOK, "verify", user), "REVOKED")

	require.NoError(t, client.FlushAll(ctx).Err())
	var out bytes.Buffer
	require.Equal(t, exitOK, run([]string{"import", "--why", "to compare", copied}, &out, &out), "%s", &out)
	compared := purged(call(exitOK, "purge", "--only", "samples,proposals,subscribers", "--dry-run", "--json"))
	require.Equal(t, done.Purged, compared.Purged, "an export that was kept shows what went")
}
