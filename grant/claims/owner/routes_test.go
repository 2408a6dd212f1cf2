package owner

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// at is an address of a pattern's page.
func at(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, strings.NewReplacer("{$}", "", "{name}", "sales", "{number}", "AAAAA-AAAAA", "{code}", "0000").Replace(path)
}

// answered is what the site answers, and where that leads is not looked at.
type answered struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
}

// raw sends a form as it is.
func (b *browser) raw(method, path string, form url.Values, header ...string) answered {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := *b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	return answered{resp.StatusCode, resp.Header, resp.Cookies()}
}

// Every form of the site, whatever is added to it, is refused when it comes from another site, or without the proof of its
// session, and nobody without a session sees a page of a claim.
func TestEveryRouteIsGuarded(t *testing.T) {
	w := newWorld(t, nil)
	b, stranger, draft := w.browser(), w.browser(), w.browser()
	number, _ := b.claim(1, 900_000)
	w.process()
	draft.get("/").post("/start").post(draft.path, "business_number", "120-81-47521")
	draftID := w.draftOf(draft)
	seq := w.load(number).Seq
	forms := 0
	for pattern := range routes {
		method, path := at(pattern)
		inside := strings.HasPrefix(path, "/claim") || path == "/sign-out"
		switch {
		case method == http.MethodPost:
			forms++
			for _, who := range []*browser{b, draft, stranger} {
				for _, site := range []string{"cross-site", "same-site"} {
					require.Equal(t, 403, who.raw(method, path, url.Values{}, "Sec-Fetch-Site", site).status, pattern)
				}
				if !inside {
					continue
				}
				switch got := who.raw(method, path, url.Values{"text": {"x"}}); got.status {
				case http.StatusForbidden:
				case http.StatusBadRequest: // it is no form with a file: TestFormsOfOtherSitesChangeNothing sends one
					require.Equal(t, "/claim/documents", path)
				default: // another page is shown, and nothing is done
					require.Equal(t, 303, got.status, "%s without a proof", pattern)
					require.Contains(t, []string{"/enter", "/claim"}, got.header.Get("Location"), pattern)
				}
			}
		case inside:
			got := stranger.raw(method, path, nil)
			require.Equal(t, 303, got.status, pattern)
			require.Equal(t, "/enter", got.header.Get("Location"), pattern)
		}
	}
	require.GreaterOrEqual(t, forms, 11)
	require.Equal(t, seq, w.load(number).Seq, "nothing was changed")
	answers, err := w.store.Draft(t.Context(), draftID)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"business_number": "120-81-47521"}, answers)
	b.get("/claim").shows("서류 필요")
	draft.get("/claim")
	require.Equal(t, "/claim/question/registration", draft.path, "the session is the same")
}

// The session is in a cookie that scripts and forms of other sites do not get, and that goes by TLS only where there is TLS.
func TestASessionIsInACookieOfItsOwn(t *testing.T) {
	w := newWorld(t, nil)
	for _, secure := range []bool{false, true} {
		w.site.Secure = secure
		got := w.browser().raw(http.MethodPost, "/start", nil)
		require.Equal(t, 303, got.status)
		require.Len(t, got.cookies, 1)
		c := got.cookies[0]
		require.True(t, c.HttpOnly)
		require.Equal(t, secure, c.Secure)
		require.Equal(t, http.SameSiteLaxMode, c.SameSite)
		require.Equal(t, int(store.SessionFor.Seconds()), c.MaxAge)
		require.Equal(t, secure, got.header.Get("Strict-Transport-Security") != "")
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		require.Equal(t, "same-origin", got.header.Get("Referrer-Policy"))
		require.Contains(t, got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	}
}

// An address of this site leads to this site, however it is written.
func TestNoAddressLeadsToAnotherSite(t *testing.T) {
	b := newWorld(t, nil).browser()
	for _, path := range []string{
		"/%5Cevil.example/", `/\evil.example/`, "//evil.example/", "/%2F/evil.example/", "/%5C%5Cevil.example", "/enter/%5C/x",
		"/claim/..%5C..%5C/evil.example/",
	} {
		for range 3 { // the site may first say how the address is written
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/", http.NoBody)
			require.NoError(t, err)
			req.URL.Opaque = path
			req.URL.RawQuery = "lang=en"
			resp, err := b.client.Transport.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			to := resp.Header.Get("Location")
			if to == "" {
				break
			}
			require.Regexp(t, `^/([^/\\]|$)`, to, path)
			path, _, _ = strings.Cut(to, "?")
		}
	}
}

// Whoever begins claims by the thousand is stopped, as whoever guesses codes is.
func TestClaimsAreNotBegunByTheThousand(t *testing.T) {
	b := newWorld(t, nil).browser()
	refused := 0
	for range 2 * startsAtOnce {
		if b.raw(http.MethodPost, "/start", nil).status == http.StatusTooManyRequests {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, startsAtOnce/2)
}

// What somebody did in a session that is over, or of a claim whose code was given anew, is not done.
func TestASessionEnds(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 100_000)
	form := b.get("/claim/withdraw").page
	_, err := w.store.NewCode(t.Context(), number, true) // on the telephone
	require.NoError(t, err)
	b.post("/claim/withdraw")
	require.Equal(t, "/enter", b.path)
	require.Equal(t, claims.Received, w.load(number).State)

	b.again(number).get("/claim").shows("접수됨")
	b.page = form
	require.Equal(t, http.StatusForbidden, b.post("/claim/withdraw").status, "a form of the session before")
	b.get("/claim/withdraw")
	w.at = w.at.Add(store.SessionFor)
	b.post("/claim/withdraw")
	require.Equal(t, "/enter", b.path)
	require.Equal(t, claims.Received, w.load(number).State)
}
