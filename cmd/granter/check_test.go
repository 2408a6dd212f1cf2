package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/granter/granter/grant/preflight"
)

func TestCheckTableIsAlignedAndWrapped(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := newReportTable(&out)
	assert.False(t, table.colors, "no terminal, no colours")
	table.width = 60
	table.print(preflight.Report{Results: []preflight.Result{
		{Name: "kafka.topic", Status: preflight.Pass, Detail: "users has 8 partitions"},
		{Name: "kafka.gap", Status: preflight.Fail, Detail: "10 records that were never granted are gone", Advice: "restore them, or continue by --accept-gap 0:0-5 --accept-gap 1:0-5"},
		{Name: "campaign.spec", Status: preflight.Warn, Detail: "이모티콘 세 개를 모든 이용자에게 드립니다", Advice: "look"},
	}})
	assert.Equal(t, `✓ pass  kafka.topic    users has 8 partitions
✗ fail  kafka.gap      10 records that were never granted
                       are gone
                       → restore them, or continue by
                         --accept-gap 0:0-5 --accept-gap
                         1:0-5
! warn  campaign.spec  이모티콘 세 개를 모든 이용자에게
                       드립니다
                       → look

preflight: 1 pass, 1 warn, 1 fail
`, out.String())

	table.colors = true
	assert.Equal(t, "\x1b[31m✗ fail\x1b[0m", table.mark(preflight.Fail))
}

func TestWrapKeepsLongWordsWhole(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"a", "--accept-gap-of-many-letters", "b c"}, wrap("a --accept-gap-of-many-letters b c", 10))
	assert.Equal(t, []string{"a", "b"}, wrap("a\nb", 10))
	assert.Empty(t, wrap("", 10))
}

const checkSpec = `campaign: check
title: Anything
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: demo-users}
items: [{id: thing, kind: item, validity: permanent}]
`

// checkWorld is a spec, a Kafka and a Redis, and the flags to reach them.
func checkWorld(t *testing.T, topics ...string) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	spec := filepath.Join(t.TempDir(), "spec.yaml")
	require.NoError(t, os.WriteFile(spec, []byte(checkSpec), 0o600))
	return []string{
		"check", "-f", spec, "--brokers", strings.Join(cluster.ListenAddrs(), ","), "--redis", miniredis.RunT(t).Addr(), "--timeout", "2s",
	}
}

func runCheck(t *testing.T, args []string) (out string, err error) {
	t.Helper()
	var buf bytes.Buffer
	root := newRoot()
	root.SetOut(&buf)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return buf.String(), err
}

func TestCheckCommand(t *testing.T) {
	out, err := runCheck(t, checkWorld(t, "demo-users"))
	require.NoError(t, err, "warnings are no failure")
	assert.Contains(t, out, "✓ pass  kafka.topic")
	assert.Regexp(t, `(?m)^preflight: \d+ pass, \d+ warn, 0 fail$`, out)

	world := checkWorld(t, "demo-user")
	out, err = runCheck(t, world)
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, exitPreflight, exit.code)
	require.NoError(t, exit.err, "the table has said it")
	assert.Contains(t, out, "did you mean demo-user?")

	out, err = runCheck(t, append(world, "--json"))
	require.ErrorAs(t, err, &exit)
	var report struct {
		Results []preflight.Result `json:"results"`
		Failed  bool               `json:"failed"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.True(t, report.Failed)
	for _, r := range report.Results {
		if r.Name == "kafka.topic" {
			assert.Equal(t, preflight.Fail, r.Status)
			return
		}
	}
	assert.Fail(t, "no result kafka.topic")
}

func TestCheckRefusesMalformedFlags(t *testing.T) {
	for _, bad := range [][]string{{"--accept-gap", "1:5"}, {"--brokers", "kafka://x"}, {"-f", "no-such-file"}} {
		_, err := runCheck(t, append(checkWorld(t, "demo-users"), bad...))
		var exit *exitError
		require.ErrorAs(t, err, &exit, "%v", bad)
		assert.Equal(t, exitUsage, exit.code)
	}
}

func TestRunStopsAtAFailedPreflightUnlessForced(t *testing.T) {
	world := checkWorld(t, "other")
	flags := &runFlags{}
	flags.spec, flags.brokers, flags.redis = world[2], []string{world[4]}, []string{world[6]}
	flags.timeout, flags.retryFor = 2*time.Second, time.Second
	camp, err := flags.campaign()
	require.NoError(t, err)
	k, err := flags.kafka()
	require.NoError(t, err)
	client, err := flags.redisClient()
	require.NoError(t, err)
	defer client.Close()
	var logged bytes.Buffer
	j := &job{campaign: camp, kafka: k, redis: client, flags: flags, log: slog.New(slog.NewJSONHandler(&logged, nil))}

	_, err = j.preflight(t.Context())
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, exitPreflight, exit.code)
	require.ErrorIs(t, err, errPreflight)
	assert.Contains(t, err.Error(), "kafka.topic")
	assert.Contains(t, logged.String(), "there is no topic demo-users")
	assert.Contains(t, logged.String(), `"level":"WARN","msg":"preflight: `)

	logged.Reset()
	flags.force = true
	_, err = j.preflight(t.Context())
	require.NoError(t, err)
	assert.Contains(t, logged.String(), "RUNNING ALTHOUGH PREFLIGHT FAILED")
}
