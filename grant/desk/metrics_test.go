package desk

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestTheMetricsFollowTheConventions(t *testing.T) {
	w := newWorld(t)
	problems, err := testutil.GatherAndLint(w.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	for _, r := range refusals {
		require.Zero(t, w.metric("refusals_total", "reason", string(r)))
	}
	families, err := w.registry.Gather()
	require.NoError(t, err)
	series := 0
	for _, f := range families {
		series += len(f.GetMetric())
	}
	require.Equal(t, len(refusals)+1+3+1, series,
		"every reason, the listeners, three files and how long checks take, from the start")

	for range 3 {
		w.get(RoleViewer, "/api/v1/me")
	}
	w.get(RoleSupport, base+"/users/1")
	w.get(RoleSupport, base+"/users/2")
	w.get(RoleViewer, base+"/users/2")
	w.ask(request{method: http.MethodGet, path: "/app.css"})
	w.ask(request{method: "GRANT", path: "/"})
	for _, c := range []struct {
		route, code string
		times       int
	}{
		{"/api/v1/me", "200", 3}, {ofCampaign + "/users/{id}", "200", 2}, {ofCampaign + "/users/{id}", "403", 1}, {"/", "200", 1},
		{"other", "405", 1},
	} {
		require.InDelta(t, c.times, w.metric("requests_total", "campaign", "sorry-2022", "route", c.route, "code", c.code), 0,
			"%+v", c)
	}
}
