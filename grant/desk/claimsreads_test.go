package desk

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/desk/searchpage"
)

// Whoever asks how a claim stands, or finds one by a search, is in the access log before it is answered; whoever may not is not.
func TestAsksAboutClaimsLeaveALine(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	filed := w.file(aClaim(t, 1), "order-1").filed()
	lines := func() []store.Looked {
		list, err := w.cfg.Claims.Store.Access(t.Context(), store.AccessFilter{Claim: filed.Claim})
		require.NoError(t, err)
		return list
	}
	require.Empty(t, lines(), "who hands it in reads nothing")
	w.get(takesClaims, pathClaims+"/"+filed.Claim+"?why=ticket+7").is(http.StatusOK)
	require.Len(t, lines(), 1)
	got := lines()[0]
	require.Equal(t, store.Looked{
		Claim: filed.Claim, At: got.At, By: store.Actor{Name: "a-claims-intake", Duty: "intake"}, From: "127.0.0.1",
		What: store.ReadStatus, Why: "ticket 7",
	}, got)
	w.get(RoleViewer, pathClaims+"/"+filed.Claim).is(http.StatusForbidden)
	w.get(takesClaims, pathClaims+"/nobody").is(http.StatusNotFound)
	w.get(takesClaims, pathClaims+"/"+filed.Claim+"?why=900101-1234568").is(http.StatusUnprocessableEntity)
	require.Len(t, lines(), 1)

	b := w.signedIn(w.tokens[RoleAuditor])
	b.send("/users", url.Values{searchpage.FieldQuery: {filed.Claim}}).is(http.StatusOK)
	require.Len(t, lines(), 2, "an auditor who is shown a claim, and not whose it is")
	require.Equal(t, store.ReadList, lines()[0].What)
	require.Equal(t, "127.0.0.1", lines()[0].From)
}
