package desk

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// browser is one that has no script, and keeps cookies.
type browser struct {
	*world
	cookies map[string]string
}

func (b *browser) visit(method, path string, form url.Values, headers ...string) answer {
	b.Helper()
	r := request{method: method, path: path, header: map[string]string{"Sec-Fetch-Site": "same-origin"}, body: form.Encode()}
	if method == http.MethodPost {
		r.header["Content-Type"] = formType
	}
	var jar []string
	for name, value := range b.cookies {
		jar = append(jar, name+"="+value)
	}
	r.header["Cookie"] = strings.Join(jar, "; ")
	for i := 0; i < len(headers); i += 2 {
		r.header[headers[i]] = headers[i+1]
	}
	a := b.ask(r)
	for _, line := range a.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		require.NoError(b, err)
		require.True(b, c.Secure)
		require.Equal(b, http.SameSiteLaxMode, c.SameSite)
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return a
}

func (b *browser) search(query string) string {
	b.Helper()
	a := b.visit(http.MethodPost, "/users", url.Values{"q": {query}})
	a.is(http.StatusOK)
	return readable(a.body)
}

var (
	tags   = regexp.MustCompile(`<[^>]+>`)
	spaces = regexp.MustCompile(`\s+`)
)

// readable is a page's text.
func readable(page []byte) string {
	text := spaces.ReplaceAllString(tags.ReplaceAllString(string(page), " "), " ")
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(text)
}

func newBrowser(w *world) *browser { return &browser{w, map[string]string{}} }

// Without a script: sign in, look up what was pasted, read the answer, sign out.
func TestUsersAreLookedUpWithoutAScript(t *testing.T) {
	w := newWorld(t)
	w.grant()
	b := newBrowser(w)
	page := b.visit(http.MethodGet, "/users/2", nil)
	page.isPage(http.StatusUnauthorized)
	require.Contains(t, string(page.body), `value="users/2"`, "it goes on where somebody wanted to go")
	require.NotContains(t, string(page.body), "Not signed in", "who just came has done nothing wrong")

	wrong := b.visit(http.MethodPost, "/users/sign-in", url.Values{"token": {"granter_wrong"}, "next": {"users/2"}})
	wrong.isPage(http.StatusUnauthorized)
	require.Contains(t, readable(wrong.body), "Not signed in: the token is not in the access file")
	require.Empty(t, b.cookies)

	in := b.visit(http.MethodPost, "/users/sign-in", url.Values{"token": {w.tokens[RoleSupport]}, "next": {"users/2"}})
	in.is(http.StatusSeeOther)
	require.Equal(t, "../users/2", in.header.Get("Location"))
	one := b.visit(http.MethodGet, "/users/2", nil)
	one.isPage(http.StatusOK)
	for _, want := range []string{
		"User 2", "Granted: 1 of 1 campaigns.", "Granted Three emoticons for everybody",
		"Active thank-you · emoticon · yours without an end",
		"Timeline", "Show the record itself",
		"“Three emoticons for everybody” was added to your account",
	} {
		require.Contains(t, readable(one.body), want)
	}

	text := b.search("  ００３，\n2\n2\n010-1234-5678")
	for _, want := range []string{
		"2 users", "“００３，” is user 3: full-width digits, without the zeros in front.", "IDs that were there more than once: 1.",
		"“010-1234-5678” was not looked up: it looks like a phone number; users are known by their ID.",
		"Look up user 1012345678 all the same", "Records wait (4), and no replica of granter runs",
	} {
		require.Contains(t, text, want)
	}
	require.Contains(t, b.search("nobody"), "There is no ID in it.")
	require.NotContains(t, b.search(""), "There is no ID in it.")
	require.Contains(t, b.search(strings.Repeat("1\n", 3)+"<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;")

	b.visit(http.MethodGet, "/users/02", nil).isPage(http.StatusBadRequest)
	b.visit(http.MethodPost, "/users/sign-out", url.Values{}).is(http.StatusSeeOther)
	b.visit(http.MethodGet, "/users/2", nil).isPage(http.StatusUnauthorized)
}

// isPage requires a page with its policy.
func (a answer) isPage(code int) {
	a.Helper()
	require.Equal(a, code, a.status, "%s", a.body)
	require.Equal(a, "text/html; charset=utf-8", a.header.Get("Content-Type"))
	require.Contains(a, a.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; ")
	require.Contains(a, a.header.Get("Content-Security-Policy"), "form-action 'self'")
	require.Equal(a, "no-store", a.header.Get("Cache-Control"))
	require.Contains(a, string(a.body), "<!doctype html>")
}

// The cookie opens the page, and nothing else; and other sites can use neither.
func TestTheCookieIsForThePageOnly(t *testing.T) {
	w := newWorld(t)
	b := newBrowser(w)
	b.cookies[tokenCookie] = w.tokens[RoleOperator]
	b.visit(http.MethodGet, "/users", nil).isPage(http.StatusOK)
	b.visit(http.MethodGet, "/api/v1/me", nil).is(http.StatusUnauthorized)
	b.visit(http.MethodGet, base+"/users/2", nil).is(http.StatusUnauthorized)
	order := b.visit(http.MethodPost, base+"/orders", nil, "Content-Type", "application/json")
	order.is(http.StatusUnauthorized)

	b.visit(http.MethodPost, "/users", url.Values{"q": {"2"}}, "Sec-Fetch-Site", "cross-site").isPage(http.StatusForbidden)
	in := url.Values{"token": {w.tokens[RoleSupport]}}
	b.visit(http.MethodPost, "/users/sign-in", in, "Sec-Fetch-Site", "cross-site").isPage(http.StatusForbidden)
	b.visit(http.MethodPost, "/users", url.Values{"q": {"2"}}, "Content-Type", "text/plain").
		isPage(http.StatusUnsupportedMediaType)
	for _, next := range []string{"https://example.com/", "//example.com", "users/../orders", "users/x", ""} {
		in.Set("next", next)
		require.Equal(t, "../users", b.visit(http.MethodPost, "/users/sign-in", in).header.Get("Location"), next)
	}
}

// Who may not look up users is told so, by name; and the token of a viewer shows nothing.
func TestThePageNeedsTheRight(t *testing.T) {
	w := newWorld(t)
	w.grant()
	b := newBrowser(w)
	b.cookies[tokenCookie] = w.tokens[RoleViewer]
	for _, a := range []answer{
		b.visit(http.MethodGet, "/users", nil), b.visit(http.MethodGet, "/users/2", nil),
		b.visit(http.MethodPost, "/users", url.Values{"q": {"2"}}),
	} {
		a.isPage(http.StatusForbidden)
		require.Contains(t, readable(a.body), "needs the right users")
		require.NotContains(t, readable(a.body), "Granted")
	}
}

// In the language that the browser asks for, or that somebody chose, and in the zone of the reader, too.
func TestThePageSpeaksTheReadersLanguage(t *testing.T) {
	w := newWorld(t)
	w.grant()
	b := newBrowser(w)
	b.cookies[tokenCookie] = w.tokens[RoleSupport]
	ko := b.visit(http.MethodGet, "/users/2", nil, "Accept-Language", "ko-KR,ko;q=0.9")
	require.Contains(t, string(ko.body), `<html lang="ko">`)
	require.Contains(t, readable(ko.body), "지급됨: 캠페인 1개 중 1개.")
	require.Contains(t, string(ko.body), `lang="en"`, "what is in another language says so")

	en := b.visit(http.MethodPost, "/users", url.Values{"q": {"2"}, "lang": {"en"}, "tz": {"America/New_York"}},
		"Accept-Language", "ko-KR")
	require.Contains(t, string(en.body), `<html lang="en">`)
	require.Regexp(t, `\(\d+ \w+ \d{4}, \d\d:\d\d:\d\d \(UTC-0[45]:00\) for you\)`, readable(en.body))
	again := b.visit(http.MethodGet, "/users", nil, "Accept-Language", "ko-KR")
	require.Contains(t, string(again.body), `<html lang="en">`, "it is remembered")
	require.Contains(t, string(again.body), `<option value="America/New_York" selected>`)
}

// Whoever is looked up on the page is in the access log before the answer; the log of the process says how many.
func TestALookupOnThePageIsRecorded(t *testing.T) {
	var log readings
	w := newWorld(t, func(w *world) { w.cfg.Reads = &log })
	b := newBrowser(w)
	b.cookies[tokenCookie] = w.tokens[RoleSupport]
	b.search("41231007 41231008")
	require.Len(t, log.all, 1)
	require.Equal(t, grant.NumberIDs(41_231_007, 41_231_008), log.all[0].Users)
	require.Equal(t, "a-support", log.all[0].Who)
	lines := w.logged("users were looked up")
	require.Len(t, lines, 1)
	require.NotContains(t, fmt.Sprint(lines), "41231007")

	log.err = errors.New("the disk is full")
	a := b.visit(http.MethodPost, "/users", url.Values{"q": {"41231007"}})
	a.isPage(http.StatusServiceUnavailable)
	require.Contains(t, readable(a.body), "It could not be looked up: the disk is full")
	require.NotContains(t, readable(a.body), "Granted:")
}

// As many as the API has on a page are looked up at once, whatever makes their text long; a longer text is not read in half.
func TestAThousandUsersAreLookedUpAtOnce(t *testing.T) {
	var log readings
	w := newWorld(t, func(w *world) { w.cfg.Reads = &log })
	b := newBrowser(w)
	b.cookies[tokenCookie] = w.tokens[RoleSupport]
	search := func(ids int) answer {
		var list strings.Builder
		for i := range ids { // nine bytes a digit, when it is escaped
			fmt.Fprintln(&list, wide(fmt.Sprintf("%019d", i)))
		}
		return b.visit(http.MethodPost, "/users", url.Values{"q": {list.String()}, "why": {"ticket 4711"}})
	}
	page := search(1002)
	page.isPage(http.StatusOK)
	require.Contains(t, readable(page.body), "Paste one ID or a list of up to 1,000,")
	require.Contains(t, readable(page.body), "Only the first 1,000 users were looked up; 2 more were left out.")
	require.Len(t, log.all, 1)
	require.Len(t, log.all[0].Users, 1000)

	page = search(2000)
	page.isPage(http.StatusRequestEntityTooLarge)
	require.Contains(t, readable(page.body), "The form has more than 256,000 bytes, so nothing of it was read.")
	require.Len(t, log.all, 1)
}

// Whatever goes wrong, a Korean page says it in Korean; what it says in English besides is marked as such.
func TestProblemsAreSaidInTheReadersLanguage(t *testing.T) {
	for k := range statuses {
		says, english := newProblem(k, "detail").on(lookup.Korean)
		require.Regexp(t, `\p{Hangul}`, says, k)
		require.Equal(t, "detail", english)
		says, english = newProblem(k, "detail").on(lookup.English)
		require.Equal(t, []string{"detail", ""}, []string{says, english})
	}
	w := newWorld(t)
	b := newBrowser(w)
	b.cookies[tokenCookie] = w.tokens[RoleSupport]
	var list []string
	for i := range 21 {
		list = append(list, strconv.Itoa(1000+i))
	}
	page := b.visit(http.MethodPost, "/users", url.Values{"q": {strings.Join(list, ",")}}, "Accept-Language", "ko-KR")
	page.isPage(http.StatusUnprocessableEntity)
	require.Contains(t, string(page.body), `조회하지 못했습니다: 한 번에 20명을 넘게 조회하려면 사유가 필요합니다.`)
	require.Contains(t, string(page.body), `<span class="note" lang="en">why: looking up 21 users at once needs a reason`)
}

// wide writes digits as Korean and Japanese keyboards do.
func wide(digits string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, digits)
}
