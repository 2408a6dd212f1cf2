package desk

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/ratelimit"
)

const takesClaims Role = "claims-intake"

// withIntake gives a desk claims in the days of the programme, at an address, and tokens of those who may hand some in.
func withIntake(at string) func(*world) {
	return func(w *world) {
		s, p := storetest.At(w, at)
		now := func() time.Time { return time.Date(2022, 10, 21, 0, 0, 0, 0, time.UTC) }
		s.SetClock(now)
		w.cfg.Claims = &review.Desk{Store: s, Programme: p, Log: slog.New(slog.DiscardHandler), Now: now}
		for _, role := range []Role{
			takesClaims, RoleAuditor, "claims-approver", "claims-intake,claims-reviewer,claims-approver",
		} {
			token, line, err := NewToken("a-"+string(role), role)
			require.NoError(w, err)
			w.tokens[role] = token
			w.clients = append(w.clients, line)
		}
		w.rotate()
	}
}

// aClaim is the i-th claim as JSON, with changes: pairs of a field and its JSON; none leaves it out.
func aClaim(t *testing.T, i int, changes ...string) string {
	t.Helper()
	text := fmt.Sprintf(`{"business_number": %q, "business_name": "가게", "representative": "김사장", "industry": "restaurants",
		"opened": "2020-03-01", "outage_sales": 1000000, "week_sales": [1310000], "phone": "010-1234-%04d", "bank": "004",
		"account": "110-123-%06d", "holder": "김사장"}`, storetest.Number(i), i, i)
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &fields))
	for k := 0; k < len(changes); k += 2 {
		fields[changes[k]] = json.RawMessage(changes[k+1])
		if changes[k+1] == "" {
			delete(fields, changes[k])
		}
	}
	out, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(out)
}

// file hands a claim in; keyed or not.
func (w *world) file(body, key string) answer {
	w.Helper()
	r := request{method: http.MethodPost, path: pathClaims, token: w.tokens[takesClaims], body: body}
	if key != "" {
		r.header = map[string]string{onceHeader: key}
	}
	return w.ask(r)
}

func (a answer) filed() (f filedOne) {
	a.Helper()
	a.is(http.StatusOK)
	a.into(&f)
	return f
}

// problems are the fields of what is wrong.
func (a answer) problems(code int) (names []string) {
	a.Helper()
	a.is(code)
	var p Problem
	a.into(&p)
	for _, one := range p.Problems {
		names = append(names, one.Field)
	}
	return names
}

// A claim is taken in once, by the path of every channel; who handed it in is known, and never decides it.
func TestClaimsAreHandedIn(t *testing.T) { claimsAreHandedIn(t, t.TempDir()+"/claims.db") }

func claimsAreHandedIn(t *testing.T, at string) {
	w := newWorld(t, withIntake(at))
	first := w.file(aClaim(t, 1), "order-1").filed()
	require.Equal(t, "outage-2022", first.Programme)
	require.Equal(t, store.Taken, first.Outcome)
	require.Regexp(t, "^a-[0-9a-f]{20}$", first.Claim)
	require.Equal(t, Filed{first.Claim, store.Again}, w.file(aClaim(t, 1), "order-1").filed().Filed)
	require.Contains(t, w.file(aClaim(t, 2), "order-1").is(http.StatusUnprocessableEntity), "sent with another claim")
	require.Equal(t, []string{"id"}, w.file(aClaim(t, 2, "id", `"own"`), "order-2").problems(http.StatusUnprocessableEntity))
	require.Equal(t, Filed{"own", store.Taken}, w.file(aClaim(t, 2, "id", `"own"`), "").filed().Filed)
	require.Equal(t, []string{"id"}, w.file(aClaim(t, 3, "id", `"own"`), "").problems(http.StatusConflict))
	require.Equal(t, []string{"business_number"}, w.file(aClaim(t, 1, "holder", `"이"`), "").problems(http.StatusConflict))
	byContent := w.file(aClaim(t, 4), "").filed()
	require.Equal(t, Filed{byContent.Claim, store.Again}, w.file(aClaim(t, 4), "").filed().Filed)

	list, err := w.cfg.Claims.Store.Get(t.Context(), first.Claim)
	require.NoError(t, err)
	c := list[0]
	require.Equal(t, []string{"api", "a-claims-intake", "reports"}, []string{c.Channel, c.EnteredBy, c.Window})
	require.EqualValues(t, 310_000, c.Facts.WeekSales[0]-c.Facts.OutageSales)
	require.Equal(t, []store.Actor{{Name: "a-claims-intake", Duty: claims.Intake}}, c.Hands)
	proof, err := w.cfg.Claims.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	require.Equal(t, 3, proof.Claims)
	require.InDelta(t, 5, w.offered(intake.OutcomeTaken), 0)
	require.InDelta(t, 1, w.offered(intake.OutcomeClaimed), 0)
	require.Len(t, w.logged("a claim was handed in"), 5)
	require.NotContains(t, w.log.String(), "010-1234", "nothing of the owner is logged")
}

func (w *world) offered(o intake.Outcome) float64 {
	w.Helper()
	families, err := w.registry.Gather()
	require.NoError(w, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "granter_claims_offered_total" && l.GetValue() == string(o) && m.GetCounter().GetValue() > 0 {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func TestAllThatIsWrongWithAClaimIsSaidAtOnce(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	require.Equal(t, []string{"phone", "account", "outage_sales", "received"},
		w.file(aClaim(t, 1, "phone", `"x"`, "account", "", "outage_sales", "", "received", `"2022-10-01T00:00:00Z"`), "k").
			problems(http.StatusUnprocessableEntity))
	require.Equal(t, []string{"opened", "", "phone", "holder"},
		w.file(aClaim(t, 1, "opened", "5", "rrn", `"x"`, "phone", `"x"`, "holder", ""), "k").problems(http.StatusBadRequest),
		"what cannot be read, and what makes no sense")
	resident := w.file(aClaim(t, 1, "holder", `"900101-1234567"`), "k")
	require.Equal(t, []string{"holder"}, resident.problems(http.StatusUnprocessableEntity))
	require.NotContains(t, string(resident.body), "1234567")
	for body, code := range map[string]int{
		"": 400, "[]": 400, "null": 400, "{": 400, aClaim(t, 1) + "{}": 400, aClaim(t, 1) + "}": 400,
		aClaim(t, 1, "address", `"`+strings.Repeat("x", intake.MaxForm)+`"`): 413,
	} {
		w.file(body, "k").is(code)
	}
	for _, key := range []string{strings.Repeat("x", maxOnceKey+1), "ä"} {
		w.file(aClaim(t, 1), key).is(http.StatusBadRequest)
	}
	require.Equal(t, store.Taken, w.file(aClaim(t, 1), "k").filed().Outcome, "a key that came with a refused claim is free")
	w.server.api.gate.claims = ratelimit.New(0, 1)
	w.file(aClaim(t, 2), "l").is(http.StatusOK)
	w.file(aClaim(t, 3), "m").is(http.StatusTooManyRequests)
}

func (w *world) batch(key string, rows ...string) answer {
	w.Helper()
	r := request{method: http.MethodPost, path: pathBatch, token: w.tokens[takesClaims],
		body: `{"claims": [` + strings.Join(rows, ",") + `]}`}
	if key != "" {
		r.header = map[string]string{onceHeader: key}
	}
	return w.ask(r)
}

// Of many claims each is taken or refused by itself, and sending them again takes none twice.
func TestManyClaimsAreHandedInTogether(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	rows := []string{
		aClaim(t, 1), aClaim(t, 2, "id", `"own"`), aClaim(t, 1, "holder", `"이"`, "id", `"b"`), aClaim(t, 3, "bank", `"kb"`), "7",
	}
	for round, want := range []struct {
		outcome      store.Outcome
		taken, again int
	}{{store.Taken, 2, 0}, {store.Again, 0, 2}} {
		answer := w.batch("", rows...)
		answer.is(http.StatusOK)
		var got filedMany
		answer.into(&got)
		require.Equal(t, intake.Partial, got.Status, round)
		require.Equal(t, []int{want.taken, want.again, 3}, []int{got.Taken, got.Again, got.Wrong})
		require.Equal(t, filedRow{Claim: "own", Outcome: want.outcome}, got.Claims[1])
		require.Equal(t, want.outcome, got.Claims[0].Outcome)
		require.Equal(t, store.Twice, got.Claims[2].Outcome)
		require.Equal(t, "business_number", got.Claims[2].Problems[0].Field)
		require.Empty(t, got.Claims[2].Claim)
		require.Equal(t, filedRow{Outcome: refusedRow, Problems: []intake.Problem{{
			Field: "bank", Detail: `"kb" is not of its form: write the bank's code of three digits, such as 004`,
		}}}, got.Claims[3])
		require.Equal(t, refusedRow, got.Claims[4].Outcome)
	}
	keyed := func() (got filedMany) {
		answer := w.batch("many", aClaim(t, 5), aClaim(t, 6))
		answer.is(http.StatusOK)
		answer.into(&got)
		return got
	}
	first, second := keyed(), keyed()
	require.Equal(t, intake.Success, first.Status)
	require.NotEqual(t, first.Claims[0].Claim, first.Claims[1].Claim)
	require.Equal(t, 2, second.Again)
	require.Equal(t, first.Claims[0].Claim, second.Claims[0].Claim)
	var failed filedMany
	w.batch("", "{}").into(&failed)
	require.Equal(t, intake.Failed, failed.Status)
	w.batch("").is(http.StatusBadRequest)
	w.batch("", strings.Split(strings.Repeat("{} ", maxClaims+1), " ")[:maxClaims+1]...).is(http.StatusBadRequest)
}

// How a claim stands is for those with a right on claims, and says nothing of its owner.
func TestTheStateOfAClaim(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	number := w.file(aClaim(t, 1), "").filed().Claim
	for role, code := range map[Role]int{
		takesClaims: 200, RoleAuditor: 200, "claims-approver": 200, RoleOperator: 403, RoleSupport: 403, RoleService: 403,
	} {
		w.get(role, pathClaims+"/"+number).is(code)
	}
	answer := w.get(takesClaims, pathClaims+"/"+number)
	var now ClaimNow
	answer.into(&now)
	require.Equal(t, ClaimNow{
		Programme: "outage-2022", Claim: number, State: claims.Received, Turn: claims.TurnRules, Received: now.Received,
		Changed: now.Changed, Channel: "api", EnteredBy: "a-claims-intake", Window: "reports",
	}, now)
	for _, personal := range []string{"김사장", "010-1234", "110-123", storetest.Number(1).String(), string(storetest.Number(1))} {
		require.NotContains(t, string(answer.body), personal)
	}
	w.get(takesClaims, pathClaims+"/nobody").is(http.StatusNotFound)
	for _, role := range []Role{RoleAuditor, "claims-approver", RoleOperator} {
		w.ask(request{method: http.MethodPost, path: pathClaims, token: w.tokens[role], body: aClaim(t, 2)}).
			is(http.StatusForbidden)
	}
}

// Whoever handed a claim in cannot decide it, whatever duties he has besides.
func TestWhoHandedAClaimInNeverDecidesIt(t *testing.T) {
	w := newWorld(t, withIntake(t.TempDir()+"/claims.db"))
	all := Role("claims-intake,claims-reviewer,claims-approver")
	answer := w.ask(request{method: http.MethodPost, path: pathClaims, token: w.tokens[all], body: aClaim(t, 1)})
	number := answer.filed().Claim
	list, err := w.cfg.Claims.Store.Get(t.Context(), number)
	require.NoError(t, err)
	check := store.Step{Claim: list[0], Action: claims.Check, By: store.Rules}
	require.NoError(t, w.cfg.Claims.Store.Commit(t.Context(), []store.Step{check}, nil))
	for role, status := range map[Role]int{all: http.StatusConflict, "claims-approver": http.StatusOK} { // who is asked once more
		b := newBrowser(w)
		b.visit(http.MethodPost, "/claims/sign-in", url.Values{"token": {w.tokens[role]}}).is(http.StatusSeeOther)
		b.visit(http.MethodPost, "/claims/"+number+"/do", url.Values{
			"action": {"approve"}, "seq": {"2"}, "why": {"as the rules say"}, "amount": {"50000"},
		}).isPage(status)
	}
}

func TestADeskWithoutClaimsTakesNone(t *testing.T) {
	w := newWorld(t)
	token := w.with(takesClaims)
	for _, r := range []request{
		{method: http.MethodPost, path: pathClaims, body: aClaim(t, 1)},
		{method: http.MethodPost, path: pathBatch, body: `{"claims": [{}]}`},
		{method: http.MethodGet, path: pathClaims + "/x"},
	} {
		r.token = token
		require.Contains(t, w.ask(r).is(http.StatusNotFound), "--claims")
	}
}
