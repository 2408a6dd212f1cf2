package desk

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ratelimit"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
)

// needed is the first role with a name that each route takes. A route that is not in it fails the test.
var needed = map[string]Role{
	"GET /api/v1/me":                              RoleViewer,
	"GET /api/v1/campaigns":                       RoleViewer,
	"GET /api/v1/campaigns/{campaign}/status":     RoleViewer,
	"GET /api/v1/campaigns/{campaign}/events":     RoleViewer,
	"GET /api/v1/campaigns/{campaign}/history":    RoleViewer,
	"GET /api/v1/campaigns/{campaign}/users/{id}": RoleSupport,
	"GET " + ofCampaign + "/users/{id}/receipt":   RoleSupport,
	"GET /api/v1/users/{id}":                      RoleSupport,
	"GET /api/v1/campaigns/{campaign}/orders":     RoleViewer,
	"GET /api/v1/campaigns/{campaign}/rejected":   RoleSupport,
	"POST /api/v1/campaigns/{campaign}/orders":    RoleOperator,
	"GET /api/v1/entitlements/{user}":             RoleSupport,
	"GET /api/v1/entitlements/{user}/{item}":      RoleSupport,
	"POST /api/v1/checks/{item}":                  RoleSupport,
	takeOne:                                       RoleOperator,
	takeMany:                                      RoleOperator,
	act:                                           RoleSupport, // for a note
	"GET " + ofCampaign + "/acts":                 RoleOperator,
	"GET " + ofCampaign + "/acts/{request}":       RoleOperator,
	decide:                                        RoleOperator,
	fileOne:                                       takesClaims, // which none of those roles has
	fileMany:                                      takesClaims,
	fileReports:                                   takesClaims,
	askClaim:                                      takesClaims,
	asksCouncil:                                   takesClaims,
	asksMeeting:                                   takesClaims,
	asksItem:                                      takesClaims,
	asksShown:                                     takesClaims,
	doesCouncil:                                   "claims-secretary",
	votesOnItem:                                   "claims-council",
	recusesOf:                                     "claims-council",
	countsItem:                                    "claims-council",
}

// to is a good request to a route.
func to(route string) request {
	method, path, _ := strings.Cut(route, " ")
	names := strings.NewReplacer("{campaign}", "sorry-2022", "{id}", "2", "{user}", "2", "{item}", "cheer-up", "{meeting}", "1")
	r := request{method: method, path: names.Replace(path)}
	switch {
	case route == "POST "+pathList:
		r.body, r.header = "2\n", map[string]string{"Content-Type": kindLines}
	case method == http.MethodPost:
		r.body = `{"action":"pause","why":"a test"}`
	}
	switch route {
	case takeOne:
		r.body = `{"item":"offer"}`
	case act:
		r.body = `{"act":"note","users":["2"],"reason":"a test"}`
	case decide:
		r.body = `{"decision":"reject","reason":"a test"}`
	case takeMany:
		r.body = `{"takes":[{"user":"2","item":"offer"}]}`
	}
	return r
}

// code sends a request and returns only its status, as a stream of events has no end.
func (w *world) code(r request) int {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	response := w.open(ctx, r)
	defer response.Body.Close()
	return response.StatusCode
}

func TestEveryRouteTakesItsRole(t *testing.T) {
	for _, r := range new(api).routes() {
		require.Contains(t, needed, r.pattern)
	}
	require.Len(t, new(api).routes(), len(needed))

	for _, role := range roles {
		t.Run(string(role), func(t *testing.T) {
			w := newWorld(t, offering, acting, withReceipts, func(w *world) {
				w.cfg.Rejected = func(context.Context, rejected.Filter, int) (*rejected.Listing, error) {
					return &rejected.Listing{Reasons: map[source.Reason]int64{}, Last: []rejected.Record{}}, nil
				}
			})
			w.server.api.gate.failures = ratelimit.New(0, len(needed)) // the limit is for another test
			w.grant()
			for route, needs := range needed {
				r := to(route)
				r.token = w.tokens[role]
				want := http.StatusOK
				if strings.Contains(route, "{request}") {
					want = http.StatusNotFound
				}
				if !slices.Contains(roles, needs) || slices.Index(roles, role) < slices.Index(roles, needs) {
					want = http.StatusForbidden
				}
				require.Equal(t, want, w.code(r), route)
			}
		})
	}
	t.Run("service", func(t *testing.T) {
		w := newWorld(t)
		w.server.api.gate.failures = ratelimit.New(0, len(needed)) // the limit is for another test
		w.grant()
		for route := range needed {
			r := to(route)
			r.token = w.tokens[RoleService]
			want := http.StatusForbidden
			if strings.HasSuffix(route, "/me") || strings.Contains(route, "/checks/") || strings.Contains(route, entitlements) {
				want = http.StatusOK
			}
			require.Equal(t, want, w.code(r), route)
		}
	})
	for name, show := range map[string]func(*world, *request){
		"no token":      func(*world, *request) {},
		"a wrong token": func(_ *world, r *request) { r.token = "granter_none" },
		"another scheme": func(w *world, r *request) {
			r.header = map[string]string{"Authorization": "Basic " + w.tokens[RoleOperator], "Content-Type": "application/json"}
		},
		"an unknown certificate": func(w *world, r *request) {
			c := w.ca.client("nobody")
			r.certificate = &c
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server.api.gate.failures = ratelimit.New(0, len(needed)) // the limit is for another test
			for route := range needed {
				r := to(route)
				show(w, &r)
				answer := w.ask(r)
				answer.is(http.StatusUnauthorized)
				require.Equal(t, `Bearer realm="granter"`, answer.header.Get("WWW-Authenticate"))
			}
			acts := w.trail()
			require.Len(t, acts, 1)
			require.Equal(t, "anonymous", acts[0].Who)
			control, _, err := w.coordination.Control(t.Context())
			require.NoError(t, err)
			require.Equal(t, grant.Control{}, control)
		})
	}
}

func TestMeIsWhoTheTokenIsFor(t *testing.T) {
	w := newWorld(t)
	answer := w.get(RoleSupport, "/api/v1/me")
	answer.is(http.StatusOK)
	require.JSONEq(t, `{"name":"a-support","role":"support","rights":["status","history","users","check","receipt","note"],
		"campaigns":["sorry-2022"]}`, string(answer.body))
}

func TestACertificateIsAsGoodAsAToken(t *testing.T) {
	w := newWorld(t)
	jihoon := w.ca.client("Ji-hoon Park")
	order := to(orders)
	order.certificate = &jihoon
	w.ask(order).is(http.StatusOK)
	require.Equal(t, "jihoon", w.trail()[0].Who)

	order.token = "granter_none"
	require.Contains(t, w.ask(order).is(http.StatusUnauthorized), "access file", "a token counts more")
}

// A token is exchanged while the desk serves: the old one is refused, the new one works, and nothing is started again.
func TestTokensAreRotatedWhileItServes(t *testing.T) {
	w := newWorld(t)
	old := w.tokens[RoleViewer]
	me := request{method: http.MethodGet, path: "/api/v1/me"}
	with := func(token string) int {
		me.token = token
		return w.ask(me).status
	}
	require.Equal(t, http.StatusOK, with(old))
	w.rotate()
	await(t, "the old token is refused", func() bool { return with(old) == http.StatusUnauthorized })
	good := w.tokens[RoleViewer]
	require.Equal(t, http.StatusOK, with(good))

	w.allow("this is no access file")
	await(t, "the log says so", func() bool {
		require.Equal(t, http.StatusOK, with(good), "the last good version is in force")
		return len(w.logged("the last good version stays in force: the access file")) == 1
	})

	w.rotate()
	good = w.tokens[RoleViewer]
	await(t, "it is right again", func() bool { return with(good) == http.StatusOK })
	w.allow("a-viewer support " + sum(good))
	await(t, "the role changes", func() bool { return strings.Contains(string(w.get(RoleViewer, me.path).body), "support") })
}

// with adds a principal with a role of its own, and returns its token.
func (w *world) with(role Role, campaigns ...string) string {
	w.Helper()
	token := w.only(role, campaigns...)
	await(w.T, "the line counts", func() bool {
		return w.code(request{method: http.MethodGet, path: "/api/v1/me", token: token}) == http.StatusOK
	})
	return token
}

// only makes an access file of one line, and returns its token.
func (w *world) only(role Role, campaigns ...string) string {
	w.Helper()
	token, line, err := NewToken("somebody", role, campaigns...)
	require.NoError(w, err)
	w.allow(line)
	return token
}

// Rights are no ladder: who may pause need not see users, and who may see users need not see anything else.
func TestARightIsEnoughAndNoneIncludesAnother(t *testing.T) {
	for _, right := range Rights() {
		t.Run(string(right), func(t *testing.T) {
			var token string
			w := newWorld(t, func(w *world) { token = w.only(Role(right)) }) // a server reads a new file after a second
			w.grant()
			want := map[string]int{"status": http.StatusForbidden, "events": http.StatusForbidden,
				"history": http.StatusForbidden, "users/2": http.StatusForbidden}
			for path, of := range map[string]Right{"status": RightStatus, "events": RightStatus, "history": RightHistory,
				"users/2": RightUsers} {
				if of == right {
					want[path] = http.StatusOK
				}
			}
			for path, code := range want {
				require.Equal(t, code, w.code(request{method: http.MethodGet, path: base + "/" + path, token: token}), path)
			}
			for _, action := range actions {
				body := `{"action":"` + string(action) + `","why":"a test"`
				if action == grant.ActionThrottle {
					body += `,"throttle":5`
				}
				answer := w.ask(request{method: http.MethodPost, path: base + "/orders", token: token, body: body + "}"})
				if Right(action) != right {
					answer.is(http.StatusForbidden)
				} else {
					require.NotEqual(t, http.StatusForbidden, answer.status, action)
				}
			}
		})
	}
}

// An order that somebody may not give is in the audit trail, though others of the kind are theirs to give.
func TestAnOrderBeyondItsRightsIsInTheTrail(t *testing.T) {
	w := newWorld(t)
	token := w.with("viewer,pause,resume")
	order := to(orders)
	order.token = token
	w.ask(order).is(http.StatusOK)
	order.body = `{"action":"abort","why":"I am curious"}`
	require.Equal(t, "role viewer,pause,resume, needs the right abort", w.ask(order).is(http.StatusForbidden))
	acts := w.trail()
	require.Len(t, acts, 2)
	require.Equal(t, grant.HistoryEntry{
		At: acts[1].At, Action: grant.ActionAbort, Who: "somebody", Via: "api", Why: "I am curious",
		Refused: "refused: role viewer,pause,resume, needs the right abort",
	}, acts[1])
	require.InDelta(t, 1, w.metric("refusals_total", "reason", "right"), 0)
}

// A line for other campaigns lets nobody see or order anything here, and says nothing of what is here.
func TestALineForOtherCampaignsOpensNothingHere(t *testing.T) {
	w := newWorld(t)
	w.server.api.gate.failures = ratelimit.New(0, 2*len(needed)) // the limit is for another test
	token := w.with(RoleOperator, "spring", "summer")
	me := w.ask(request{method: http.MethodGet, path: "/api/v1/me", token: token})
	require.Contains(t, string(me.body), `"campaigns":[]`)
	for _, campaign := range []string{"sorry-2022", "autumn"} {
		for route := range needed {
			if r := to(route); strings.Contains(route, "{campaign}") {
				r.path, r.token = strings.Replace(r.path, "sorry-2022", campaign, 1), token
				require.Equal(t, "your line of the access file is for other campaigns: spring,summer",
					w.ask(r).is(http.StatusForbidden))
			}
		}
	}
	acts := w.trail()
	require.Len(t, acts, 1, "the order for another campaign is not in the trail of this one")
	require.Equal(t, grant.ActionPause, acts[0].Action)
	require.NotEmpty(t, acts[0].Refused)
}
