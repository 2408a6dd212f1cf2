package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
)

// What an auditor does: a key, a signed report, and one user's receipt, each verified by what others can verify it with.
func TestAReportAndAReceiptAreVerifiedByOthers(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	dir := t.TempDir()
	key, reports := filepath.Join(dir, "audit.key"), filepath.Join(dir, "reports")+"/"
	does := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, want, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		return stdout.String() + stderr.String()
	}
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	asks := func(want int, args ...string) string { t.Helper(); return does(want, with(args...).args...) }
	does(exitOK, "audit", "keygen", key, "--name", "auditor")
	require.Contains(t, does(exitUsage, "audit", "keygen", key), "is there already")
	asks(exitNotProven, "audit", "--complete")
	asks(exitOK, "run")
	for range 2 {
		out := asks(exitOK, "audit", "--complete", "--key", key, "--report", reports, "--receipts")
		require.Contains(t, out, "PROVEN: all 3 users")
		require.Contains(t, out, "signed by auditor")
	}
	require.Contains(t, asks(exitOK, "audit", "--complete", "--independent"), "franz-go", "the second opinion is the same")
	files, err := filepath.Glob(reports + "dated-*.report")
	require.NoError(t, err)
	require.Len(t, files, 2)
	verify := append([]string{"audit", "verify", "--public", key + ".pub"}, files...)
	require.Contains(t, does(exitOK, verify...), "VERIFIED: 2 reports, signed by auditor")
	require.Contains(t, does(exitFailed, append(verify, files[0])...), "does not continue the report before it")
	var verified []Verified
	require.NoError(t, json.Unmarshal([]byte(does(exitOK, append(verify, "--json")...)), &verified))
	require.Equal(t, audit.Proven, verified[1].Verdict)
	require.Equal(t, verified[0].SHA256, verified[1].Report.Previous.SHA256)
	page, err := os.ReadFile(files[1] + ".html")
	require.NoError(t, err)
	require.Contains(t, string(page), verified[1].SHA256)

	receipt := filepath.Join(dir, "receipt.json")
	require.Contains(t, does(exitOK, "receipt", "2", "--report", files[1], "--out", receipt), "user 2: granted dated at")
	require.Contains(t, does(exitOK, "receipt", "verify", "--public", key+".pub", receipt), "VERIFIED")
	require.Contains(t, does(exitNotGranted, "receipt", "7", "--report", reports), "not granted when the report was made")
	require.Contains(t, does(exitUsage, "receipt", "2", "--report", dir+"/nowhere/"), "neither a report nor a directory")
	require.Contains(t, does(exitUsage, "receipt", "2", "--report", key), "has no receipts beside it")
	text, err := os.ReadFile(receipt)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(receipt, bytes.Replace(text, []byte(`"user": "2"`), []byte(`"user": "3"`), 1), 0o600))
	require.Contains(
		t,
		does(exitFailed, "receipt", "verify", "--public", key+".pub", receipt),
		"does not lead to the signed root",
	)

	report, err := os.ReadFile(files[1])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files[1], bytes.Replace(report, []byte(`"granted": 3`), []byte(`"granted": 4`), 1), 0o600))
	require.Contains(t, does(exitFailed, verify...), "it was edited")
	info, err := os.Stat(files[0] + receiptsSuffix)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it is as secret as the ledger")
}

// A receipt that support fetched from a desk convinces somebody who has Python and the public key, and nothing of granter.
func TestPythonVerifiesAReceiptOfADesk(t *testing.T) {
	python, err := exec.LookPath("python3")
	require.NoError(t, err, "deploy/dev/install.sh needs python3, too")
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	dir := t.TempDir()
	key, reports, access := filepath.Join(dir, "audit.key"), filepath.Join(dir, "reports"), filepath.Join(dir, "access")
	require.Zero(t, granter(t, command{args: []string{"audit", "keygen", key}}).wait())
	require.Zero(t, granter(t, with("run")).wait())
	token, line, err := desk.NewToken("minji", desk.RoleSupport)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(access, []byte(line+"\n"), 0o600))
	d := start(t, with("desk", "--desk=127.0.0.1:0", "--listen=off", "--desk-access="+access, "--reports="+reports))
	d.awaitLog("serving the desk")
	page, _ := d.logged("serving the desk", "page").(string)
	ask := func(user string) (int, []byte) {
		t.Helper()
		path := page + "api/v1/campaigns/dated/users/" + user + "/receipt"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, body
	}
	defer http.DefaultClient.CloseIdleConnections()
	code, body := ask("2")
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, string(body), "no_receipts")
	audited := with("audit", "--complete", "--key", key, "--report", reports+"/", "--receipts")
	require.Zero(t, granter(t, audited).wait())
	await(t, "the desk sees the report", func() bool { code, body = ask("2"); return code == http.StatusOK })
	receipt := filepath.Join(dir, "receipt.json")
	require.NoError(t, os.WriteFile(receipt, body, 0o600))
	verifier := filepath.Join("..", "..", "docs", "verify_receipt.py")
	out, err := exec.CommandContext(t.Context(), python, verifier, key+".pub", receipt).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "VERIFIED: user 2 was granted dated")
	require.Zero(t, granter(t, command{args: []string{"receipt", "verify", "--public", key + ".pub", receipt}}).wait())
	code, body = ask("7")
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, string(body), "not_in_report")
	reads := granter(t, command{env: with("x").env, args: []string{"access", "report", "--entries"}})
	require.Zero(t, reads.wait(), reads.err.String())
	require.Contains(t, reads.out.String(), ",receipt,2,")
}

// What an audit found is repaired by the file that it leaves, and the next audit proves.
func TestWhatAnAuditFoundIsRepaired(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	require.Zero(t, granter(t, with("run")).wait())
	address := ""
	for _, setting := range with("run").env {
		if a, is := strings.CutPrefix(setting, "GRANTER_REDIS="); is {
			address = a
		}
	}
	client, err := ledger.Connect(ledger.Options{Addrs: []string{address}})
	require.NoError(t, err)
	defer client.Close()
	const granted, journal = "granter:{dated/0}:granted", "granter:{dated/0}:journal"
	text, err := client.LIndex(t.Context(), journal, 0).Result()
	require.NoError(t, err)
	require.NoError(t, client.RPush(t.Context(), journal, text).Err())     // of all three
	require.NoError(t, client.SetBit(t.Context(), granted, 2, 0).Err())    // an entry without a bit
	require.NoError(t, client.SetBit(t.Context(), granted, 4000, 1).Err()) // a bit without an entry
	ids := filepath.Join(t.TempDir(), "found.csv")
	require.Equal(t, exitRefuted, granter(t, with("audit", "--ids", ids)).wait())
	code, said := unread(t, with("audit"), 0)
	require.Equal(t, exitRefuted, code, "the verdict: %s", said)
	require.Contains(t, said, "the standard output cannot be written")
	dry := granter(t, with("reconcile", "--dry-run", ids))
	require.Zero(t, dry.wait(), dry.err.String())
	require.Contains(t, dry.out.String(), "would be removed")
	require.Equal(t, exitRefuted, granter(t, with("audit")).wait(), "a dry run changes nothing")
	p := granter(t, with("reconcile", "--why=INC-12: a bad night", ids))
	require.Zero(t, p.wait(), p.err.String())
	require.Contains(t, p.out.String(), "3 users: several entries had them: all but the first removed")
	p = granter(t, with("audit", "--complete"))
	require.Zero(t, p.wait(), p.out.String())
	require.Zero(t, granter(t, with("status", "--prove")).wait())
	require.Contains(t, granter(t, with("verify", "4000")).out.String(), "INC-12: a bad night")
	require.Contains(t, granter(t, with("history")).out.String(), "INC-12: a bad night")
}

func TestFilesOfAnAuditThatChangeNothingAreRefused(t *testing.T) {
	for says, args := range map[string][]string{
		"name the key by --key":           {"--report", "r"},
		"say where to leave it":           {"--key", "k"},
		"change nothing without --report": {"--receipts"},
		"no such file":                    {"--key", filepath.Join(t.TempDir(), "none"), "--report", "r"},
		"want a duration above 0":         {"--follow", "--every", "0s"},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"audit", "-f", specFileOf(t)}, args...)
		require.Equal(t, exitUsage, run(args, &stdout, &stderr), "%s", &stderr)
		require.Contains(t, stderr.String(), says)
	}
}
