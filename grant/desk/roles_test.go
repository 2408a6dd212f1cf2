package desk

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// needed is the role that each route takes. A route that is not in it fails the test.
var needed = map[string]Role{
	"GET /api/v1/me": RoleViewer,
	"GET /api/v1/campaigns/{campaign}/status":     RoleViewer,
	"GET /api/v1/campaigns/{campaign}/events":     RoleViewer,
	"GET /api/v1/campaigns/{campaign}/history":    RoleViewer,
	"GET /api/v1/campaigns/{campaign}/users/{id}": RoleSupport,
	"POST /api/v1/campaigns/{campaign}/orders":    RoleOperator,
}

// to is a good request to a route.
func to(route string) request {
	method, path, _ := strings.Cut(route, " ")
	r := request{method: method, path: strings.NewReplacer("{campaign}", "sorry-2022", "{id}", "2").Replace(path)}
	if method == http.MethodPost {
		r.body = `{"action":"pause","why":"a test"}`
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
			w := newWorld(t)
			w.grant()
			for route, needs := range needed {
				r := to(route)
				r.token = w.tokens[role]
				want := http.StatusOK
				if !role.includes(needs) {
					want = http.StatusForbidden
				}
				require.Equal(t, want, w.code(r), route)
			}
		})
	}
	for name, show := range map[string]func(*world, *request){
		"no token":      func(*world, *request) {},
		"a wrong token": func(_ *world, r *request) { r.token = "granter_none" },
		"another scheme": func(w *world, r *request) {
			r.header = map[string]string{"Authorization": "Basic " + w.tokens[RoleOperator]}
		},
		"an unknown certificate": func(w *world, r *request) {
			c := w.ca.client("nobody")
			r.certificate = &c
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
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
	require.JSONEq(t, `{"name":"a-support","role":"support","campaigns":["sorry-2022"]}`, string(answer.body))
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
