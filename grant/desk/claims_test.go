package desk

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// withClaims gives a desk three claims, and tokens to reviewers and auditors.
func withClaims(w *world) {
	s, p := storetest.Open(w)
	storetest.Receive(w, s, p, 3, 310_000)
	w.cfg.Claims = &review.Desk{Store: s, Programme: p, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	for _, role := range []Role{RoleAuditor, "claims-reviewer", "claims-approver", "claims-council"} {
		token, line, err := NewToken("a-"+string(role), role)
		require.NoError(w, err)
		w.tokens[role] = token
		w.clients = append(w.clients, line)
	}
	w.rotate()
}

// Staff sign in to the pages of claims, and may do there what their duties say; nobody may because of another role.
func TestClaimsAreForThoseWithADuty(t *testing.T) {
	w := newWorld(t, withClaims)
	b := newBrowser(w)
	page := b.visit(http.MethodGet, "/claims/c-000001", nil)
	page.isPage(http.StatusUnauthorized)
	require.Contains(t, string(page.body), `action="../claims/sign-in"`)
	require.Contains(t, string(page.body), `value="claims/c-000001"`)
	in := b.visit(
		http.MethodPost,
		"/claims/sign-in",
		url.Values{"token": {w.tokens["claims-reviewer"]}, "next": {"claims/c-000001"}},
	)
	in.is(http.StatusSeeOther)
	require.Equal(t, "../claims/c-000001", in.header.Get("Location"))
	page = b.visit(http.MethodGet, "/claims/c-000001", nil)
	page.isPage(http.StatusOK)
	require.Contains(t, readable(page.body), "a-claims-reviewer")
	require.Contains(t, page.header.Get("Content-Security-Policy"), "form-action 'self'")
	require.NotContains(t, string(page.body), "010-1234")

	flag := url.Values{"action": {"check"}, "seq": {"1"}, "why": {"by hand"}}
	foreign := b.visit(http.MethodPost, "/claims/c-000001/do", flag, "Sec-Fetch-Site", "cross-site")
	foreign.isPage(http.StatusForbidden)
	done := b.visit(http.MethodPost, "/claims/c-000001/do", flag)
	done.is(http.StatusSeeOther)
	require.Equal(t, "../c-000001", done.header.Get("Location"))
	list, err := w.cfg.Claims.Store.Get(t.Context(), "c-000001")
	require.NoError(t, err)
	require.Equal(t, claims.Checking, list[0].State)
	require.Equal(t, store.Actor{Name: "a-claims-reviewer", Duty: claims.Reviewer}, list[0].Hands[len(list[0].Hands)-1])

	out := b.visit(http.MethodPost, "/claims/sign-out", nil)
	out.is(http.StatusSeeOther)
	for role, status := range map[Role]int{RoleOperator: 403, RoleSupport: 403, RoleAuditor: 200, "claims-approver": 200} {
		b.cookies = map[string]string{}
		b.visit(http.MethodPost, "/claims/sign-in", url.Values{"token": {w.tokens[role]}})
		b.visit(http.MethodGet, "/claims", nil).isPage(status)
	}
	for _, next := range []string{"https://evil.example", "//evil.example", "claims/../users", "claims/sign-out", "users/1"} {
		in := b.visit(http.MethodPost, "/claims/sign-in", url.Values{"token": {w.tokens[RoleAuditor]}, "next": {next}})
		require.Equal(t, "../claims", in.header.Get("Location"), next)
	}
}

// A right on claims is one duty, or none; no role that has a name has any, but auditors see claims.
func TestNoDutyIncludesAnother(t *testing.T) {
	for _, duty := range review.Duties() {
		require.Equal(t, []claims.Duty{duty}, Role("claims-"+string(duty)).duties())
		require.False(t, Role("claims-"+string(duty)).may(RightClaimsFreeze))
	}
	require.Empty(t, Role(RightClaimsFreeze).duties())
	for _, role := range []Role{RoleViewer, RoleSupport, RoleOperator, RoleAuditor, RoleService} {
		require.Empty(t, role.duties(), role)
		require.False(t, role.may(RightClaimsFreeze, RightClaimsPrivacy), role)
		require.Equal(t, role == RoleAuditor, role.may(RightClaims), role)
	}
	require.Equal(t, []claims.Duty{claims.Reviewer, claims.Payer}, Role("claims-reviewer,claims-payer").duties(),
		"those that are named")
}

// Whoever sends a form when the sign-in has ended is told that nothing was saved, and comes back to the page of the form.
func TestAFormWithoutASignInLeadsBackToItsPage(t *testing.T) {
	w := newWorld(t, withClaims)
	b := newBrowser(w)
	for path, page := range map[string]string{
		"/claims/c-000001/do": "claims/c-000001", "/claims/c-000001/erase": "claims/c-000001",
		"/claims/c-000001/redacted": "claims/c-000001", "/claims/many": "claims", "/claims/council/vote": "claims/council",
		"/claims/freeze": "claims/freeze", "/claims/windows": "claims/windows",
	} {
		got := b.visit(http.MethodPost, path, url.Values{"why": {"x"}})
		got.isPage(http.StatusUnauthorized)
		require.Contains(t, readable(got.body), "nothing was saved", path)
		require.Contains(t, string(got.body), "damage claims", path)
		require.Contains(t, string(got.body), `name="next" value="`+page+`"`, path)
	}
	require.NotContains(t, string(b.visit(http.MethodGet, "/claims", nil).body), "nothing was saved")
}

// A member of the council comes to its pages, and to no others: neither queues nor a claim's own page.
func TestMembersOfTheCouncilSeeItsPagesOnly(t *testing.T) {
	w := newWorld(t, withClaims)
	b := newBrowser(w)
	in := b.visit(http.MethodPost, "/claims/sign-in",
		url.Values{"token": {w.tokens["claims-council"]}, "next": {"claims/council/1/items/1"}})
	in.is(http.StatusSeeOther)
	require.Equal(t, "../claims/council/1/items/1", in.header.Get("Location"))
	b.visit(http.MethodGet, "/claims", nil).is(http.StatusSeeOther)
	b.visit(http.MethodGet, "/claims/council", nil).isPage(http.StatusOK)
	for _, path := range []string{
		"/claims/c-000001", "/claims/windows", "/claims/statistics", "/claims/c-000001/documents/" + strings.Repeat("0", 64),
	} {
		b.visit(http.MethodGet, path, nil).isPage(http.StatusForbidden)
	}
	for _, path := range []string{"/claims/many", "/claims/c-000001/do", "/claims/c-000001/person", "/claims/c-000001/show"} {
		b.visit(http.MethodPost, path, url.Values{"why": {"curious"}}).isPage(http.StatusForbidden)
	}
	b.visit(http.MethodPost, "/claims/council", url.Values{"do": {"leave"}, "why": {"x"}}).isPage(http.StatusConflict)
	for _, right := range []Role{RoleOperator, RoleSupport, "claims-reviewer", "claims-approver", RoleAuditor} {
		require.NotContains(t, right.rights(), RightClaimsCouncil)
	}
}

func TestADeskWithoutClaimsHasNoPagesOfThem(t *testing.T) {
	w := newWorld(t)
	w.ask(request{method: http.MethodGet, path: "/claims"}).is(http.StatusNotFound)
}
