package desk

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// signedIn is a browser without a script in which somebody is signed in.
func (w *world) signedIn(token string) *browser {
	w.Helper()
	b := newBrowser(w)
	b.visit(http.MethodPost, "/users/sign-in", url.Values{"token": {token}}).is(http.StatusSeeOther)
	return b
}

var inputs = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// carried are the hidden fields of a page's form.
func carried(page answer) url.Values {
	out := url.Values{}
	for _, m := range inputs.FindAllStringSubmatch(string(page.body), -1) {
		out.Set(m[1], strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(m[2]))
	}
	return out
}

func (b *browser) form(path string) answer { return b.visit(http.MethodGet, path, nil) }

// send fills a form in.
func (b *browser) send(path string, fields url.Values) answer {
	return b.visit(http.MethodPost, path, fields)
}

func (w *world) user(id uint64) ledger.User {
	w.Helper()
	found, err := w.reader.Users(w.Context(), grant.NumberIDs(id))
	require.NoError(w, err)
	return found[0]
}

const revokePage = "/users/2/acts/sorry-2022/revoke"

// An agent without a script: the link, the form, what will happen, the act; and what is sent again is done once.
func TestAnActIsConfirmedWithoutAScript(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleOperator])
	user := b.form("/users/2")
	for _, link := range []string{"revoke", "extend", "move", "note"} {
		require.Contains(t, string(user.body), `href="../users/2/acts/sorry-2022/`+link+`"`)
	}
	require.NotContains(t, string(user.body), "acts/sorry-2022/hand")
	fields := carried(b.form(revokePage))
	require.NotEmpty(t, fields.Get("seen"))
	fields.Set("reason", `<script>alert("x")</script> & 부정`)
	fields.Set("revocation", "fraud")
	page := b.send(revokePage, fields)
	page.isPage(http.StatusOK)
	require.Contains(t, readable(page.body), "User 2 loses sorry-2022 (thank-you, cheer-up, cash), from now on: fraud.")
	require.NotContains(t, string(page.body), "<script>alert", "a reason is text")
	require.Nil(t, w.user(2).State.Revoked, "nothing is done before it is confirmed")
	confirmed := carried(page)
	done := b.send(revokePage, confirmed)
	done.is(http.StatusSeeOther)
	require.Equal(t, "../../../../users/2?act=revoke&did="+confirmed.Get("request"), done.header.Get("Location"))
	require.Equal(t, "a-operator", w.user(2).State.Revoked.Who)
	require.Equal(t, fields.Get("reason"), w.user(2).State.Revoked.Reason)
	after := b.form("/users/2?act=revoke&did=" + confirmed.Get("request"))
	require.Contains(t, readable(after.body), "Done: Revoke.")
	require.NotContains(t, string(after.body), "<script>alert")
	require.NotContains(t, readable(b.form("/users/2?act=revoke&did=forged").body), "Done:")

	b.send(revokePage, confirmed).is(http.StatusSeeOther)
	require.Len(t, w.user(2).State.Acts, 1, "sent again, it is done once")
	again := carried(b.form("/users/2/acts/sorry-2022/reinstate"))
	again.Set("reason", "was wrong")
	b.send("/users/2/acts/sorry-2022/reinstate", carried(b.send("/users/2/acts/sorry-2022/reinstate", again))).
		is(http.StatusSeeOther)
	require.Nil(t, w.user(2).State.Revoked)
	b.send(revokePage, confirmed)
	require.Nil(t, w.user(2).State.Revoked, "nor after something else was done")
}

// What was not shown to whoever confirms it is not done: it is shown, and done when that is confirmed.
func TestAForgedActIsNotDone(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleOperator])
	fields := carried(b.form(revokePage))
	fields.Set("reason", "x")
	fields.Set("revocation", "fraud")
	sealed := carried(b.send(revokePage, fields))
	for name, change := range map[string]func(url.Values){
		"without a seal":  func(f url.Values) { f.Del("seal") },
		"another seal":    func(f url.Values) { f.Set("seal", strings.Repeat("0", 64)) },
		"another reason":  func(f url.Values) { f.Set("reason", "y") },
		"another kind":    func(f url.Values) { f.Set("revocation", "mistake") },
		"another time":    func(f url.Values) { f.Set("time", "2022-01-01T00:00") },
		"another request": func(f url.Values) { f.Set("request", "mine") },
	} {
		forged := url.Values{}
		for field := range sealed {
			forged.Set(field, sealed.Get(field))
		}
		change(forged)
		page := b.send(revokePage, forged)
		page.isPage(http.StatusOK)
		require.Contains(t, readable(page.body), "This will happen", name)
		require.Nil(t, w.user(2).State.Revoked, name)
	}
	b.send("/users/1/acts/sorry-2022/revoke", sealed).isPage(http.StatusOK) // shown again, of that user
	require.Nil(t, w.user(1).State.Revoked)
	b.visit(http.MethodPost, revokePage, sealed, "Sec-Fetch-Site", "cross-site").isPage(http.StatusForbidden)
	b.visit(http.MethodPost, revokePage, sealed, "Content-Type", "text/plain").isPage(http.StatusUnsupportedMediaType)
	other := w.signedIn(w.tokens[RoleSupport])
	other.send(revokePage, sealed).isPage(http.StatusForbidden)
	require.Nil(t, w.user(2).State.Revoked)
}

// Whoever may not is shown no control, and is refused; a note is for support.
func TestControlsOfActsAreForThoseWhoMay(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleSupport])
	page := string(b.form("/users/2").body)
	require.Contains(t, page, "acts/sorry-2022/note")
	require.NotContains(t, page, "acts/sorry-2022/revoke")
	require.NotContains(t, page, "users/waiting")
	b.form(revokePage).isPage(http.StatusForbidden)
	b.form("/users/waiting").isPage(http.StatusForbidden)
	note := "/users/2/acts/sorry-2022/note"
	fields := carried(b.form(note))
	fields.Set("reason", "waits for papers")
	b.send(note, carried(b.send(note, fields))).is(http.StatusSeeOther)
	require.Len(t, w.user(2).State.Notes, 1)
}

func TestWhatCannotBeDoneIsSaidOnTheForm(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleOperator])
	for _, c := range []struct {
		path   string
		fields url.Values
		status int
		says   string
	}{
		{revokePage, url.Values{"reason": {"x"}}, http.StatusUnprocessableEntity, "want mistake, fraud or request"},
		{revokePage, url.Values{"revocation": {"fraud"}}, http.StatusUnprocessableEntity, "say why"},
		{
			revokePage, url.Values{"revocation": {"fraud"}, "reason": {strings.Repeat("가", 501)}},
			http.StatusUnprocessableEntity, "501 characters",
		},
		{"/users/2/acts/sorry-2022/exclude", url.Values{"reason": {"x"}}, http.StatusConflict, "only revoke takes that back"},
		{"/users/2/acts/sorry-2022/move", url.Values{"reason": {"x"}, "to": {"2"}}, http.StatusConflict, "the same account"},
		{"/users/2/acts/sorry-2022/move", url.Values{"reason": {"x"}, "to": {"1"}}, http.StatusConflict, "granted already"},
		{
			"/users/2/acts/sorry-2022/extend", url.Values{"reason": {"x"}, "time": {"soon"}},
			http.StatusBadRequest, "2023-01-20T09:00",
		},
		{"/users/99999999999999999999/acts/sorry-2022/hand", nil, http.StatusUnprocessableEntity, "Nothing was done"},
		{"/users/2/acts/sorry-2022/explode", nil, http.StatusNotFound, "no such act"},
		{"/users/2/acts/none/note", nil, http.StatusNotFound, "none"},
	} {
		page := b.send(c.path, c.fields)
		page.isPage(c.status)
		require.Contains(t, readable(page.body), c.says, c.path)
	}
	huge := url.Values{"reason": {strings.Repeat("x", maxForm)}, "revocation": {"fraud"}}
	require.GreaterOrEqual(t, b.send(revokePage, huge).status, http.StatusBadRequest)
	require.Empty(t, w.user(2).State.Acts)
}

// What takes two people is proposed by one on the page, and approved by another one.
func TestActsAreDecidedOnThePage(t *testing.T) {
	ruled := aCampaign()
	ruled.Approval = &grant.Approval{Within: time.Hour}
	token, line, err := NewToken("b-operator", RoleOperator)
	require.NoError(t, err)
	w := newWorld(t, acting, func(w *world) {
		w.cfg.Campaign = ruled
		w.allow(w.accessLine(RoleOperator) + line)
	})
	w.grantTo(1, 2)
	mine, other := w.signedIn(w.tokens[RoleOperator]), w.signedIn(token)
	fields := carried(mine.form(revokePage))
	fields.Set("reason", "<b>bot</b>")
	fields.Set("revocation", "fraud")
	page := mine.send(revokePage, fields)
	require.Contains(t, readable(page.body), "It takes two people")
	proposed := mine.send(revokePage, carried(page))
	require.Equal(t, "../../../../users/waiting", proposed.header.Get("Location"))
	require.Nil(t, w.user(2).State.Revoked)
	queue := other.form("/users/waiting")
	require.Contains(t, string(queue.body), "&lt;b&gt;bot&lt;/b&gt;")
	decide := carried(queue)
	decide.Set("decision", "approve")
	decide.Set("reason", "checked")
	self := mine.send("/users/waiting", decide)
	self.isPage(http.StatusConflict)
	require.Contains(t, readable(self.body), "somebody else has to approve it")
	done := other.send("/users/waiting", decide)
	done.isPage(http.StatusOK)
	require.Contains(t, readable(done.body), "Approved and done: 1 of 1 users.")
	require.Equal(t, "a-operator", w.user(2).State.Revoked.Who)
	again := other.send("/users/waiting", decide)
	again.isPage(http.StatusOK)
	require.Contains(t, readable(again.body), "Approved and done: 1 of 1 users.", "a button that is tapped twice has not failed")
	require.Len(t, w.user(2).State.Acts, 1)
	decide.Set("reason", "checked again")
	other.send("/users/waiting", decide).isPage(http.StatusConflict)
}
