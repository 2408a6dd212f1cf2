package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// dated makes a campaign with dates, on a topic with three users.
func dated(t *testing.T, dates string) (with func(args ...string) command) {
	t.Helper()
	return datedOf(t, dates, "source: {topic: dated}", "1", "2", "3")
}

// datedOf has another source, which may bring items along.
func datedOf(t *testing.T, dates, source string, ids ...string) (with func(args ...string) command) {
	t.Helper()
	servers, err := startInProcess()
	require.NoError(t, err)
	t.Cleanup(servers.close)
	if !strings.Contains(source, "items:") {
		source += "\nitems: [{id: thing, kind: item, validity: permanent}]"
	}
	spec := filepath.Join(t.TempDir(), "dated.yaml")
	require.NoError(t, os.WriteFile(spec, fmt.Appendf(nil, `campaign: dated
title: Anything
%s
%s
`, dates, source), 0o600))
	with = func(args ...string) command {
		return command{env: servers.environment(), args: append([]string{args[0], "-f", spec}, args[1:]...)}
	}
	load := with("load", "--ids", "-", "--partitions", "1")
	load.stdin = strings.Join(ids, "\n") + "\n"
	require.Zero(t, granter(t, load).wait())
	return with
}

func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

// Before its date a campaign waits, says so, grants nobody, and obeys SIGTERM.
func TestBeforeItsDate(t *testing.T) {
	with := dated(t, "starts_at: "+in(time.Hour))
	p := start(t, with("run", "--json"))
	p.awaitLog("waiting for the campaign to start")
	var s Status
	await(t, "status shows the run", func() bool {
		status := granter(t, with("status", "--json"))
		require.NoError(t, json.Unmarshal([]byte(status.out.String()), &s))
		return len(s.Runs) == 1
	})
	require.Equal(t, grant.RunWaiting, s.Runs[0].State)
	require.Zero(t, s.Granted)
	require.EqualValues(t, 3, s.Lag)
	require.Nil(t, s.LastCheckpoint)
	require.Equal(t, exitNotGranted, granter(t, with("verify", "2")).wait())

	p.signal(syscall.SIGTERM)
	require.Equal(t, exitStopped, p.wait())
	require.Equal(t, grant.RunStopped, p.summary().State)
	require.Contains(t, p.err.String(), "start it again to continue")
}

// A dry run does not wait for the date, and records nothing.
func TestDryRunBeforeItsDate(t *testing.T) {
	with := dated(t, "starts_at: "+in(time.Hour))
	p := granter(t, with("run", "--dry-run", "--json"))
	require.Zero(t, p.wait(), p.err.String())
	var dry Rehearsal
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &dry))
	require.EqualValues(t, 3, dry.WouldGrant)
	require.Contains(t, granter(t, with("history")).out.String(), "nobody has ordered anything")
}

// On its date it starts by itself, and not before.
func TestOnItsDate(t *testing.T) {
	var with func(args ...string) command
	var p *process
	const waiting = "waiting for the campaign to start"
	for soon := 3 * time.Second; p == nil || !p.says(waiting); soon *= 2 { // a busy machine may not be there in time
		with = dated(t, "starts_at: "+in(soon))
		p = start(t, with("run", "--json"))
		await(t, "it waits, or is over", func() bool { return p.says(waiting) || !p.running() })
	}
	require.Zero(t, p.wait())
	require.EqualValues(t, 3, p.summary().Granted)
	var answers []lookup.Answer
	verify := granter(t, with("verify", "--json", "1", "2", "3"))
	require.NoError(t, json.Unmarshal([]byte(verify.out.String()), &answers))
	var s Status
	require.NoError(t, json.Unmarshal([]byte(granter(t, with("status", "--json")).out.String()), &s))
	for _, v := range answers {
		require.False(t, v.GrantedAt.Before(s.StartsAt), "user %d was granted at %s, the campaign starts at %s",
			v.User, v.GrantedAt, s.StartsAt)
	}
}

// A run that follows its topic ends by itself when the campaign does, also while nothing happens. After that nobody is
// granted anything.
func TestAtItsEnd(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00\nends_at: "+in(4*time.Second))
	p := start(t, with("run", "--json", "--follow"))
	require.Equal(t, exitOK, p.wait())
	require.EqualValues(t, 3, p.summary().Granted)
	load := with("load", "--ids", "-")
	load.stdin = "4\n"
	require.Zero(t, granter(t, load).wait())
	require.Equal(t, exitPreflight, granter(t, with("run")).wait())
	p = granter(t, with("run", "--force", "--why=a test"))
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, tail(p.err.String(), 1), "the campaign has ended")
	require.Equal(t, exitNotGranted, granter(t, with("verify", "4")).wait())
}
