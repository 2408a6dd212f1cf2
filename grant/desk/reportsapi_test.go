package desk

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func aReport(number string, i int, loss string) string {
	return fmt.Sprintf(`{"number": %q, "business_number": %q, "reported": "2022-10-20T09:00:00+09:00", "reported_loss": %s,
		"name": "김사장", "phone": "010-1234-0001"}`, number, storetest.Number(i), loss)
}

func (w *world) reports(role Role, more string, rows ...string) answer {
	w.Helper()
	return w.ask(request{method: http.MethodPost, path: pathReports, token: w.tokens[role],
		body: `{"reports": [` + strings.Join(rows, ",") + `]` + more + `}`})
}

// Reports that came elsewhere are imported by the API as by the command, and shown with the claim of their business.
func TestEarlierReportsAreImportedByTheAPI(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	number := w.file(aClaim(t, 1), "").filed().Claim
	rows := []string{aReport("A-1", 1, "350000"), aReport("A-2", 2, "0"), aReport("A-1", 2, "5"),
		`{"number": "221020-1000123", "reported": 5, "sum": 3}`, `{"business_number": "x"}`, `[]`}
	var dry, got, again importedReports
	w.reports(takesClaims, `, "dry_run": true`, rows...).into(&dry)
	require.Equal(t, []any{true, 2, 4}, []any{dry.DryRun, dry.Taken, dry.Wrong})
	w.reports(takesClaims, "", rows...).into(&got)
	require.Equal(t, "6 2 0 4 1", fmt.Sprint(got.Rows, got.Taken, got.Again, got.Wrong, got.Linked))
	require.EqualValues(t, "PARTIAL", got.Status)
	outcomes, fields := "", []string{}
	for _, r := range got.Reports {
		outcomes += string(r.Outcome) + " "
		for _, p := range r.Problems {
			fields = append(fields, p.Field)
		}
	}
	require.Equal(t, "taken taken refused refused refused refused ", outcomes)
	require.Equal(t, []string{
		"number", "reported", "", "number", "business_number", "reported_loss",
		"number", "business_number", "reported", "reported_loss", "",
	}, fields)
	w.reports(takesClaims, "", rows[:2]...).into(&again)
	require.Equal(t, []any{intake.Success, 2}, []any{again.Status, again.Again}, "sent again it is no second one")
	var failed importedReports
	w.reports(takesClaims, "", rows[4]).into(&failed)
	require.EqualValues(t, "FAILED", failed.Status)

	answer := w.get(takesClaims, pathClaims+"/"+number)
	var now ClaimNow
	answer.into(&now)
	require.Len(t, now.Reports, 1)
	require.Equal(t, "A-1 2022-10-20T09:00:00+09:00 350000",
		fmt.Sprintf("%s %s %d", now.Reports[0].Number, now.Reports[0].Reported.Format(time.RFC3339), now.Reports[0].Loss))
	require.NotContains(t, string(answer.body), "010-1234", "who reported is not said")
	looks, err := w.cfg.Claims.Store.Access(t.Context(), store.AccessFilter{Claim: store.OfReport + "A-1"})
	require.NoError(t, err)
	require.Len(t, looks, 1, "the access log has what was shown")
	require.Equal(t, []string{"A-1"}, looks[0].Reports)
	proof, err := w.cfg.Claims.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	require.Equal(t, 2, proof.Reports)
	require.NotContains(t, w.log.String(), "010-1234")
}

func TestWhatIsNoImportOfReports(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	row := aReport("A-1", 1, "5")
	w.reports(takesClaims, "").is(http.StatusBadRequest)
	w.reports(takesClaims, `, "dry_run": null`, row).is(http.StatusBadRequest)
	w.reports(takesClaims, `, "x": 1`, row).is(http.StatusBadRequest)
	w.reports(takesClaims, "", strings.Split(strings.Repeat("1,", maxClaims)+"1", ",")...).is(http.StatusBadRequest)
	w.reports(takesClaims, "", `"`+strings.Repeat("x", maxClaimsBytes)+`"`).is(http.StatusRequestEntityTooLarge)
	for _, role := range []Role{RoleAuditor, "claims-approver", RoleOperator} {
		w.reports(role, "", row).is(http.StatusForbidden)
	}
	require.Contains(t, newWorld(t).reportsBy(takesClaims, row).is(http.StatusNotFound), "--claims")
}

// reportsBy sends reports with a token of its own.
func (w *world) reportsBy(role Role, row string) answer {
	return w.ask(request{method: http.MethodPost, path: pathReports, token: w.with(role), body: `{"reports": [` + row + `]}`})
}
