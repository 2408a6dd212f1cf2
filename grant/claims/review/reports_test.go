package review

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// What was reported before is beside the claim of the business, found by its number, and counted; who reported is on no page.
func TestEarlierReportsAreBesideTheClaim(t *testing.T) {
	o := newOffice(t, 400_000, 100_000)
	o.check(0, claims.Flag, claims.Signal{Kind: claims.JustBelow, What: "x"})
	rows := []store.ReportRow{}
	for i, number := range []string{"2022-1", "2022-2", "<b>3"} {
		rows = append(rows, store.ReportRow{
			Reported: store.Reported{Number: number, Unit: storetest.Number(i), Loss: 350_000,
				At: time.Date(2022, 10, 20, 9, 0, 0, 0, o.Programme.Zone)},
			By: store.Reporter{Name: "<i>신고인", Phone: "+82 10 1234 0000", Email: "reporter@example.com"},
		})
	}
	_, err := o.Store.ImportReports(t.Context(), o.Programme.Name, rows, store.ReportFile{Name: "r.csv", Rows: 3},
		store.Actor{Name: "jo", Duty: claims.Intake}, false)
	require.NoError(t, err)
	visible := func(body string) {
		require.NotContains(t, body, "신고인")
		require.NotContains(t, body, "reporter@")
		require.NotContains(t, body, "82 10")
	}

	_, body := o.get("/claims/" + id(0))
	visible(body)
	require.Contains(t, body, `data-report="2022-1"`)
	require.Contains(t, body, "20 October 2022")
	require.Contains(t, body, "350,000 won")
	require.Contains(t, body, "+50,000 won")
	require.Contains(t, body, "the claim’s")
	_, body = o.get("/claims/" + id(1))
	require.Contains(t, body, "not the claim’s")
	o.who = shin // an auditor
	_, body = o.get("/claims/" + id(1))
	require.Contains(t, body, `data-report="2022-2"`)
	require.NotContains(t, body, "the claim’s")
	seen, err := o.Store.Access(t.Context(), store.AccessFilter{Claim: store.OfReport + "2022-2"})
	require.NoError(t, err)
	require.Len(t, seen, 2)
	require.Equal(t, id(1), seen[0].Claim)

	for _, find := range []string{"2022-1", storetest.Number(0).String()} {
		status, body := o.get("/claims?find=" + url.QueryEscape(find))
		require.Equal(t, http.StatusOK, status)
		visible(body)
		require.Contains(t, body, `data-report="2022-1"`)
		require.Contains(t, body, id(0))
	}
	_, body = o.get("/claims?find=" + url.QueryEscape("<b>3"))
	require.Contains(t, body, "&lt;b&gt;3")
	require.Contains(t, body, "no claim")
	status, _ := o.get("/claims?find=2022-9")
	require.Equal(t, http.StatusSeeOther, status)

	_, body = o.get("/claims/statistics")
	require.Contains(t, body, "Businesses that reported before")
	require.Contains(t, body, "2 (66.7%)")
	_, csv := o.get("/claims/statistics?format=csv")
	require.Contains(t, csv, "reported,,reports,3,1050000\n")
	require.Contains(t, csv, "reported,,not filed,1,\n")

	o.who = Staff{Name: "seo", Duties: []claims.Duty{claims.Privacy}}
	_, body = o.get("/claims/access?claim=" + url.QueryEscape(store.OfReport+"2022-1"))
	require.Contains(t, body, "Earlier report")
	o.proven()
}
