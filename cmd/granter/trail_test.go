package main

import (
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
	for _, flag := range []string{"--now", "--force", "--throttle=7", "--resume"} {
		p := granter(t, with("run", flag))
		require.Equal(t, exitUsage, p.wait(), flag)
		require.Contains(t, p.err.String(), "say why")
	}
}
