package main

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// A budget is amended by two people; the system's user is one of them. The day's report says so.
func TestABudgetIsAmendedAtTheCommandLine(t *testing.T) {
	at := "--database=" + claimsDatabase(t)
	code, out, errs := ask("budget", at, "--to", "6000000000", "--why", "decision 14", "--json")
	require.Zero(t, code, errs)
	var b store.Budget
	require.NoError(t, json.Unmarshal([]byte(out), &b))
	require.EqualValues(t, 5_000_000_000, b.Now)
	number := b.Waiting().Number
	code, _, errs = ask("budget", at, "--confirm", strconv.Itoa(number), "--why", "says so", "--who", "lee")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "another person confirms it")
	code, out, errs = ask("budget", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "waits for another person: granter claims budget --confirm "+strconv.Itoa(number))
	for _, wrong := range [][]string{
		{"--to", "1"}, {"--why", "x"}, {"--confirm", "1"}, {"--to", "1", "--reject", "1", "--why", "x"},
		{"--to", "1", "--why", "900101-1234567"},
	} {
		code, _, _ = ask(append([]string{"budget", at}, wrong...)...)
		require.Equal(t, exitUsage, code, wrong)
	}

	s, p := storetest.At(t, filepath.Clean(at[len("--database="):]))
	_, err := s.AnswerBudget(t.Context(), p, number, true, store.Actor{Name: "lee", Duty: claims.Approver}, "it says so")
	require.NoError(t, err)
	code, out, errs = ask("budget", at)
	require.Zero(t, code, errs)
	require.Regexp(t, `now +6,000,000,000`, out)
	require.Contains(t, out, "lee: it says so")
	code, out, errs = ask("report", "money", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "the budget was 5,000,000,000 won, and is 6,000,000,000 since")
	code, _, errs = ask("prove", at)
	require.Zero(t, code, errs)
	code, _, errs = ask("budget", at, "--to", "7000000000", "--why", "more")
	require.Zero(t, code, errs)
	code, out, errs = ask("budget", at, "--reject", strconv.Itoa(number+2), "--why", "not yet")
	require.Zero(t, code, errs)
	require.Contains(t, out, "rejected")
}
