package main

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// A limit is written the same way wherever somebody writes one.
func TestALimitIsWrittenTheSameWayEverywhere(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "off": 0, "7": 7, "200000": 200_000, "200_000": 200_000, "200k": 200_000, "1.5M": 1_500_000, "0.5k": 500,
	} {
		var u usersPerSecond
		require.NoError(t, u.Set(text), text)
		require.Equal(t, usersPerSecond{want, true}, u, text)
	}
	for _, text := range []string{"", "-1", "1.5", "k", "1G", "2e13", "NaN", "Inf", "off ", "1,000"} {
		var u usersPerSecond
		require.ErrorContains(t, u.Set(text), "want users per second such as 200000, 200k or 1.5M; 0 or off is no limit", text)
		require.Equal(t, usersPerSecond{}, u)
	}
	require.Contains(t, newRun().Flags().Lookup("throttle").Usage, rateHelp)
	for _, c := range newOrders() {
		if c.Name() == "throttle" {
			require.Contains(t, c.Short, rateHelp)
		}
	}
}

// A launch replaces the limit of an earlier launch, repeats none, and undoes nothing that an operator has ordered.
func TestWhatALaunchOrdersOfItsLimit(t *testing.T) {
	act := func(via string, throttle int64) grant.HistoryEntry {
		return grant.HistoryEntry{Action: grant.ActionThrottle, Via: via, After: &grant.Control{Throttle: throttle}}
	}
	pause := grant.HistoryEntry{Action: grant.ActionPause, Via: "cli", After: &grant.Control{Paused: true}}
	for _, c := range []struct {
		flag string
		acts []grant.HistoryEntry
		want bool
	}{
		{"", nil, false},
		{"", []grant.HistoryEntry{act(viaLaunch, 5)}, false},
		{"2k", nil, true},
		{"off", nil, false},
		{"2k", []grant.HistoryEntry{act(viaLaunch, 5), pause}, true},
		{"off", []grant.HistoryEntry{act(viaLaunch, 5)}, true},
		{"2k", []grant.HistoryEntry{act(viaLaunch, 2000)}, false},
		{"off", []grant.HistoryEntry{act(viaLaunch, 2000), act(viaLaunch, 0)}, false},
		{"2k", []grant.HistoryEntry{act(viaLaunch, 5), act("api", 7)}, false},
		{"off", []grant.HistoryEntry{act(viaLaunch, 5), act("cli", 7)}, false},
	} {
		j := job{log: slog.New(slog.DiscardHandler), flags: new(runFlags)}
		if c.flag != "" {
			require.NoError(t, j.flags.throttle.Set(c.flag))
		}
		require.Equal(t, c.want, j.launchesLimit(c.acts), "%q after %+v", c.flag, c.acts)
	}
}
