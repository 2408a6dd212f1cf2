//go:build integration

package pagetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/desk/signon/signontest"
)

// At a real provider, in a real browser: sign in from the operations page, pause, look up users by the same session, sign
// out of both.
func TestSignInByAProvider(t *testing.T) {
	access := filepath.Join(t.TempDir(), "access")
	line := fmt.Sprintf("jiyoon operator sha256:%x\n", sha256.Sum256([]byte(operatorToken)))
	require.NoError(t, os.WriteFile(access, []byte(line), 0o600))
	st := running()
	b := &book{campaign: &grant.Campaign{Name: st.Campaign, StartsAt: st.StartsAt}, st: st}
	server, err := realdesk.Start(realdesk.Config{
		Addr: "127.0.0.1:0", Access: access,
		Subject: realdesk.Subject{
			Campaign: b.campaign, Coordination: b, Reader: b, Status: b.Status,
			Bounds: func(context.Context) (grant.Bounds, error) { return grant.Bounds{}, nil },
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	provider := signontest.Start(t, []signontest.User{
		{ID: "1001", Email: "mira@example.com", Groups: []string{"ops"}},
		{ID: "1002", Email: "kim@example.com", Groups: []string{"nothing"}},
	}, server.URL()+"/oidc/callback")
	t.Setenv("GRANTER_TEST_OIDC", signontest.Secret)
	require.NoError(t, os.WriteFile(access, []byte(line+"oidc.issuer "+provider.URL+"\noidc.client "+signontest.Client+
		"\noidc.secret env:GRANTER_TEST_OIDC\noidc.redirect "+server.URL()+"/oidc/callback\noidc.title Acme ID\n"+
		"operators operator claim:groups=ops\n"), 0o600))
	require.Eventually(t, func() bool { return strings.Contains(get(t, server.URL()+"/api/v1/me"), "sign_in") }, patience,
		100*time.Millisecond)

	p := openAt(t, server.URL()+"/campaigns/"+st.Campaign+"/")
	p.await(`document.getElementById("sign-on")?.innerText.includes("Sign in with Acme ID")`)
	require.Empty(t, p.text("sign-in-error"), "nobody has done anything wrong yet")
	p.shot("oidc-sign-in", false)
	p.click("sign-on")
	p.atProvider("kim@example.com")
	p.await(`document.getElementById("told-title")?.innerText.includes("You may do nothing here yet")`)
	p.shot("oidc-no-role", false)
	p.do(chromedp.Navigate(server.URL() + "/campaigns/" + st.Campaign + "/"))
	p.click("sign-on")
	p.atProvider("mira@example.com")
	p.await("document.getElementById('sections')?.hidden === false")
	require.Equal(t, "mira@example.com", p.text("user-name"))
	require.Empty(t, eval[string](p, "document.cookie"), "out of the reach of scripts")
	require.Zero(t, eval[int](p, "sessionStorage.length"))
	p.order("pause")
	p.fill("order-why", "OPS-1")
	p.press("Enter")
	p.shows("order-obeyed", "2 of 2 replicas obey after ")
	p.press("Escape")
	p.shows("history", "Paused by mira@example.com (1001 at ")
	p.do(chromedp.Navigate(server.URL() + "/users"))
	p.await("document.getElementById('q')")
	require.Equal(t, "mira@example.com", p.text("user-name"))
	p.do(chromedp.Navigate(server.URL() + "/campaigns/" + st.Campaign + "/"))
	p.await("document.getElementById('sections')?.hidden === false")

	p.click("sign-out")
	p.await(`document.getElementById("told-title")?.innerText.includes("You are signed out")`)
	require.Equal(t, server.URL()+"/oidc/signed-out", eval[string](p, "location.href"))
	require.Equal(t, 1, provider.Ended())
	p.shot("oidc-signed-out", false)
	p.do(chromedp.Navigate(server.URL() + "/users"))
	p.await(`document.getElementById("sign-on")?.innerText.includes("Sign in with Acme ID")`)
	p.click("sign-on")
	p.atProvider("mira@example.com")
	p.await("document.getElementById('q')")
	p.click("sign-out")
	p.await("location.pathname === '/oidc/signed-out'")
	require.Equal(t, 2, provider.Ended(), "a form leads there, too")
	p.onAPhone(server.URL())
}

// onAPhone signs in and out by a provider in Korean, on a phone, by keyboard.
func (p *page) onAPhone(desk string) {
	p.t.Helper()
	script := axe(p.t)
	p.show(tablet, "light")
	p.do(chromedp.Navigate(desk + "/?lang=ko&next=users"))
	look := func(name string) {
		p.await("document.documentElement?.lang === 'ko'")
		p.shot("oidc-390-"+name, true)
		p.usable(name)
		p.clean(script, name)
		eval[any](p, "document.querySelectorAll('option').forEach((e) => e.remove()), null") // zones have names of their own
		require.Empty(p.t, p.english("Acme", "example.com", "mira", "kim"), name)
	}
	p.await(element("sign-on") + "?.checkVisibility()")
	look("sign-in")
	p.tabTo("#sign-on")
	p.press("Enter")
	p.atProvider("kim@example.com")
	p.await(element("told-title") + " !== null")
	look("no-role")
	p.do(chromedp.Navigate(desk + "/users"))
	p.await(element("sign-on") + "?.checkVisibility()")
	p.tabTo("#sign-on")
	p.press("Enter")
	p.atProvider("mira@example.com")
	p.await(element("q") + " !== null")
	look("signed-in")
	p.tabTo("#sign-out")
	p.leave()
	p.await(element("told-title") + " !== null")
	look("signed-out")
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

// atProvider signs somebody in on the provider's page.
func (p *page) atProvider(email string) {
	p.t.Helper()
	p.await("document.querySelector('input[name=username]')")
	eval[string](p, fmt.Sprintf(`(() => {
		document.querySelector('input[name=username]').value = %q;
		document.querySelector('input[name=password]').value = %q;
		document.querySelector('form').submit();
		return '';
	})()`, email, signontest.Password))
}
