package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The audit trail says what happened, not what was asked for: a run that was to start before its date, and waits because
// the start was postponed, has not started early.
func TestTheTrailSaysWhatHappened(t *testing.T) {
	with := dated(t, "starts_at: "+in(time.Hour))
	says := func(args ...string) string {
		t.Helper()
		p := granter(t, with(args...))
		require.Zero(t, p.wait(), p.err.String())
		return p.out.String()
	}
	says("postpone", "--until="+in(10*time.Hour), "--why=not yet")
	p := start(t, with("run", "--json", "--now", "--why=rehearsal", "--who=minji"))
	p.awaitLog("waiting for the campaign to start")
	p.signal(syscall.SIGTERM)
	require.Equal(t, exitStopped, p.wait())
	require.NotContains(t, says("history"), "started before its date")

	says("postpone", "--cancel", "--why=now")
	require.Zero(t, granter(t, with("run", "--json", "--now", "--why=rehearsal", "--who=minji")).wait())
	require.Regexp(t, `\(says minji\) +run +start-early +started before its date +rehearsal`, says("history"))

	require.Contains(t, says("resume", "--why=to see"), "nothing: it was neither paused nor aborted nor ordered to finish")
	require.Contains(t, says("pause", "--why=to look"), ": paused\n")
	require.Contains(t, says("pause", "--why=to look"), ": nothing: it was paused\n")
	require.Contains(t, says("resume", "--why=seen"), ": paused → goes on\n")
	require.Regexp(t, `: paused until \d{4}-`, says("pause", "--for=1s", "--why=a second"))
	require.Eventually(t, func() bool { return strings.Contains(says("history"), "the pause that") },
		time.Minute, 50*time.Millisecond, "it ends by itself, also where nobody runs")
	require.Contains(t, says("pause", "--why=to look"), ": paused\n")
	require.Contains(t, says("resume", "--why=seen"), ": paused → goes on\n")
	require.Regexp(t, `: no limit → 1,000 users/s until \d{4}-`, says("throttle", "1k", "--for=2h", "--why=a while"))
	require.Contains(t, says("throttle", "off", "--why=enough"), ": 1,000 users/s → no limit\n")
	for _, refused := range [][]string{{"pause", "--for=0s"}, {"throttle", "off", "--for=2h"}, {"pause", "--for=-1h"}} {
		require.Equal(t, exitUsage, granter(t, with(append(refused, "--why=x")...)).wait(), refused)
	}
	for _, flag := range []string{"--now", "--force", "--throttle=7", "--throttle=off", "--resume"} {
		p := granter(t, with("run", flag))
		require.Equal(t, exitUsage, p.wait(), flag)
		require.Contains(t, p.err.String(), "say why")
	}
}
