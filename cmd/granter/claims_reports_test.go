package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// Reports are imported from a file that comes back, listed, shown with a reason, erased, and proven.
func TestEarlierReportsOnTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	where := filepath.Join(dir, "claims.db")
	s, p := storetest.At(t, where)
	_, err := s.Receive(t.Context(), []store.Filing{storetest.Filing(p, 0, 400_000)}, nil)
	require.NoError(t, err)
	at := "--database=" + where
	file := filepath.Join(dir, "reports.csv")
	rows := []string{
		"신고번호,사업자등록번호,신고일시,신고손실,전화번호",
		"2022-1," + storetest.Number(0).String() + `,2022-10-20T09:00:00+09:00,"350,000",010-1234-0000`,
		"2022-2," + storetest.Number(1).String() + ",2022-10-21,90000,010-9876-5432",
		"2022-3,120-81-47522,2022-10-21,1,",
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(rows, "\n")), 0o600))
	code, out, errs := ask("reports", "import", file, at, "--dry-run")
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "PARTIAL: of 3 reports 2 would be taken in, 0 were there already, 1 are wrong; 1 businesses "+
		"have a claim")
	code, out, errs = ask("reports", "import", file, at, "--json")
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, `"taken": 2`)
	back, err := os.ReadFile(filepath.Join(dir, "reports.result.csv"))
	require.NoError(t, err)
	require.Contains(t, string(back), "granter_report,granter_error")
	require.Contains(t, string(back), "one of its digits is wrong")
	code, out, errs = ask("reports", "import", file, at)
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "0 were taken in, 2 were there already")

	code, out, errs = ask("reports", "list", at, "--limit", "1")
	require.Zero(t, code, errs)
	require.Contains(t, out, "2022-1 ")
	require.NotContains(t, out, "2022-2 ")
	code, out, errs = ask("reports", "list", at, "--limit", "1", "--after", "2022-1")
	require.Zero(t, code, errs)
	require.Contains(t, out, "2022-2 ", "the next page")
	code, out, errs = ask("reports", "list", "--not-filed", at)
	require.Zero(t, code, errs)
	require.NotContains(t, out, "2022-1 ")
	require.Contains(t, out, "2 businesses reported (2 reports, 440,000 won): 1 handed in a claim, 1 did not")
	require.NotContains(t, out, "9876", "lists say nothing of people")
	code, _, errs = ask("reports", "show", "2022-2", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--why")
	code, out, errs = ask("reports", "show", "2022-2", at, "--why", "she called")
	require.Zero(t, code, errs)
	require.Contains(t, out, "010-9876-5432")
	require.Contains(t, out, "has handed in no claim")
	code, out, errs = ask("access", at, "--claim", store.OfReport+"2022-2", "--json")
	require.Zero(t, code, errs)
	var seen struct {
		Access []store.Looked `json:"access"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &seen))
	require.Len(t, seen.Access, 3, "two lists, and who it is")
	require.Equal(t, "she called", seen.Access[0].Why)

	code, _, errs = ask("reports", "remind", at, "--dry-run")
	require.Equal(t, exitUsage, code, "no window is open today")
	require.Contains(t, errs, "claims are not taken now")
	code, out, errs = ask("show", "c-000000", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "reported before: 2022-1 on 2022-10-20")
	require.Contains(t, out, "350,000 won")
	code, _, errs = ask("reports", "erase", "2022-2", at, "--as", "intake", "--why", "asked")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "who reported is erased in the duty privacy")
	code, _, errs = ask("reports", "erase", "2022-2", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--why")
	code, out, errs = ask("reports", "show", "2022-2", at, "--why", "is it still there?")
	require.Zero(t, code, errs)
	require.Contains(t, out, "010-9876-5432")
	code, out, errs = ask("reports", "erase", "2022-2", at, "--why", "asked", "--json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"erased": true`)
	code, _, errs = ask("reports", "erase", "2022-9", at, "--why", "asked")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "there is no such earlier report")
	code, out, errs = ask("prove", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "2 earlier reports")
}

// Those who reported and did not file are reminded while claims are taken.
func TestReportersAreRemindedOnTheCommandLine(t *testing.T) {
	where := filepath.Join(t.TempDir(), "claims.db")
	s, p := storetest.At(t, where)
	_, err := s.ImportReports(t.Context(), p.Name, []store.ReportRow{{
		Reported: store.Reported{Number: "2022-1", Unit: storetest.Number(0), At: time.Now(), Loss: 1},
		By:       store.Reporter{Phone: "010-9876-5432"},
	}}, store.ReportFile{Name: "reports.csv", Rows: 1}, store.Actor{Name: "kim", Duty: claims.Intake}, false)
	require.NoError(t, err)
	at := "--database=" + where
	until := time.Now().Add(48 * time.Hour).In(p.Zone).Format("2006-01-02T15:04:05")
	code, _, errs := ask("amend", "additional-reports", at, "--until", until, "--why", "few have filed")
	require.Zero(t, code, errs)
	code, out, errs := ask("reports", "remind", at, "--dry-run")
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 reports and have handed in no claim would be reminded")
	for _, want := range []string{`"reports": 1`, `"reports": 0`} {
		code, out, errs = ask("reports", "remind", at, "--why", "two days are left", "--json")
		require.Zero(t, code, errs)
		require.Contains(t, out, want)
	}
	code, out, errs = ask("notices", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "report:outage-2022:2022-1")
	code, _, errs = ask("reports", "remind", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--dry-run")
}
