package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/audit"
)

// A clock that was an hour ahead is set back: the reports that come then are behind those of before, in their chain and by their
// names, and whoever verifies them is told.
func TestAuditsAfterAClockWasSetBackAreOneChain(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	does := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitOK, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		return stdout.String() + stderr.String()
	}
	key := filepath.Join(t.TempDir(), "audit.key")
	reports := filepath.Join(t.TempDir(), "reports") + "/"
	does("audit", "keygen", key)
	does(with("run").args...)
	audited := func() []string {
		does(with("audit", "--key", key, "--report", reports, "--receipts").args...)
		files, err := filepath.Glob(reports + "*.report")
		require.NoError(t, err)
		return files
	}
	first := audited()[0]
	signer, verifier, err := audit.Signer(key)
	require.NoError(t, err)
	text, err := os.ReadFile(first)
	require.NoError(t, err)
	r, err := audit.Open(text, verifier)
	require.NoError(t, err)
	r.At = r.At.Add(time.Hour)
	text, err = r.Sign(signer)
	require.NoError(t, err)
	require.NoError(t, os.Remove(first))
	require.NoError(t, os.WriteFile(filepath.Join(reports, audit.FileName(r.Campaign, r.At)), text, 0o600))

	audited()
	files := audited()
	require.Len(t, files, 3)
	verify := []string{"audit", "verify", "--public", key + ".pub"}
	said := does(append(verify, files...)...)
	require.Contains(t, said, "VERIFIED: 3 reports")
	require.Contains(t, said, "a clock was set back")
	require.NotContains(t, said, "which is not among them")
	require.Contains(t, does(append(verify, files[1:]...)...), "which is not among them")
	newest, err := audit.Newest(reports, r.Campaign, audit.ReceiptsSuffix)
	require.NoError(t, err)
	require.Equal(t, files[2]+receiptsSuffix, newest, "receipts are made by the last one")
}
