package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// A command that changes the ledger does not look as if it hung while Redis is full: it says so, once.
func TestACommandSaysThatItWaitsForRedis(t *testing.T) {
	servers, err := startInProcess()
	require.NoError(t, err)
	t.Cleanup(servers.close)
	client, err := ledger.Connect(ledger.Options{Addrs: []string{servers.redis.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })

	var said bytes.Buffer
	c := connection{waited: &waits{out: &said, last: map[string]time.Time{}}}
	store, err := ledger.Open(client, &grant.Campaign{Name: "full"}, c.patiently(300*time.Millisecond))
	require.NoError(t, err)
	servers.redis.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	_, err = ledger.NewPurger(store).Mark(t.Context())
	require.ErrorContains(t, err, "OOM")
	require.Equal(t, "granter: Redis refuses (oom): Redis reached maxmemory: raise maxmemory (CONFIG SET maxmemory …), "+
		"the granter then goes on; trying again for 300ms\n", said.String())
}

const offersSpec = `campaign: away
zone: Asia/Seoul
title: Anything
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: away}
items: [{id: thing, kind: item, validity: {days: 30, from: taken}}]
`

// whileAway is what is asked of commands while Redis is away, beside -f.
var whileAway = map[string]string{
	"abort": "--why=x", "finish": "--why=x", "pause": "--why=x", "resume": "--why=x", "throttle": "--why=x 100",
	"postpone": "--why=x --until=2099-01-01T00:00:00Z", "acts approve": "--reason=x a", "acts reject": "--reason=x a",
	"acts pending": "", "acts show": "a", "audit": "", "digest": "", "erase-user": "--reason=x --confirm=7 7",
	"exclude": "--reason=x 7", "export": "--why=x FILE", "extend": "--reason=x --until=2099-01-01T00:00:00Z 7",
	"grant-user": "--reason=x 7", "history": "", "move": "--reason=x 7 8", "note": "--reason=x 7",
	"purge": "--why=x --confirm=away", "rebuild": "--why=x", "recall": "--reason=x 7", "reconcile": "--why=x FILE",
	"reinstate": "--reason=x 7", "rejected list": "", "rejected recover": "", "rejected replay": "--why=x --command=cat",
	"rejected show": "0/0", "revoke": "--kind=fraud --reason=x 7", "status": "", "take": "7", "verify": "7",
}

// notPatient are the commands about a campaign that do not wait for Redis in silence, for another reason.
var notPatient = map[string]string{
	"check": "says what does not answer, as one of its checks", "desk": "shows it on its pages", "hooks": "has a log",
	"load": "asks no Redis", "publish": "has a log", "run": "has a log",
}

// No command looks as if it hung while Redis is away: each says at once that it tries again, and for how long.
func TestEveryCommandSaysThatRedisIsAway(t *testing.T) {
	servers, err := startInProcess()
	require.NoError(t, err)
	t.Cleanup(servers.close)
	dir := t.TempDir()
	spec, file := filepath.Join(dir, "spec.yaml"), filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(spec, []byte(offersSpec), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("kind,user\n"), 0o600))
	for _, setting := range servers.environment() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	t.Setenv("GRANTER_REDIS", "127.0.0.1:1")
	t.Setenv("GRANTER_TIMEOUT", "100ms")
	asked := map[string]bool{}
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		name := strings.TrimPrefix(c.CommandPath(), "granter ")
		if c.Flags().Lookup("file") == nil || c.RunE == nil {
			return
		}
		if asked[name] = true; notPatient[name] != "" {
			return
		}
		more, known := whileAway[name]
		require.True(t, known, "what does granter %s say while Redis is away?", name)
		args := append(strings.Fields(name), "-f", spec)
		if c.Flags().Lookup("retry-for") != nil {
			args = append(args, "--retry-for=100ms")
		}
		for arg := range strings.FieldsSeq(more) {
			args = append(args, strings.Replace(arg, "FILE", file, 1))
		}
		var stdout, stderr bytes.Buffer
		code := run(args, &stdout, &stderr)
		assert.NotEqual(t, exitUsage, code, "%s: %s", name, &stderr)
		assert.Contains(t, stderr.String(), "Redis does not answer (network): ", name)
		assert.Equal(t, 1, strings.Count(stderr.String(), "trying"), "%s: %s", name, &stderr)
	}
	look(newRoot())
	for _, list := range []map[string]string{whileAway, notPatient} {
		for name := range list {
			require.True(t, asked[name], "there is no granter %s", name)
		}
	}
	var stdout, stderr bytes.Buffer
	run([]string{"verify", "--campaign=away", "7"}, &stdout, &stderr) // the spec is asked for, too
	require.Contains(t, stderr.String(), "trying again for 100ms")
	require.True(t, slices.Contains(strings.Split(stderr.String(), "\n"), "granter: Redis does not answer (network): "+
		ledger.Hint(ledger.KindNetwork)+"; trying again for 100ms"), stderr.String())
}
