//go:build integration

package main

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/deploy/prometheus/promtest"
	"github.com/granter/granter/grant"
)

// A canary is raised step by step: each step grants those who come on top, and nobody again; so does the run that grants
// everybody in the end.
func TestCanaryIsRaised(t *testing.T) {
	t.Parallel()
	const users = 100_000
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, users))
	var sum int64
	for _, step := range []struct {
		share string
		want  float64
	}{{"1%", 0.01}, {"10%", 0.1}, {"10%", 0.1}, {"100%", 1}} {
		got := s.finish("--canary=" + step.share)
		sum += got.Granted
		chance := 6 * math.Sqrt(users*step.want*(1-step.want)) // of the hash that chooses: six standard deviations
		require.InDelta(t, step.want*users, sum, chance, step.share)
		require.Equal(t, sum, s.granted(), step.share)
		require.Empty(t, s.checkpoint(), "a canary moves no offsets")
	}
	all := s.finish()
	require.Zero(t, all.Granted)
	require.EqualValues(t, users, sum)
	s.exactlyOnce()
}

// What slows a run down, or pauses it, ends by itself; status says which it is.
func TestFeedback(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, append(durable(), devtest.RedisSet("maxmemory", "100mb"))...)
	s := newScenario(t, 4, r.Addr)
	s.publish(s.users(0, 400_000))
	prometheus := promtest.Start(t)
	p := s.run("--slow-at=memory=0.3%", "--pause-at=memory=0.5%", "--throttle-query=vector(1) > 0", "--prometheus="+prometheus.URL)
	heldBy := func(want ...grant.Cause) {
		t.Helper()
		await(t, fmt.Sprintf("it is held by %v", want), func() bool {
			require.True(t, p.running(), p.err.String())
			var got []grant.Cause
			for _, h := range s.record(p).Holds {
				got = append(got, h.Cause)
			}
			return slices.Equal(got, want)
		})
	}
	// An empty Redis takes about 1 MB, which is 1% of what it may take.
	heldBy(grant.CauseCritical, grant.CauseMemory, grant.CauseQuery)
	<-time.After(time.Second) // what was in hand is granted
	before := s.granted()
	<-time.After(2 * time.Second)
	require.Equal(t, before, s.granted(), "nobody is granted while Redis is too full")
	s.config("maxmemory", "10gb")
	heldBy(grant.CauseQuery)
	await(t, "it goes on, slowly", func() bool { return s.granted() > before })
	require.Less(t, s.granted(), int64(400_000))
	p.interrupt()
	require.Equal(t, exitStopped, p.wait())
	s.finish()
	s.exactlyOnce()
}

// as lets granters log in to Redis as a user with just the rights that docs/operations.md gives for something, while fn runs.
func (s *scenario) as(purpose string, fn func()) {
	s.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(s, err)
	row := regexp.MustCompile("(?m)^\\| " + purpose + ".* \\| `(.*)` \\|$").FindSubmatch(text)
	require.NotNil(s, row, "docs/operations.md has no rights for %s", purpose)
	const password = "as documented"
	command := []any{"acl", "setuser", "documented", "reset", "on", ">" + password}
	for right := range strings.FieldsSeq(strings.ReplaceAll(string(row[1]), `\|`, "|")) {
		command = append(command, right)
	}
	require.NoError(s, s.client.Do(s.Context(), command...).Err())
	env := s.env
	defer func() { s.env = env }()
	s.env = append(slices.Clip(env), "GRANTER_REDIS_USER=documented", "GRANTER_REDIS_PASSWORD="+password)
	fn()
}

// The rights of the runbook are enough for whom they are for.
func TestDocumentedRights(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 10_000))
	s.as("runs", func() {
		p := granter(t, s.command("check", "--json"))
		require.Zero(t, p.wait(), p.out.String())
		require.NotContains(t, p.out.String(), "unknown", "nothing is hidden from preflight")
		s.finish()
		require.Zero(t, granter(t, s.command("pause", "--why=to see whether I may")).wait())
		require.Zero(t, granter(t, s.command("resume", "--why=I may")).wait())
	})
	s.as("dry runs", func() {
		for _, name := range []string{"status", "history"} {
			require.Zero(t, granter(t, s.command(name)).wait(), name)
		}
		p := granter(t, s.command("pause", "--why=I may not", "--timeout=1s"))
		require.Equal(t, exitFailed, p.wait())
		require.Contains(t, p.err.String(), "NOPERM")
	})
	s.exactlyOnce()
}
