package main

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// readNothing are the commands that show nothing of somebody's claim, or of which another test sees the line, and why.
var readNothing = map[string]string{
	"access":          "who has read, and the numbers of claims",
	"amend":           "the programme's windows",
	"assess":          "facts of a file",
	"budget":          "the programme's budget",
	"check":           "a programme",
	"code":            "history has it as a step of its own",
	"council agenda":  "as council minutes",
	"council close":   "as council minutes",
	"council meet":    "when the council meets",
	"council members": "who is on the council",
	"council minutes": "TestACouncilDecidesOnTheCommandLine",
	"council vote":    "as council minutes",
	"decide":          "history has it as a step of its own",
	"erase":           "history has it as a step of its own",
	"freeze":          "who stopped decisions",
	"import":          "the caller's own file",
	"notify":          "owners are told, and nobody else",
	"process":         "how many claims were decided",
	"prove":           "hashes, and the numbers of claims",
	"purge":           "how much is removed",
	"receive":         "how many claims were taken in",
	"reconcile":       "payments, by their keys",
	"report":          "sums of all claims",
	"report money":    "sums of all claims",
	"report verify":   "reports of files",
	"reports erase":   "as reports show",
	"reports import":  "the caller's own file",
	"reports list":    "as reports show",
	"reports remind":  "owners are told, and nobody else",
	"reports show":    "TestEarlierReportsOnTheCommandLine",
	"serve":           "the owner's own page",
	"simulate":        "sums of all claims",
	"states":          "the table of states",
	"watch":           "sums of all claims",
}

// Every command that shows something of somebody's claim leaves a line of the access log before it does. A command that is new is
// in one of the two lists, or this fails.
func TestReadsAtTheCommandLineLeaveALine(t *testing.T) {
	dir := t.TempDir()
	where := filepath.Join(dir, "claims.db")
	owed(t, where)
	leaves := map[string]struct {
		args []string
		what store.ReadWhat
	}{
		"list":      {nil, store.ReadList},
		"show":      {[]string{"c-000000"}, store.ReadClaim},
		"documents": {[]string{"c-000000"}, store.ReadClaim},
		"notices":   {nil, store.ReadList},
		"pay":       {[]string{"--again", "--out", filepath.Join(dir, "again.csv")}, store.ReadOwner},
	}
	walkCommands(newClaims(), "", func(name string) {
		if readNothing[name] != "" {
			return
		}
		one, known := leaves[name]
		require.True(t, known, "%s: does it show something of a claim? Then it leaves a line; else say here why not", name)
		before := looks(t, where)
		code, _, errs := ask(slices.Concat(strings.Fields(name), one.args, []string{"--database", where})...)
		require.Zero(t, code, errs)
		after := looks(t, where)
		require.Len(t, after, len(before)+1, name)
		require.Equal(t, one.what, after[0].What, name)
		require.Equal(t, store.CommandLine, after[0].From, name)
		require.NotEmpty(t, after[0].By.Name, name)
		delete(leaves, name)
	})
	require.Empty(t, slices.Collect(maps.Keys(leaves)), "they are no commands")
}

// walkCommands calls visit with the name of each command below another one that does something itself.
func walkCommands(cmd *cobra.Command, above string, visit func(name string)) {
	for _, c := range cmd.Commands() {
		name := strings.TrimSpace(above + " " + c.Name())
		if c.Runnable() {
			visit(name)
		}
		walkCommands(c, name, visit)
	}
}

// owed makes a database with a claim whose payment was sent, and whose owner was told something.
func owed(t *testing.T, where string) {
	t.Helper()
	s, p := storetest.At(t, where)
	won := claims.Won(30_000)
	c := storetest.Receive(t, s, p, 1, 100_000)[0]
	require.NoError(t, s.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules},
		{Claim: c, Action: store.Identify, By: store.Rules, Change: store.Change{Identity: &store.Identity{Complete: true}}},
		{Claim: c, Action: claims.Approve, By: store.Rules, Reason: "tier 1", Change: store.Change{Owed: &won}},
	}, nil))
	_, err := s.Declare(t.Context(), p, 1, store.Actor{Name: "choi", Duty: claims.Payer})
	require.NoError(t, err)
	_, err = s.HandOver(t.Context(), p.Name, 0)
	require.NoError(t, err)
	_, err = s.Collect(t.Context())
	require.NoError(t, err)
}

// looks are who has read the claim, the latest first.
func looks(t *testing.T, where string) []store.Looked {
	t.Helper()
	code, out, errs := ask("access", "--database", where, "--claim", "c-000000", "--json")
	require.Zero(t, code, errs)
	var got struct {
		Access []store.Looked `json:"access"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	return got.Access
}
