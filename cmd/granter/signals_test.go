package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// piped starts a granter whose whole output goes through one pipe, as "2>&1 | tee log" has it, and waits until it has said
// something. The function that it returns is the end of whoever reads.
func piped(t *testing.T, c command, until string) (p *exec.Cmd, hangUp func()) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	p = exec.Command("granter", c.args...)
	p.Stdout, p.Stderr, p.Stdin = w, w, strings.NewReader(c.stdin)
	p.Env = append(os.Environ(), c.env...)
	p.SysProcAttr = childAttributes()
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	require.NoError(t, w.Close())
	require.NoError(t, r.SetReadDeadline(time.Now().Add(patience)))
	lines := bufio.NewScanner(r)
	for more := true; more && !strings.Contains(lines.Text(), until); {
		more = lines.Scan()
	}
	require.Contains(t, lines.Text(), until)
	return p, func() { require.NoError(t, r.Close()) }
}

// unread runs a granter whose reader goes away after so many lines, as "granter history | head" has it; none: before it says
// anything. It returns the exit code, −1 for a death by a signal, and what it said on its standard error.
func unread(t *testing.T, c command, lines int) (code int, said string) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	p := exec.CommandContext(t.Context(), "granter", c.args...)
	var stderr bytes.Buffer
	p.Stdout, p.Stderr, p.Stdin = w, &stderr, strings.NewReader(c.stdin)
	p.Env, p.SysProcAttr = append(os.Environ(), c.env...), childAttributes()
	if lines == 0 {
		require.NoError(t, r.Close())
	}
	require.NoError(t, p.Start())
	require.NoError(t, w.Close())
	if lines > 0 {
		head := bufio.NewScanner(r)
		for lines > 0 && head.Scan() {
			lines--
		}
		require.NoError(t, r.Close())
	}
	_ = p.Wait()
	return p.ProcessState.ExitCode(), stderr.String()
}

// Whoever reads an answer may go away in the middle: it is said, the exit code is right, and what was to be done is done.
func TestWhoReadsAnAnswerMayGoAway(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	load := with("load", "--generate", "20000", "--first", "10", "--malformed", "0.1%") // far more lines than a pipe holds
	require.Zero(t, granter(t, load).wait())
	require.Zero(t, granter(t, with("run")).wait())
	key, reports := filepath.Join(t.TempDir(), "audit.key"), t.TempDir()+"/"
	require.Zero(t, granter(t, command{args: []string{"audit", "keygen", key}}).wait())
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("1\n2\n999\n"), 0o600))
	rejected := with("list")
	rejected.args = append([]string{"rejected"}, rejected.args...)
	for _, does := range []struct {
		command

		lines int
	}{
		{with("export", "--why=test", "--format=csv", "-"), 1},
		{with("audit", "--complete", "--key", key, "--report", reports, "--receipts"), 0},
		{with("revoke", "--reason=test", "--kind=fraud", "--users", users), 0},
		{with("status", "--prove"), 0},
		{with("history", "--json"), 0},
		{with("verify", "1", "999"), 0},
		{rejected, 0},
	} {
		code, said := unread(t, does.command, does.lines)
		require.Equal(t, exitFailed, code, "%v: %s", does.args, said)
		require.Contains(t, said, "broken pipe", "%v", does.args)
	}
	whole, err := filepath.Glob(reports + "*.report")
	require.NoError(t, err)
	require.Len(t, whole, 1)
	require.Zero(t, granter(t, command{args: []string{"audit", "verify", "--public", key + ".pub", whole[0]}}).wait())
	require.Zero(t, granter(t, command{args: []string{"receipt", "2", "--report", reports}}).wait())
	history := granter(t, with("history")).out.String()
	require.Regexp(t, `revoke: 3 of 3 users`, history, "all that could be done was done")
}

// slowly is a campaign of many users under a limit that keeps its runs from ending.
func slowly(t *testing.T) (with func(args ...string) command) {
	t.Helper()
	with = dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	load := with("load", "--generate", "100000", "--first", "10")
	require.Zero(t, granter(t, load).wait())
	require.Zero(t, granter(t, with("throttle", "1000", "--why", "test")).wait())
	return with
}

// statusOf is what granter status says.
func statusOf(t *testing.T, with func(args ...string) command) (s Status) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(granter(t, with("status", "--json")).out.String()), &s))
	return s
}

// inTheMiddle waits until a run has granted somebody.
func inTheMiddle(t *testing.T, with func(args ...string) command) {
	t.Helper()
	before := statusOf(t, with).Granted
	await(t, "somebody is granted", func() bool { return statusOf(t, with).Granted > before })
}

// requireDrained requires that the last run has said that it stopped, with a checkpoint behind all whom it granted.
func requireDrained(t *testing.T, with func(args ...string) command) {
	t.Helper()
	s := statusOf(t, with)
	for i := range s.Runs {
		require.Equal(t, grant.RunStopped, s.Runs[i].State)
	}
	require.Positive(t, s.Lag)
	require.Equal(t, s.Records-s.Lag, s.Granted)
}

// Ctrl-C reaches granter and the tee behind it alike: granter drains although nobody reads what it says about that.
func TestItDrainsWhenNobodyReadsItsOutputAnyMore(t *testing.T) {
	with := slowly(t)
	for _, args := range [][]string{{"run"}, {"run", "--json"}} {
		p, hangUp := piped(t, with(args...), "partitions assigned")
		inTheMiddle(t, with)
		hangUp()
		require.NoError(t, p.Process.Signal(syscall.SIGINT))
		_ = p.Wait()
		require.Equal(t, exitStopped, p.ProcessState.ExitCode(), p.ProcessState)
		requireDrained(t, with)
	}
}

// A run whose reader is gone goes on granting.
func TestItGoesOnWhenNobodyReadsItsOutput(t *testing.T) {
	with := slowly(t)
	p, hangUp := piped(t, with("run"), "partitions assigned")
	hangUp()
	require.Zero(t, granter(t, with("throttle", "off", "--why", "test")).wait()) // the run logs what it obeys
	_ = p.Wait()
	require.Equal(t, exitFailed, p.ProcessState.ExitCode(), "its summary is lost")
	require.Equal(t, grant.RunFinished, statusOf(t, with).Runs[0].State)
}

// A terminal that goes away ends a granter as SIGTERM does, unless it was started to outlive that.
func TestHangUp(t *testing.T) {
	// Where these tests were started by nohup, what they start would ignore hang-ups, too, unless there is a handler here.
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangUps) })
	with := slowly(t)
	t.Run("run", func(t *testing.T) {
		p := start(t, with("run", "--json"))
		p.awaitLog("partitions assigned")
		inTheMiddle(t, with)
		p.signal(syscall.SIGHUP)
		require.Equal(t, exitStopped, p.wait())
		require.Equal(t, "hangup", p.logged("stopping soon: granting what is in hand; a second signal stops at once", "signal"))
		requireDrained(t, with)
	})
	t.Run("run, nohup", func(t *testing.T) {
		c := with("run", "--json")
		nohup := exec.Command("sh", append([]string{"-c", `trap "" HUP; exec granter "$@"`, "sh"}, c.args...)...)
		p := begin(t, nohup, c)
		p.awaitLog("partitions assigned")
		p.signal(syscall.SIGHUP)
		p.signal(syscall.SIGTERM)
		require.Equal(t, exitStopped, p.wait())
		require.Equal(t, 1, strings.Count(p.err.String(), `"signal":`), "the hang-up must not count as the first of two signals")
		require.Equal(t, "terminated",
			p.logged("stopping soon: granting what is in hand; a second signal stops at once", "signal"))
	})
	t.Run("desk", func(t *testing.T) {
		access := t.TempDir() + "/access"
		token := granter(t, command{args: []string{"token", "alice", "operator"}})
		require.NoError(t, os.WriteFile(access, []byte(token.out.String()), 0o600))
		p := start(t, with("desk", "--desk", "127.0.0.1:0", "--desk-access", access, "--listen", "off"))
		p.awaitLog("serving the desk")
		p.signal(syscall.SIGHUP)
		require.Equal(t, exitOK, p.wait())
	})
	t.Run("load", func(t *testing.T) {
		p := start(t, with("load", "--generate", "1000000", "--rate", "10", "--json"))
		before := statusOf(t, with).Records
		await(t, "records arrive", func() bool { return statusOf(t, with).Records > before })
		p.signal(syscall.SIGHUP)
		require.Equal(t, exitStopped, p.wait())
		require.NotContains(t, p.err.String(), "checkpoint")
	})
}
