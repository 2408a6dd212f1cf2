package desk

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/desk/signon/signontest"
)

const signOnBack = "https://desk.example/granter/oidc/callback"

// staff are whom the provider knows.
var staff = []signontest.User{
	{ID: "1001", Email: "mira@example.com", Groups: []string{"cs", "everybody"}},
	{ID: "1002", Email: "joe@example.com", Groups: []string{"ops"}},
	{ID: "1003", Email: "kim@example.com", Groups: []string{"everybody"}},
	{ID: "1004", Email: "lee@example.com", Groups: []string{"ops", "fired"}},
}

const staffLines = `
gone none claim:groups=fired
support-staff support campaigns:sorry-2022 claim:groups=cs
operators operator claim:groups=ops
`

// withProvider makes people sign in by an OpenID provider, beside those with tokens.
func withProvider(p **signontest.Provider) func(*world) {
	return func(w *world) {
		*p = signontest.Start(w, staff, signOnBack)
		secret := filepath.Join(filepath.Dir(w.cfg.Access), "oidc.secret")
		require.NoError(w, os.WriteFile(secret, []byte(signontest.Secret), 0o600))
		w.clients = append(w.clients, fmt.Sprintf(
			"oidc.issuer %s\noidc.client %s\noidc.secret file:oidc.secret\noidc.redirect %s\noidc.title Acme ID\n"+
				"oidc.ask the IT desk, it@example.com # who gives roles\n%s",
			(*p).URL, signontest.Client, signOnBack, staffLines))
		w.rotate()
	}
}

// signOn signs somebody in by the provider, as a browser does, and returns the desk's last answer.
func (b *browser) signOn(p *signontest.Provider, email, next string) answer {
	b.Helper()
	begun := b.visit(http.MethodGet, "/oidc/sign-in?"+url.Values{"next": {next}}.Encode(), nil)
	begun.is(http.StatusSeeOther)
	return b.comeBack(p.Visit(b, begun.header.Get("Location"), email))
}

func (b *browser) comeBack(to *url.URL) answer {
	b.Helper()
	require.Equal(b, signOnBack, to.Scheme+"://"+to.Host+to.Path)
	return b.visit(http.MethodGet, "/oidc/callback?"+to.RawQuery, nil, "Sec-Fetch-Site", "cross-site")
}

// Sign in, look up a user, act, order, sign out: each under the name that the provider vouches for.
func TestPeopleSignInByTheirProvider(t *testing.T) {
	var p *signontest.Provider
	w := newWorld(t, withProvider(&p), acting, func(w *world) { w.cfg.Reads = accesslog.New(w.connection) })
	w.grant()
	b := newBrowser(w)
	page := b.visit(http.MethodGet, "/users/2", nil)
	page.isPage(http.StatusUnauthorized)
	require.Contains(t, string(page.body), `href="../oidc/sign-in?next=users%2F2"`)
	require.Contains(t, readable(page.body), "Sign in with Acme ID")
	var problem Problem
	b.visit(http.MethodGet, "/api/v1/me", nil).into(&problem)
	require.Equal(t, &signOnAt{"oidc/sign-in", "Acme ID"}, problem.SignIn)

	in := b.signOn(p, "mira@example.com", "users/2")
	in.is(http.StatusSeeOther)
	require.Equal(t, "/granter/users/2", in.header.Get("Location"))
	for _, line := range in.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		require.NoError(t, err)
		require.True(t, c.HttpOnly && c.Secure, line)
		require.True(t, strings.HasPrefix(c.Path, "/granter/"), line)
		require.NotContains(t, line, "mira")
	}
	who := "mira@example.com (1001 at " + strings.TrimPrefix(p.URL, "http://") + ")"
	page = b.visit(http.MethodGet, "/users/2", nil)
	page.isPage(http.StatusOK)
	require.Contains(t, readable(page.body), "Signed in as mira@example.com Sign out")
	var m me
	b.visit(http.MethodGet, "/api/v1/me", nil).into(&m)
	require.Equal(t, who, m.Name)
	require.Equal(t, RoleSupport, m.Role)
	require.True(t, m.SignedOn)
	b.visit(http.MethodGet, "/api/v1/campaigns/other/status", nil).is(http.StatusForbidden)
	order := b.visit(http.MethodPost, base+"/orders", nil, "Content-Type", "application/json")
	require.Contains(t, order.is(http.StatusForbidden), "role support, needs one of the rights")

	note := "/users/2/acts/sorry-2022/note"
	form := carried(b.form(note))
	form.Set("reason", "SUP-7: asked again")
	b.send(note, carried(b.send(note, form))).is(http.StatusSeeOther)
	require.Equal(t, who, w.trail()[len(w.trail())-1].Who)
	var read []string
	require.NoError(t, accesslog.New(w.connection).Each(t.Context(), accesslog.Query{}, func(e *accesslog.Entry) error {
		read = append(read, e.Who)
		return nil
	}))
	require.Contains(t, read, who)
	require.Equal(t, who, w.logged("signed in")[0]["who"])

	out := b.visit(http.MethodPost, "/users/sign-out", url.Values{})
	out.isPage(http.StatusOK)
	require.Contains(t, string(out.body), `content="0; url=`+p.URL+"/end_session?")
	require.NotContains(t, b.cookies, sessionCookie)
	b.visit(http.MethodGet, "/users/2", nil).isPage(http.StatusUnauthorized)
	b.visit(http.MethodGet, "/oidc/signed-out", nil).isPage(http.StatusOK)
}

// Other sites can send nothing with a session but links, which change nothing.
func TestASessionIsOfNoUseToOtherSites(t *testing.T) {
	var p *signontest.Provider
	w := newWorld(t, withProvider(&p))
	b := newBrowser(w)
	b.signOn(p, "joe@example.com", "").is(http.StatusSeeOther)
	pause := request{method: http.MethodPost, path: base + "/orders", body: `{"action":"pause","why":"OPS-1"}`}
	for _, site := range []string{"cross-site", "same-site"} {
		pause.header = map[string]string{"Cookie": sessionCookie + "=" + b.cookies[sessionCookie], "Sec-Fetch-Site": site}
		w.ask(pause).is(http.StatusForbidden)
	}
	b.visit(http.MethodPost, "/oidc/sign-out", nil, "Sec-Fetch-Site", "cross-site").is(http.StatusForbidden)
	for _, entry := range w.trail() {
		require.Contains(t, entry.Refused, "cross-origin")
	}
	pause.header["Sec-Fetch-Site"] = "same-origin"
	w.ask(pause).is(http.StatusOK)
	done := w.trail()[len(w.trail())-1]
	require.Equal(t, grant.ActionPause, done.Action)
	require.Contains(t, done.Who, "joe@example.com (1002 at ")
	for _, next := range []string{"https://evil.example", "//evil.example", "users/../../x", "campaigns/../x", "oidc/sign-out"} {
		in := newBrowser(w).signOn(p, "joe@example.com", next)
		require.Contains(t, []string{"/granter/", "/granter/users"}, in.header.Get("Location"), next)
	}
}

// Who has no role gets no session, and is told whom to ask; whose role goes is out at once.
func TestWithoutARoleNobodyIsLetIn(t *testing.T) {
	var p *signontest.Provider
	w := newWorld(t, withProvider(&p))
	for _, email := range []string{"kim@example.com", "lee@example.com"} { // the one in no line, the other in the first that fits
		b := newBrowser(w)
		page := b.signOn(p, email, "users/2")
		page.isPage(http.StatusForbidden)
		require.Contains(t, readable(page.body), "the provider knows you as "+email)
		require.Contains(t, readable(page.body), "Ask for a role: the IT desk, it@example.com")
		require.NotContains(t, b.cookies, sessionCookie)
		korean := b.visit(http.MethodGet, "/oidc/callback", nil, "Accept-Language", "ko")
		korean.isPage(http.StatusBadRequest)
		require.Contains(t, readable(korean.body), "로그인하지 못했습니다")
	}
	b := newBrowser(w)
	b.signOn(p, "mira@example.com", "users").is(http.StatusSeeOther)
	b.visit(http.MethodGet, "/users", nil).isPage(http.StatusOK)
	text, err := os.ReadFile(w.cfg.Access)
	require.NoError(t, err)
	w.allow(strings.Replace(string(text), "gone none claim:groups=fired", "gone none claim:sub=1001", 1))
	await(
		t,
		"what the files say now",
		func() bool { return b.visit(http.MethodGet, "/users", nil).status == http.StatusForbidden },
	)
	detail := b.visit(http.MethodGet, "/api/v1/me", nil).is(http.StatusForbidden)
	require.Contains(t, detail, "no line of the access file gives you a role: ask the IT desk")
	require.Contains(t, readable(b.visit(http.MethodGet, "/users", nil).body), "Sign out, to sign in as somebody else")
	// Without a provider its sessions end, and there is no such sign-in.
	w.clients = nil
	w.rotate()
	await(
		t,
		"what the files say now",
		func() bool { return b.visit(http.MethodGet, "/oidc/sign-in", nil).status == http.StatusNotFound },
	)
	b.visit(http.MethodGet, "/users", nil).isPage(http.StatusUnauthorized)
}

// When the provider is away, nobody signs in by it, and everything else goes on.
func TestAProviderThatIsAwayKeepsNobodyElseOut(t *testing.T) {
	var p *signontest.Provider
	w := newWorld(t, withProvider(&p))
	b := newBrowser(w)
	b.signOn(p, "mira@example.com", "users").is(http.StatusSeeOther)
	begun := b.visit(http.MethodGet, "/oidc/sign-in", nil)
	back := p.Visit(t, begun.header.Get("Location"), "joe@example.com")
	p.Away(true)
	page := b.comeBack(back)
	page.isPage(http.StatusServiceUnavailable)
	require.Contains(t, readable(page.body), p.URL+" does not answer as an OpenID provider")
	require.Contains(t, readable(page.body), "Who has a token can sign in by it")
	w.get(RoleViewer, "/api/v1/me").is(http.StatusOK)
	b.visit(http.MethodGet, "/users", nil).isPage(http.StatusOK)
	out := b.visit(http.MethodPost, "/oidc/sign-out", nil, "Accept", "application/json")
	out.is(http.StatusOK)
	require.NotEmpty(t, w.logged("nobody can sign in by the OpenID provider"))
	require.Positive(t, w.metric("refusals_total", "reason", "provider"))

	// A secret that is gone is said at once, and keeps nobody else out either.
	require.NoError(t, os.Remove(filepath.Join(filepath.Dir(w.cfg.Access), "oidc.secret")))
	await(t, "what the files say now", func() bool { return strings.Contains(w.server.NotReady(), "signing in by") })
	await(t, "what the files say now", func() bool { return w.metric("file_broken", "file", "oidc") == 1 })
	w.get(RoleViewer, "/api/v1/me").is(http.StatusOK)
}

func TestAForgedAnswerIsRefusedOnAPage(t *testing.T) {
	var p *signontest.Provider
	w := newWorld(t, withProvider(&p))
	b := newBrowser(w)
	begun := b.visit(http.MethodGet, "/oidc/sign-in?next=users", nil)
	back := p.Visit(t, begun.header.Get("Location"), "mira@example.com")
	stranger := newBrowser(w).comeBack(back) // who was sent the link
	stranger.isPage(http.StatusBadRequest)
	require.Contains(t, readable(stranger.body), "this browser has begun no such sign-in")
	b.comeBack(back).is(http.StatusSeeOther)
	again := b.comeBack(back)
	again.isPage(http.StatusBadRequest)
	require.Positive(t, w.metric("refusals_total", "reason", "sign_in"))
	b.cookies[sessionCookie] = b.cookies[sessionCookie][:80] + "AAAA"
	require.Contains(t, b.visit(http.MethodGet, "/api/v1/me", nil).is(http.StatusUnauthorized), "the session has ended")
}

func TestAccessFileSaysWhatIsWrongWithTheProvider(t *testing.T) {
	good := "oidc.issuer https://id.example\noidc.client desk\noidc.secret env:X\n" +
		"oidc.redirect https://desk.example/oidc/callback\n"
	for text, says := range map[string]string{
		"ops operator claim:groups=ops\n":    "ops has a claim, which no provider says: add oidc.issuer",
		good:                                 "nobody who signs in by oidc.issuer could do anything",
		good + "ops operator claim:groups\n": "line 5: claim: want CLAIM=VALUE",
		good + "ops none sha256:" + strings.Repeat("0", 64):      "the second field wants to be",
		good + "ops operator claim:a=b\noidc.issuer https://b":   "line 6: oidc.issuer is in line 1 already",
		good + "ops operator claim:a=b\noidc.colour red":         "oidc.colour: there is no such setting",
		good + "ops operator claim:a=b\noidc.session 1m":         "line 6: oidc.session: want a time from 5m0s to 24h0m0s",
		good + "ops operator claim:a=b\noidc.scopes profile":     "want openid among them",
		"oidc.issuer http://id.example\nops viewer claim:a=b":    "line 1: oidc.issuer: want https",
		good + "oidc.session_key s3cret\nops viewer claim:a=b":   "the secret itself does not belong here",
		good + "ops viewer claim:a=b\nothers viewer claim:a=b\n": "line 6: its token or certificate is that of line 5",
	} {
		_, err := ParseAccess(text)
		require.ErrorContains(t, err, says, text)
		require.NotContains(t, err.Error(), "s3cret")
	}
	a, err := ParseAccess(
		good + "oidc.name preferred_username\noidc.session 4h # a shift\n" +
			"ops operator campaigns:a,b claim:realm.roles=ops team # x\n",
	)
	require.NoError(t, err)
	require.Equal(t, "preferred_username", a.provider.Name)
	require.Equal(t, map[string][]string{"realm.roles": {"ops team"}}, a.provider.Wanted)
	require.Equal(t, "a,b", a.claims[0].only)
}

// The example that people copy is one.
func TestTheExampleOfAnAccessFileIsGood(t *testing.T) {
	text, err := os.ReadFile("../../docs/sign-in.md")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(text), "```\n")
	example, _, _ = strings.Cut(example, "```")
	a, err := ParseAccess(example)
	require.NoError(t, err)
	require.Len(t, a.claims, 4)
	require.Equal(t, "https://desk.example/oidc/callback", a.provider.Redirect)
	for _, name := range []string{
		"issuer", "client", "secret", "redirect", "name", "scopes", "session", "session_key", "title", "ask",
	} {
		require.Contains(t, string(text), "`oidc."+name+"`")
	}
}
