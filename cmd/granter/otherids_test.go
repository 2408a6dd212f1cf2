package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// offersUUIDs is a campaign of UUIDs whose users have one item, and take two others, of which there are few of one.
const offersUUIDs = "zone: Asia/Seoul\nsource: {topic: dated, id: uuid}\nitems: [" +
	"{id: thing, kind: item, validity: permanent}, {id: any, kind: item, validity: {days: 30, from: taken}}, " +
	"{id: few, kind: item, validity: {days: 30, from: taken}, first: 2}]"

// What is done with a campaign of UUIDs once it is granted: it is audited, a user has a receipt that others verify, and its
// ledger is put away, lost, and made again of the file, with what users took, and of the topic, without.
func TestACampaignOfUUIDsIsAuditedAndKept(t *testing.T) {
	const user = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	with := datedOf(t, "starts_at: 2023-01-05T00:00:00+09:00\npopulation: 1000", offersUUIDs,
		"{"+strings.ToUpper(user)+"}", "6ba7b810-9dad-41d1-80b4-00c04fd430c9", "0190163d-8694-739b-aea5-966c26f8ad91")
	dir, addr := t.TempDir(), ""
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
		if name == "GRANTER_REDIS" {
			addr = value
		}
	}
	does := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, want, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		return stdout.String() + stderr.String()
	}
	asks := func(want int, args ...string) string { t.Helper(); return does(want, with(args...).args...) }
	lose := func() {
		t.Helper()
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close()
		require.NoError(t, client.FlushAll(t.Context()).Err())
	}
	key, reports := filepath.Join(dir, "audit.key"), filepath.Join(dir, "reports")
	does(exitOK, "audit", "keygen", key, "--name", "auditor")
	asks(exitNotProven, "audit", "--complete")
	asks(exitOK, "run")
	second := strings.Replace(user, "c8", "c9", 1)
	require.Contains(t, asks(exitOK, "take", user), "taken 2")
	require.Contains(t, asks(exitOK, "take", "--item", "few", second), "taken 1")
	took := func() {
		t.Helper()
		require.Contains(t, asks(exitOK, "take", user, second), "taken 1, already 3", "any is there for everybody")
		require.Contains(t, asks(exitNotGranted, "take", "--item", "few", "0190163d-8694-739b-aea5-966c26f8ad91"), "exhausted 1")
		asks(exitOK, "status", "--prove")
	}
	out := asks(exitOK, "audit", "--complete", "--independent", "--key", key, "--report", reports+"/", "--receipts")
	require.Contains(t, out, "PROVEN: all 3 users")
	require.Contains(t, out, " buckets")
	files, err := filepath.Glob(filepath.Join(reports, "dated-*.report"))
	require.NoError(t, err)
	require.Contains(t, does(exitOK, "audit", "verify", "--public", key+".pub", files[0]), "VERIFIED: 1 report")
	receipt := filepath.Join(dir, "receipt.json")
	require.Contains(t, does(exitOK, "receipt", "urn:uuid:"+user, "--report", reports, "--out", receipt), "user "+user)
	require.Contains(t, does(exitOK, "receipt", "verify", "--public", key+".pub", receipt), "VERIFIED")
	python, err := exec.LookPath("python3")
	require.NoError(t, err, "deploy/dev/install.sh needs python3, too")
	verifier := exec.CommandContext(t.Context(), python, "../../docs/verify_receipt.py", key+".pub", receipt)
	verified, err := verifier.CombinedOutput()
	require.NoError(t, err, string(verified))
	require.Contains(t, string(verified), "VERIFIED: user "+user)
	require.Contains(t, does(exitUsage, "receipt", "7", "--report", reports), "want a UUID")
	require.Contains(t, does(exitNotGranted, "receipt", strings.Replace(user, "c8", "c7", 1), "--report", reports), "not granted")

	file := filepath.Join(dir, "dated.ledger")
	asks(exitOK, "export", "--why", "a test", file)
	require.Contains(t, asks(exitOK, "export", "--why", "a test", "--format", "csv", filepath.Join(dir, "table")), "3 rows")
	table, err := os.ReadFile(filepath.Join(dir, "table"))
	require.NoError(t, err)
	require.Contains(t, string(table), "\n"+user+",")
	digest, whole := digestLine(asks(exitOK, "digest")), ledgerLine(asks(exitOK, "digest"))
	require.Equal(t, digest, digestLine(does(exitOK, "digest", file)))
	lose()
	does(exitOK, "import", "--why", "a test", file)
	require.Equal(t, digest, digestLine(asks(exitOK, "digest")))
	require.Equal(t, whole, ledgerLine(asks(exitOK, "digest")))
	took()
	asks(exitOK, "audit", "--complete")
	lose()
	require.Equal(t, digest, digestLine(asks(exitOK, "rebuild", "--why", "a test")))
	said := asks(exitRefuted, "audit", "--complete", "--key", key, "--report", reports+"/")
	require.Contains(t, said, "TAKES_GONE", "the topic does not say who took what")
	require.Contains(t, asks(exitOK, "take", user), "taken 2")
	lose()
	require.Equal(t, digest, digestLine(asks(exitOK, "rebuild", "--from", file, "--why", "a test")))
	require.Equal(t, whole, ledgerLine(asks(exitOK, "digest")), "what users took, too")
	took()
	asks(exitOK, "audit", "--complete")
}

// ledgerLine is the digest of the whole ledger in what was printed.
func ledgerLine(printed string) string {
	_, rest, _ := strings.Cut(printed, "digest of the ledger")
	line, _, _ := strings.Cut(strings.TrimLeft(rest, ": "), "\n")
	return strings.TrimSpace(line)
}

// A campaign of UUIDs is acted upon, and purged when it is over: what stays says what went, and no replay grants anybody again.
func TestACampaignOfUUIDsIsActedUponAndPurged(t *testing.T) {
	const user, other = "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "6ba7b810-9dad-41d1-80b4-00c04fd430c9"
	with := datedOf(t, "starts_at: 2023-01-05T00:00:00+09:00\npopulation: 1000", offersUUIDs, user, other)
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
	require.Contains(t, call(exitOK, "exclude", "--reason", "a bot", "{"+other+"}"), "SUCCESS: 1 of 1 users done")
	require.Contains(t, call(exitOK, "run", "--json"), `"withheld":1`)
	require.Contains(t, call(exitOK, "take", user), "taken 2")
	require.Contains(t, call(exitNotGranted, "take", other), "excluded 2")
	call(exitOK, "revoke", "--kind", "fraud", "--reason", "ticket 5", strings.ToUpper(user))
	require.Contains(t, call(exitOK, "verify", user), "ticket 5")
	call(exitOK, "run", "--group", "fresh")
	require.Contains(t, call(exitOK, "verify", user), "ticket 5", "a replay by a fresh group gives nothing back")
	call(exitOK, "status", "--prove")
	call(exitOK, "audit", "--complete")
	require.Contains(t, call(exitOK, "erase-user", "--reason", "request 88", "--confirm", user, user), "erased reasons and notes")
	require.NotContains(t, call(exitOK, "verify", user), "ticket 5")
	call(exitOK, "status", "--prove")
	digest := digestLine(call(exitOK, "digest"))
	require.Contains(t, digest, "members-1-")
	require.Contains(t, call(exitOK, "purge", "--why", "kept for five years", "--confirm", "dated"), digest)
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "granter:{dated*").Result()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"granter:{dated}:format", "granter:{dated}:history", "granter:{dated}:spec"}, keys)
	require.Contains(t, call(exitFailed, "run", "--force", "--why", "x"), "this campaign was purged by")
	require.Contains(t, call(exitFailed, "verify", user), "this campaign was purged by")
}

// digestLine is the digest of the granted users in what was printed.
func digestLine(printed string) string {
	_, rest, _ := strings.Cut(printed, "digest of the granted users")
	line, _, _ := strings.Cut(strings.TrimLeft(rest, ": "), "\n")
	return strings.TrimSpace(line)
}
