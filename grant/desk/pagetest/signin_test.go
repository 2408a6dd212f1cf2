//go:build integration

package pagetest

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func TestSignIn(t *testing.T) {
	d := newDesk(t, running())
	p := open(t, d)
	p.await("!document.getElementById('sign-in').hidden")
	p.awaitFocus("token")
	require.Empty(t, p.text("sign-in-error"), "nobody has done anything wrong yet")

	p.signIn("granter_wrong")
	p.shows("sign-in-error", "This token is not known here")
	require.False(t, p.visible("desk"))
	require.Empty(t, eval[string](p, "Object.values(sessionStorage).join()"), "what opens nothing is not kept")
	require.Zero(t, d.asked("events"))

	p.signIn(operatorToken)
	p.await("!document.getElementById('sections').hidden")
	require.False(t, p.visible("sign-in"))
	require.Equal(t, "jiyoon", p.text("user-name"))
	require.Equal(t, "operator", p.text("user-role"))
	require.Equal(t, operatorToken, eval[string](p, "sessionStorage['granter-token']"))
	require.Zero(t, eval[int](p, "localStorage.length"), "nothing outlives the tab")
	require.Empty(t, eval[string](p, "document.cookie"))
	require.NotContains(t, eval[string](p, "document.documentElement.outerHTML"), operatorToken)

	p.do(chromedp.Reload())
	p.await("!document.getElementById('sections').hidden")

	p.click("sign-out")
	p.await("document.readyState === 'complete' && !document.getElementById('sign-in').hidden")
	require.Zero(t, eval[int](p, "sessionStorage.length"))
	require.NotContains(t, eval[string](p, "document.body.textContent"), "sorry-2022", "nothing of the campaign stays")
}

func TestSignInSaysWhatIsWrong(t *testing.T) {
	d := newDesk(t, running())
	p := open(t, d)
	for _, c := range []struct {
		token string
		fails *problem
		says  string
	}{
		{"", nil, "Paste the token"},
		{"gränter", nil, "This is no token"},
		{"x", &problem{Status: 403, Detail: "role none, needs viewer"}, "may not see the campaign: role none, needs viewer"},
		{"x", &problem{Status: 429, Detail: "too many", retryAfter: 7}, "Too many attempts. Try again in 7 s."},
		{"x", &problem{Status: 503, Detail: "Redis does not answer"}, "Redis does not answer"},
	} {
		d.change(func(d *desk) {
			clear(d.fails)
			if c.fails != nil {
				d.fails[d.path("me")] = c.fails
			}
		})
		p.signIn(c.token)
		p.shows("sign-in-error", c.says)
		p.awaitFocus("token")
	}
	d.comeBack()
	p.signIn(viewerToken)
	p.await("!document.getElementById('sections').hidden")
}

func TestClientCertificateNeedsNoToken(t *testing.T) {
	d := newDesk(t, running())
	d.without = &principal{"dohyun", "operator"}
	p := open(t, d)
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "dohyun", p.text("user-name"))
	require.True(t, p.visible("controls"))
	require.False(t, p.visible("sign-in"))
	require.False(t, p.visible("sign-out"), "there is nothing to forget")
	p.await(element("history-summary") + ".innerText !== ''")
	for _, h := range d.seen() {
		require.NotContains(t, h, "Authorization")
	}
}

func TestTokenThatEndsInTheMiddle(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	p.order("pause")
	d.change(func(d *desk) { delete(d.tokens, operatorToken) })
	d.hangUp()
	p.shows("sign-in-error", "may have been replaced")
	require.False(t, p.visible("desk"))
	require.False(t, eval[bool](p, element("order")+".open"))
	require.Zero(t, eval[int](p, "sessionStorage.length"))

	p.signIn(viewerToken)
	p.await("!document.getElementById('desk').hidden")
	p.shows("user-role", "viewer")
	require.False(t, p.visible("controls"))
}

// TestReloadWhileTheDeskIsAway must not ask for the token again: it is still there.
func TestReloadWhileTheDeskIsAway(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	d.goAway(&problem{Status: http.StatusBadGateway, Detail: "the desk starts"})
	p.do(chromedp.Reload())
	p.shows("sign-in-error", "the desk starts")
	d.comeBack()
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "jiyoon", p.text("user-name"))
}

// A link with a token opens the desk where nobody is signed in, and leaves no trace of it in the address.
func TestSignInByLink(t *testing.T) {
	d := newDesk(t, running())
	p := openAt(t, d.page()+"#token="+operatorToken)
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "operator", p.text("user-role"))
	require.Equal(t, d.page(), eval[string](p, "location.href"))
	require.Equal(t, operatorToken, eval[string](p, "sessionStorage['granter-token']"))

	// Who is signed in stays who he is.
	follow := func(token string) { eval[string](p, "location.hash = 'token="+token+"'") } // no load, for the page is the same
	follow(viewerToken)
	p.await("location.hash === ''")
	p.do(chromedp.Reload())
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "operator", p.text("user-role"))

	// A kept token that opens nothing any more gives way, and so does the sign-in that is shown.
	eval[string](p, "sessionStorage['granter-token'] = 'granter_old'")
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate(d.page()+"#token="+viewerToken))
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "viewer", p.text("user-role"))
	p.click("sign-out")
	p.await("document.readyState === 'complete' && !document.getElementById('sign-in').hidden")
	follow("granter_wrong")
	p.shows("sign-in-error", "This token is not known here")
	follow(operatorToken)
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "operator", p.text("user-role"))
}
