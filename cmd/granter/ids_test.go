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

	"github.com/granter/granter/grant/ledger"
)

const uuidSpec = `campaign: uuids
title: Anything
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: uuids, id: uuid}
items: [{id: thing, kind: item, validity: permanent}]
`

// anyIDCommands are those that are built for campaigns whose IDs are not dense. What is not in this list must refuse them.
var anyIDCommands = []string{
	"abort", "acts approve", "acts pending", "acts reject", "acts show", "audit", "check", "desk", "digest", "erase-user",
	"exclude", "export", "extend", "finish", "grant-user", "history", "hooks", "load", "move", "note", "pause", "postpone",
	"publish", "purge", "rebuild", "recall", "reconcile", "reinstate", "rejected list", "rejected recover", "rejected replay",
	"rejected show", "resume", "revoke", "run", "status", "take", "throttle", "verify",
}

// A command is not built for IDs that are not dense unless it says so, and refuses before it asks any server. So nobody who adds
// a command can forget them, and nothing is half done.
func TestEveryOtherCommandRefusesIDsThatAreNotDense(t *testing.T) {
	spec := filepath.Join(t.TempDir(), "spec.yaml")
	require.NoError(t, os.WriteFile(spec, []byte(uuidSpec), 0o600))
	var built []string
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		name := strings.TrimPrefix(c.CommandPath(), "granter ")
		if c.Flags().Lookup("file") == nil || c.RunE == nil {
			return
		}
		if slices.Contains(anyIDCommands, name) {
			built = append(built, name)
			return
		}
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(name), "-f", spec)
		if c.Flags().Lookup("redis") != nil {
			args = append(args, "--redis", "127.0.0.1:1")
		}
		code := run(args, &stdout, &stderr)
		assert.Equal(t, exitUsage, code, "%s: %s", name, &stderr)
		assert.Contains(t, stderr.String(), "granter "+name+" "+ledger.ErrOpaque.Error()+": uuids has source.id: uuid", name)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), name)
		require.Empty(t, stdout.String(), name)
	}
	look(newRoot())
	slices.Sort(built)
	require.Equal(t, anyIDCommands, built)
}

// All commands are built for them by now. One that somebody adds, and that says nothing of IDs, refuses.
func TestACommandThatSaysNothingOfIDsRefusesThem(t *testing.T) {
	spec := filepath.Join(t.TempDir(), "spec.yaml")
	require.NoError(t, os.WriteFile(spec, []byte(uuidSpec), 0o600))
	c, cmd := &connection{}, &cobra.Command{Use: "newcomer", SilenceUsage: true, SilenceErrors: true}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := c.queryLedger(cmd.Context(), time.Second)
		return err
	}
	c.addFlags(cmd, c.redisFlags)
	cmd.SetArgs([]string{"-f", spec, "--redis", "127.0.0.1:1"})
	err := cmd.ExecuteContext(t.Context())
	require.ErrorIs(t, err, ledger.ErrOpaque)
	require.ErrorContains(t, err, "newcomer "+ledger.ErrOpaque.Error()+": uuids has source.id: uuid")
}

// The documentation has one table of what works for which kind of ID, with every command that is about a campaign, once.
func TestTheTableOfIDsIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../docs/campaign-spec.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| commands | for | `dense` | `int64`, `uuid`, `string` |\n")
	require.True(t, found)
	says := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			break
		}
		for at, part := range strings.Split(cells[1], "`") {
			if at%2 == 1 && !strings.HasPrefix(part, "-") {
				require.NotContains(t, says, part)
				says[part] = strings.TrimSpace(cells[4]) == "yes"
			}
		}
	}
	does := map[string]bool{}
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		if c.Flags().Lookup("file") != nil && c.RunE != nil {
			name := strings.TrimPrefix(c.CommandPath(), "granter ")
			does[name] = slices.Contains(anyIDCommands, name)
		}
	}
	look(newRoot())
	require.Equal(t, does, says)
}
