package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/korean"

	"github.com/granter/granter/grant/claims/identity/identitytest"
)

const fixedShape = "../../deploy/programmes/bank-fixed.yaml"

// The bank takes lines of fixed width in CP949, and answers in them; what its file has no room for is not sent.
func TestTheBanksFilesAreOfTheFormThatADataFileDescribes(t *testing.T) {
	at := "--database=" + claimsDatabase(t)
	server := httptest.NewServer(&identitytest.Services{})
	defer server.Close()
	t.Setenv("GRANTER_BUSINESS_KEY", "key")
	t.Setenv("GRANTER_ACCOUNT_TOKEN", "token")
	code, _, errs := ask("process", at, "--business-service", server.URL, "--account-service", server.URL)
	require.Zero(t, code, errs)

	dir := t.TempDir()
	text, err := os.ReadFile(fixedShape)
	require.NoError(t, err)
	narrow, orders := filepath.Join(dir, "narrow.yaml"), filepath.Join(dir, "orders.txt")
	change := strings.NewReplacer("account, width: 16", "account, width: 6", "holder, width: 20", "holder, width: 30")
	require.NoError(t, os.WriteFile(narrow, []byte(change.Replace(string(text))), 0o600))
	code, _, errs = ask("pay", at, "--out", orders, "--shape", narrow)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "field account: it is longer than its field")
	require.Contains(t, errs, "the payments are declared and not sent")
	require.NoFileExists(t, orders)
	code, out, errs := ask("reconcile", at, "--json")
	require.Zero(t, code, errs)
	require.NotContains(t, out, `"sent"`)

	code, out, errs = ask("pay", at, "--out", orders, "--shape", fixedShape)
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 orders of 30,000 won together in "+orders)
	written, err := os.ReadFile(orders)
	require.NoError(t, err)
	lines := strings.Split(string(written), "\r\n")
	require.Len(t, lines, 4)
	holder, err := korean.EUCKR.NewDecoder().String(lines[1][57:77])
	require.NoError(t, err)
	require.Equal(t, "김사장", strings.TrimSpace(holder))
	payment := strings.TrimSpace(lines[1][8:38])

	statement := filepath.Join(dir, "statement.txt")
	say := func(end string) {
		require.NoError(t, os.WriteFile(statement, []byte(fmt.Sprintf("S%-119s\r\nR%-20s%-30s%-4s%013d%04d%-48s\r\n%s", "", "r-1",
			payment, "0000", 30_000, 1, "", end)), 0o600))
	}
	say("")
	code, _, errs = ask("reconcile", statement, at, "--shape", fixedShape)
	require.Equal(t, exitUsage, code, "cut off")
	require.Contains(t, errs, "a line is missing")
	say(fmt.Sprintf("E%07d%015d%-97s\r\n", 1, 30_000, ""))
	code, _, errs = ask("reconcile", statement, at)
	require.Equal(t, exitUsage, code, "that is no CSV")
	require.Contains(t, errs, "has no column reference")
	code, out, errs = ask("reconcile", statement, at, "--shape", fixedShape)
	require.Zero(t, code, errs)
	require.Contains(t, out, "answers: 1 applied")
	code, out, errs = ask("show", "shown", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "shown: paid")

	for _, wrong := range [][]string{
		{"pay", "--topic", "payouts", "--shape", fixedShape}, {"reconcile", "--shape", fixedShape},
		{"pay", "--out", orders + ".2", "--shape", "nothing.yaml"},
	} {
		code, _, errs = ask(append(wrong, at)...)
		require.Equal(t, exitUsage, code, errs)
	}
}
