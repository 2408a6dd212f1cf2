package desk

import (
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/lookup"
)

func TestThePageNeedsNoTokenAndTrustsNobody(t *testing.T) {
	w := newWorld(t)
	for _, a := range assets() {
		at := strings.NewReplacer("{$}", "", "{campaign}", "sorry-2022").Replace(a.path)
		answer := w.ask(request{method: http.MethodGet, path: at})
		answer.is(http.StatusOK)
		require.Equal(t, a.in[lookup.English].content, answer.body)
		require.Equal(t, a.kind, answer.header.Get("Content-Type"))
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "+
			"base-uri 'none'; "+
			"form-action 'none'; frame-ancestors 'none'", answer.header.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", answer.header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-cache", answer.header.Get("Cache-Control"))
		require.Regexp(t, `^"[0-9a-f]{16}"$`, answer.header.Get("ETag"))

		again := w.ask(request{method: http.MethodGet, path: at,
			header: map[string]string{"If-None-Match": answer.header.Get("ETag")}})
		again.is(http.StatusNotModified)
		require.Empty(t, again.body)
	}
	require.Contains(t, string(w.ask(request{method: http.MethodGet, path: "/"}).body), "<!doctype html>")
}

// Every file of the page is served, or a part of what is, or this test says that its kind is missing.
func TestEveryFileOfThePageIsServed(t *testing.T) {
	served := []string{"/symbols.html", "/sign-in.html", "/languages.html"}
	for _, a := range assets() {
		served = append(served,
			strings.NewReplacer("/campaigns/{campaign}/{$}", "/campaign.html", "{$}", "index.html").Replace(a.path))
	}
	require.NoError(t, fs.WalkDir(page, "page", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) != ".go" {
			require.True(t, slices.Contains(served, strings.TrimPrefix(name, "page")), "%s: add its kind to types", name)
		}
		return err
	}))
}

func TestWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	for _, at := range []string{"/nothing", "/page/index.html", "/index.html", "/api/", "/api/v1/nothing", base + "/users/",
		"/api/v2/me"} {
		answer := w.ask(request{method: http.MethodGet, path: at})
		require.Contains(t, answer.is(http.StatusNotFound), "/api/openapi.yaml")
		require.Equal(t, "nosniff", answer.header.Get("X-Content-Type-Options"))
	}
	for _, old := range []string{"status", "events", "history", "orders"} {
		require.Contains(t, w.ask(request{method: http.MethodGet, path: "/api/v1/" + old}).is(http.StatusNotFound),
			"/api/v1/campaigns/CAMPAIGN/"+old)
	}
	for r, allow := range map[string]string{
		"POST " + base + "/status": "GET, HEAD", "PUT " + base + "/orders": "GET, HEAD, POST", "PUT /": "GET, HEAD",
	} {
		answer := w.ask(to(r))
		require.Equal(t, "want "+allow, answer.is(http.StatusMethodNotAllowed), r)
		require.Equal(t, allow+", OPTIONS", answer.header.Get("Allow"))
		require.Empty(t, answer.header.Get("Access-Control-Allow-Origin"))
	}
	require.InDelta(t, 11, w.metric("requests_total", "route", "other", "code", "404"), 0)
	require.InDelta(t, 3, w.metric("requests_total", "route", "other", "code", "405"), 0)
}
