package desk

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/desk/signon"
	"github.com/granter/granter/grant/ratelimit"
)

// attemptCookie and the ID of an attempt name what a browser keeps while somebody is at the provider.
const attemptCookie = "granter_oidc_"

// oidcRoutes are those by which people come in by the OpenID provider, and leave.
func (a *api) oidcRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /" + signon.PathIn: a.oidcIn, "GET /" + signon.PathBack: a.oidcBack,
		"POST /" + signon.PathOut: a.oidcOut, "GET /" + signon.PathGone: a.oidcGone,
	}
}

// serveOIDC serves one of them, to anybody, by the provider of now; without one there is no such path.
func (a *api) serveOIDC(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", searchPolicy)
		switch err := a.gate.origin.Check(r); {
		case a.provider() == nil:
			newProblem(kindNotFound, "nobody signs in by an OpenID provider here: the access file has no oidc.issuer").write(w)
		case err != nil:
			a.gate.refuse(w, r, anonymous, a.gate.failure(ratelimit.AddressOf(r), refuse(kindOrigin, err.Error())))
		case !a.gate.requests.Allow("anybody at " + ratelimit.AddressOf(r)): // which is no name of a principal
			a.gate.refuse(w, r, anonymous, tooMany())
		default:
			ctx, cancel := context.WithTimeout(r.Context(), a.cfg.pace.request)
			defer cancel()
			serve(w, r.WithContext(ctx))
		}
	}
}

// provider is the OpenID provider of now; nil: there is none.
func (a *api) provider() *signon.Client { return a.gate.files.access.get().provider }

// backAnywhere is where somebody goes on who has signed in: nowhere but on this desk.
func backAnywhere(path string) string {
	first, rest, _ := strings.Cut(path, "/")
	switch name := strings.TrimSuffix(rest, "/"); {
	case first == "users":
		return backTo(path)
	case first == "claims":
		return claimsBack(path)
	case first == "campaigns" && campaign.ValidName(name):
		return "campaigns/" + name + "/"
	}
	return ""
}

// oidcIn sends somebody to the provider.
func (a *api) oidcIn(w http.ResponseWriter, r *http.Request) {
	provider := a.provider()
	begun, err := provider.Begin(r.Context(), backAnywhere(r.URL.Query().Get(searchpage.FieldNext)))
	if err != nil {
		a.notSignedIn(w, r, provider, "", err)
		return
	}
	a.oidcCookie(w, provider, attemptCookie+begun.ID, begun.Sealed, "oidc/", int(signon.AttemptLife.Seconds()))
	w.Header().Set("Location", begun.URL)
	w.WriteHeader(http.StatusSeeOther)
}

// oidcBack is where the provider sends people who signed in there.
func (a *api) oidcBack(w http.ResponseWriter, r *http.Request) {
	provider, sealed := a.provider(), ""
	answer := r.URL.Query()
	name := attemptCookie + signon.AttemptOf(answer)
	if c, err := r.Cookie(name); err == nil {
		sealed = c.Value
		a.oidcCookie(w, provider, name, "", "oidc/", -1) // it counts once
	}
	person, next, err := provider.Finish(r.Context(), answer, sealed)
	if err != nil {
		a.notSignedIn(w, r, provider, next, err)
		return
	}
	who, unknown := a.gate.files.access.get().byPerson(person)
	if unknown != "" {
		a.refuseOIDC(w, r, who, next, a.gate.unknown(who, unknown))
		return
	}
	session, err := provider.Seal(person)
	if err != nil {
		a.notSignedIn(w, r, provider, next, err)
		return
	}
	a.cfg.Log.Info("signed in", "who", who.Name, "role", string(who.Role), "campaigns", who.only, "remote", r.RemoteAddr,
		"until", person.Until)
	a.forgetTokens(w, provider)
	a.oidcCookie(w, provider, sessionCookie, session, "", int(provider.Life.Seconds()))
	w.Header().Set("Location", provider.Path(next))
	w.WriteHeader(http.StatusSeeOther)
}

// forgetTokens ends sign-ins by a token on pages, which count more than a session.
func (a *api) forgetTokens(w http.ResponseWriter, provider *signon.Client) {
	for _, p := range []*area{&searchArea, &claimsArea} {
		a.oidcCookie(w, provider, tokenCookie, "", p.path[1:], -1)
	}
}

// oidcCookie sets a cookie, for a path of the desk as browsers see it.
func (a *api) oidcCookie(w http.ResponseWriter, provider *signon.Client, name, value, path string, life int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // it is secure where the desk itself is reached by TLS
		Name: name, Value: value, Path: provider.Path(path), MaxAge: life, HttpOnly: true, Secure: provider.Secure(),
		SameSite: http.SameSiteLaxMode, // strict ones do not come along when the provider sends somebody back
	})
}

// oidcOut signs somebody out, here and at the provider. A form gets a page, which goes on to the provider; a script an address.
func (a *api) oidcOut(w http.ResponseWriter, r *http.Request) { a.signOut(w, r, a.provider()) }

// goneTo is where somebody goes on to who has signed out; empty: nowhere.
type goneTo struct {
	GoOn string `json:"go_on"`
}

func (a *api) signOut(w http.ResponseWriter, r *http.Request, provider *signon.Client) {
	next := ""
	if c, err := r.Cookie(sessionCookie); err == nil {
		if person, err := provider.Open(c.Value); err == nil {
			next = provider.OutAt(r.Context(), person)
			a.cfg.Log.Info("signed out", "who", person.Who(), "remote", r.RemoteAddr)
		}
	}
	a.oidcCookie(w, provider, sessionCookie, "", "", -1)
	a.forgetTokens(w, provider)
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, "application/json", http.StatusOK, goneTo{next})
		return
	}
	v := a.view(w, r, anonymous)
	a.html(w, http.StatusOK, func(out io.Writer) error { return searchpage.SignedOut(out, v, next) })
}

// oidcGone is where the provider sends people who ended their session there.
func (a *api) oidcGone(w http.ResponseWriter, r *http.Request) {
	v := a.view(w, r, anonymous)
	a.html(w, http.StatusOK, func(out io.Writer) error { return searchpage.SignedOut(out, v, "") })
}

// notSignedIn says why somebody is not signed in, and what to do.
func (a *api) notSignedIn(w http.ResponseWriter, r *http.Request, provider *signon.Client, next string, err error) {
	k := kindProvider
	if e, ok := errors.AsType[*signon.Error](err); ok && e.Kind == signon.KindRefused {
		k = kindSignIn
	} else {
		a.cfg.Log.Error("nobody can sign in by the OpenID provider", "issuer", provider.Issuer, "error", err)
	}
	f := refuse(k, err.Error())
	if k == kindSignIn {
		f = a.gate.failure(ratelimit.AddressOf(r), f)
	}
	a.refuseOIDC(w, r, anonymous, next, f)
}

// refuseOIDC is a page that says no.
func (a *api) refuseOIDC(w http.ResponseWriter, r *http.Request, who Principal, next string, f *refusal) {
	a.gate.note(w, r, who, f)
	v := a.view(w, r, who)
	v.SignOnAt = signOnLink(cmp.Or(next, backAnywhere(r.URL.Query().Get(searchpage.FieldNext))))
	render := searchpage.NotSignedIn
	if f.kind == kindNoRole {
		render = searchpage.NoRole
	}
	v.Problem, v.English = f.on(v.Lang)
	a.html(w, f.Status, func(out io.Writer) error { return render(out, v, f.kind == kindProvider) })
}

// session is what somebody shows who signed in by the provider; empty: nothing.
func session(r *http.Request) string {
	if c, err := r.Cookie(sessionCookie); err == nil {
		return c.Value
	}
	return ""
}

// signOnAt says to a page where people sign in by the provider.
type signOnAt struct {
	Path  string `json:"path"` // from where the desk begins
	Title string `json:"title,omitempty"`
}

// signOnOf is where somebody signs in whom nobody knows; nil: by no provider.
func signOnOf(provider *signon.Client, k kind) *signOnAt {
	if provider == nil || statuses[k] != http.StatusUnauthorized {
		return nil
	}
	return &signOnAt{signon.PathIn, provider.Title}
}

// signOnLink is the address of the sign-in that goes on to next.
func signOnLink(next string) string {
	if next == "" {
		return signon.PathIn
	}
	return signon.PathIn + "?" + url.Values{searchpage.FieldNext: {next}}.Encode()
}
