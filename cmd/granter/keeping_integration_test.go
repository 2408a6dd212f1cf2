//go:build integration

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// documented returns the commands in a document under a heading of the second level.
func documented(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, ok, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	_, commands, ok := strings.Cut(section, "```sh\n")
	require.True(t, ok, heading)
	commands, _, _ = strings.Cut(commands, "```")
	return commands
}

// The commands of docs/ledger.md remove what they say, and nothing of another campaign.
func TestKeepingALedger(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	const users = 70_000 // in two chunks
	s.publish(s.users(0, users))
	granted := s.finish().Granted
	others := []string{
		"granter:{" + s.campaign.Name + "-2}:spec", "granter:{" + s.campaign.Name + "-2/0}:granted",
		"granter:{" + s.campaign.Name + "-2/anchor}:checkpoint:0", "somebody:else",
	}
	for _, key := range others {
		require.NoError(t, s.client.Set(t.Context(), key, "1", 0).Err())
	}
	follow := func(heading string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", documented(t, "../../docs/ledger.md", heading))
		cmd.Env = append(os.Environ(), "GRANTER_REDIS="+s.redis[0], "CAMPAIGN="+s.campaign.Name)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	keys := func() []string { return s.client.Keys(t.Context(), "*").Val() }

	follow("Upgrade and rollback")
	require.Empty(t, s.checkpoint())
	require.Subset(t, keys(), others)
	again := s.finish()
	require.Zero(t, again.Granted)
	require.GreaterOrEqual(t, again.Duplicate, granted)
	s.exactlyOnce()

	follow("Clean-up")
	require.ElementsMatch(t, others, keys())
	require.Equal(t, granted, s.finish().Granted, "a ledger that is gone knows nobody")
	s.exactlyOnce()
}
