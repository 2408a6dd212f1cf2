package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/acts"
)

// Why anything was done about a user goes, in all campaigns, and everything that is asked of the ledger goes on as before.
func TestAUserIsErased(t *testing.T) {
	ctx := context.Background()
	call, client, left := purging(t)
	call(exitOK, "run")
	call(exitOK, "note", "--reason", "secret: waits for papers", "2")
	call(exitOK, "revoke", "--kind", "fraud", "--reason", "secret: bot", "2")
	call(exitOK, "note", "--reason", "of somebody else", "3")
	list := filepath.Join(t.TempDir(), "users.csv")
	require.NoError(t, os.WriteFile(list, []byte("user\n1\n2\n"), 0o600))
	call(exitOK, "note", "--reason", "of a list: leavers", "--users", list)
	digest := func() string { return strings.SplitN(call(exitOK, "digest"), "\n", 2)[0] }
	before := digest()
	has := func(what string) (keys []string) {
		for _, key := range left() {
			text := fmt.Sprint(client.Get(ctx, key).Val(), client.LRange(ctx, key, 0, -1).Val(), client.HGetAll(ctx, key).Val())
			if strings.Contains(text, what) {
				keys = append(keys, key)
			}
		}
		return keys
	}

	require.Contains(t, call(exitUsage, "erase-user", "--reason", "request 88", "2"), "--confirm 2")
	require.Contains(t, call(exitUsage, "erase-user", "--confirm", "2", "2"), "--reason")
	require.Contains(t, call(exitUsage, "erase-user", "--reason", "x", "--confirm", "2"), "which user?")
	require.Contains(t, call(exitOK, "erase-user", "--reason", "request 88", "--dry-run", "2"), "DRY RUN")
	require.Contains(t, call(exitOK, "verify", "2"), "secret: bot", "a dry run erases nothing")
	var reports []acts.Report
	out := call(exitOK, "erase-user", "--reason", "request 88", "--who", "mira", "--confirm", "2", "--json", "2")
	require.NoError(t, json.Unmarshal([]byte(out), &reports))
	require.Equal(t, 2, reports[0].Erased.Lines)

	for _, asked := range [][]string{
		{"verify", "2"}, {"verify", "--json", "2"}, {"history"}, {"history", "--json"}, {"audit", "--json"}, {"status", "--json"},
		{"acts", "pending", "--all"}, {"export", "--format", "csv", "--why", "x", "-"},
	} {
		said := call(exitOK, asked...)
		require.NotContains(t, said, "secret", asked)
		for line := range strings.Lines(said) { // those that name the user
			if asked[0] == "verify" || strings.HasPrefix(line, "2,") {
				require.NotContains(t, line, "leavers", asked)
			}
		}
	}
	require.Contains(t, call(exitOK, "verify", "1"), "of a list: leavers")
	require.Contains(t, call(exitOK, "verify", "2"), "reasons and notes erased")
	require.Contains(t, call(exitOK, "verify", "2"), "REVOKED")
	require.Contains(t, call(exitOK, "verify", "3"), "of somebody else")
	require.Contains(t, call(exitOK, "history"), "request 88")
	require.Empty(t, has("secret"))
	require.Contains(t, call(exitOK, "status", "--prove"), "PROVEN: 3 users")
	require.Equal(t, before, digest(), "who is granted is the same")
	require.Contains(t, call(exitOK, "audit"), "PROVEN: all 3 users")
	require.Contains(t, call(exitOK, "run", "--json", "--group", "dated-fresh"), `"granted": 0`)

	copied := filepath.Join(t.TempDir(), "dated.ledger")
	call(exitOK, "export", "--why", "x", copied)
	whole := call(exitOK, "digest")
	require.NoError(t, client.FlushAll(ctx).Err())
	var imported bytes.Buffer
	require.Equal(t, exitOK, run([]string{"import", "--why", "x", copied}, &imported, &imported), "%s", &imported)
	require.Equal(t, whole, call(exitOK, "digest"))
	require.Contains(t, call(exitOK, "status", "--prove"), "PROVEN: 3 users")
	require.Contains(t, call(exitOK, "verify", "2"), "reasons and notes erased")
	require.Contains(t, call(exitOK, "erase-user", "--reason", "request 88", "--confirm", "2", "2"), "nothing to erase")
}
