package desk

import (
	"errors"
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

// One search, on one page, finds what campaigns granted a person and the person's claims, whichever number somebody knows; each
// is shown to those who may see it, and who looked is kept, or nothing is shown.
func TestOneSearchFindsGrantsAndClaims(t *testing.T) {
	var log readings
	roles := []Role{"support,claims-intake", "claims-reviewer", "claims-payer", "claims-council"}
	w := newWorld(t, func(w *world) {
		w.cfg.Reads = &log
		s, p := storetest.Open(w)
		mine, other := storetest.Filing(p, 1, 310_000), storetest.Filing(p, 2, 310_000)
		mine.Person.User, other.Person.User = "2", "3"
		_, err := s.Receive(w.Context(), []store.Filing{mine, other}, nil)
		require.NoError(w, err)
		w.cfg.Claims = &review.Desk{Store: s, Programme: p, Log: slog.New(slog.DiscardHandler), Now: time.Now}
		for _, role := range roles {
			token, line, err := NewToken("a-"+string(role[len(role)-4:]), role)
			require.NoError(w, err)
			w.tokens[role] = token
			w.clients = append(w.clients, line)
		}
		w.rotate()
	})
	w.grant()
	unit := storetest.Number(1)
	b := newBrowser(w)
	as := func(role Role) {
		b.cookies = map[string]string{}
		b.visit(http.MethodPost, "/users/sign-in", url.Values{"token": {w.tokens[role]}}).is(http.StatusSeeOther)
	}
	find := func(text, why string, more ...string) string {
		a := b.visit(http.MethodPost, "/users", url.Values{"q": {text}, "why": {why}}, more...)
		a.is(http.StatusOK)
		return readable(a.body)
	}
	const granted, claim = "Granted: 1 of 1 campaigns.", "c-000001"

	as("support,claims-intake")
	for _, number := range []string{"2", claim, string(unit), unit.String(), "010-1234-0001", "01012340001"} {
		page := find(number, "the owner calls")
		if strings.HasPrefix(number, "101") { // a campaign of businesses may have their numbers for IDs
			require.Contains(t, page, "2 users", number)
			require.Contains(t, page, "2 Three emoticons for everybody", number)
		} else {
			require.Contains(t, page, granted, number)
		}
		require.Contains(t, page, claim, number)
		require.Contains(t, page, "Received", number)
		require.NotContains(t, page, "c-000002", number)
		require.NotContains(t, page, "김사장", "who it is is on the claim's own page")
	}
	history, err := w.cfg.Claims.Store.History(t.Context(), claim)
	require.NoError(t, err)
	require.Len(t, history, 1+6)
	require.Equal(t, store.Look, history[6].Action)
	require.Equal(t, "looked up: the owner calls", history[6].Reason)
	require.Equal(t, claims.Intake, history[6].By.Duty)
	require.NotEmpty(t, log.all)

	// Without a reason nothing of a person is used: a number finds its claim, and not who that is.
	log.all = nil
	page := find("010-1234-0001", "")
	require.Contains(t, page, "write why")
	require.NotContains(t, page, claim)
	page = find(claim, "")
	require.Contains(t, page, claim)
	require.NotContains(t, page, granted)
	require.Empty(t, log.all, "nobody was looked up")
	page = find("2", "")
	require.Contains(t, page, granted, "a user is looked up as before")
	require.NotContains(t, page, claim)
	require.Contains(t, find("2\n3", "both"), "2 users", "lists are of users")
	require.Contains(t, find("010-9999-9999", "the owner calls"), "No claim has this number")
	b.visit(http.MethodPost, "/users", url.Values{"q": {claim}, "why": {"900101-1234567"}}).isPage(http.StatusUnprocessableEntity)

	// Korean, in the reader's language.
	b.cookies[langCookie] = "ko"
	require.Contains(t, find(claim, ""), "피해 신청")

	// What was reported before claims could be filed is found by its number and the business, without who reported.
	desk := w.cfg.Claims
	storetest.Reported(t, desk.Store, desk.Programme, 9, 350_000, store.Reporter{Phone: "010-5555-5555"})
	b.cookies[langCookie] = "en"
	for _, text := range []string{"R-0009", storetest.Number(9).String()} {
		page = find(text, "")
		require.Contains(t, page, "Earlier report R-0009")
		require.Contains(t, page, "350,000 won")
		require.Contains(t, page, "no claim")
		require.NotContains(t, page, "5555")
	}
	seen, err := desk.Store.Access(t.Context(), store.AccessFilter{Claim: store.OfReport + "R-0009"})
	require.NoError(t, err)
	require.Len(t, seen, 2)

	// Each sees what he may.
	as("claims-reviewer")
	page = find(string(unit), "a second claim?")
	require.Contains(t, page, claim)
	require.NotContains(t, page, "Granted", "users are for those with that right")
	as("claims-payer")
	page = find(unit.String(), "the bank asks")
	require.Contains(t, page, claim)
	require.Contains(t, page, "is for those who take claims in, judge or decide")
	require.NotContains(t, find("010-1234-0001", "the bank asks"), claim)
	as(RoleSupport)
	page = find("2", "")
	require.Contains(t, page, granted)
	require.NotContains(t, page, "Damage claims")
	require.Contains(t, find("010-1234-0001", ""), "it looks like a phone number")
	b.cookies = map[string]string{}
	b.visit(http.MethodPost, "/users/sign-in", url.Values{"token": {w.tokens["claims-council"]}})
	b.visit(http.MethodPost, "/users", url.Values{"q": {claim}}).isPage(http.StatusForbidden)

	// What cannot be recorded is not shown.
	as("support,claims-intake")
	log.err = errors.New("the disk is full")
	a := b.visit(http.MethodPost, "/users", url.Values{"q": {"2"}, "why": {"the owner calls"}})
	require.NotContains(t, readable(a.body), granted)
}
