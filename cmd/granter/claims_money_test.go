package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each day somebody leaves a signed report of the money; anybody verifies all of them without the database, and sees which one
// was edited or is missing.
func TestTheMoneyOfEachDayIsReportedAndVerified(t *testing.T) {
	path := claimsDatabase(t)
	dir := t.TempDir()
	key, reports := filepath.Join(dir, "key"), filepath.Join(dir, "reports")
	require.Zero(t, run([]string{"audit", "keygen", key}, t.Output(), t.Output()))
	code, out, errs := ask("report", "money", "--database="+path)
	require.Zero(t, code, errs)
	require.Contains(t, out, "AGREES")
	for range 3 {
		code, out, errs = ask("report", "money", "--database="+path, "--key="+key, "--out="+reports)
		require.Zero(t, code, errs)
		require.Contains(t, out, "signed: "+reports)
	}
	require.Contains(t, out, "since the report before")
	files, err := filepath.Glob(reports + "/*.money")
	require.NoError(t, err)
	require.Len(t, files, 3)
	public := "--public=" + key + ".pub"
	code, out, errs = ask(append([]string{"report", "verify", public, "--korean"}, files...)...)
	require.Zero(t, code, errs)
	require.Contains(t, out, "VERIFIED: 3 reports")
	require.Contains(t, out, "지급 현황")
	code, _, errs = ask("report", "verify", public, files[0], files[2])
	require.NotZero(t, code)
	require.Contains(t, errs, "one between them is missing")
	text, err := os.ReadFile(files[1])
	require.NoError(t, err)
	text[len(text)/2]++
	require.NoError(t, os.WriteFile(files[1], text, 0o600))
	code, _, errs = ask(append([]string{"report", "verify", public}, files...)...)
	require.NotZero(t, code)
	require.Contains(t, errs, "report 2")
	code, _, errs = ask("report", "money", "--database="+path, "--key="+key)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--out")
}
