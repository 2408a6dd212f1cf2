package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/desk/searchpage"
)

// area is pages below one path that are rendered here and need no script. People sign in to each by itself: a browser sends the
// cookie only below that path.
type area struct {
	path string
	// back is where somebody goes on who has signed in, from where the desk begins: nowhere but in the area.
	back func(path string) string
	// refused renders what somebody sees who is known, and may not.
	refused func(out io.Writer, v *searchpage.View, next string) error
}

const signIn, signOut = "/sign-in", "/sign-out"

// has reports whether a request is one of the area's, by the pattern of its route.
func (p *area) has(pattern string) bool {
	_, path, _ := strings.Cut(pattern, " ")
	return path == p.path || strings.HasPrefix(path, p.path+"/")
}

// takesFile reports whether a form of an area comes with a file.
func takesFile(pattern string) bool {
	return pattern == "POST "+listPath || pattern == "POST "+review.PathRedacted
}

// signRoutes are those by which people come into the area and leave it.
func (a *api) signRoutes(p *area) []route {
	// again is for who loads the address again that a form led to.
	again := func(w http.ResponseWriter, _ *http.Request, _ Principal) { goOn(w, p.back("")) }
	in := func(w http.ResponseWriter, r *http.Request, _ Principal) { // it is reached by those whose token is right
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		cookie(w, r, &http.Cookie{Name: tokenCookie, Value: token, HttpOnly: true}) //nolint:gosec // cookie adds what is missing
		goOn(w, p.back(r.PostFormValue(searchpage.FieldNext)))
	}
	out := func(w http.ResponseWriter, r *http.Request, _ Principal) {
		if provider := a.provider(); provider != nil && session(r) != "" {
			a.signOut(w, r, provider)
			return
		}
		cookie(w, r, &http.Cookie{Name: tokenCookie, MaxAge: -1, HttpOnly: true}) //nolint:gosec // cookie adds what is missing
		goOn(w, p.back(""))
	}
	return []route{
		{"GET " + p.path + signIn, nil, again}, {"POST " + p.path + signIn, nil, in},
		{"GET " + p.path + signOut, nil, again}, {"POST " + p.path + signOut, nil, out},
	}
}

// servePage serves a route of an area. Those who have shown no token or certificate are asked for one, and come back to where
// they wanted to go.
func (a *api) servePage(p *area, t route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", searchPolicy)
		h.Set("Referrer-Policy", "same-origin") // with none, browsers say of no form where it comes from
		var token string
		var long bool
		if takesFile(r.Pattern) { // a file is read when it is known whose it is
			r.Form, r.PostForm = url.Values{}, url.Values{}
		} else {
			body := r.Body
			r.Body = http.MaxBytesReader(w, body, maxForm)
			if _, long = errors.AsType[*http.MaxBytesError](r.ParseForm()); long {
				// A browser sends all before it shows an answer.
				_, _ = io.Copy(io.Discard, io.LimitReader(body, maxDrained))
			}
			token = r.PostFormValue(searchpage.FieldToken) // it reads the form
		}
		if r.Pattern != "POST "+p.path+signIn {
			if c, err := r.Cookie(tokenCookie); err == nil {
				token = c.Value
			}
		}
		if r.Header.Get("Authorization") == "" && token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		who, refusal := a.gate.admit(r, t.needs)
		if refusal == nil && long {
			refusal = refuse(kindTooLarge, fmt.Sprintf("the form has more than %d bytes", maxForm))
		}
		if refusal == nil {
			if ok, _ := a.gate.underWay.take(who); ok {
				defer a.gate.underWay.giveBack(who)
				ctx, cancel := context.WithTimeout(r.Context(), a.longest(w, r))
				defer cancel()
				t.serve(w, r.WithContext(ctx), who)
				return
			}
			refusal = refuse(kindBusy, "too many requests at once: wait for those that are under way")
		}
		a.refusePage(p, w, r, who, refusal)
	}
}

// longest is how long a request of a page may take. A file may come as slowly as a bad line sends it: its sender is known by now.
func (a *api) longest(w http.ResponseWriter, r *http.Request) time.Duration {
	if !takesFile(r.Pattern) {
		return a.cfg.pace.request
	}
	all := a.cfg.pace.file + a.cfg.pace.request
	connection, now := http.NewResponseController(w), time.Now()
	_ = connection.SetReadDeadline(now.Add(a.cfg.pace.file)) // where it cannot be set, that of all requests remains
	_ = connection.SetWriteDeadline(now.Add(all + a.cfg.pace.write))
	return all
}

// pageOf is the path of the page that a request is about: of a form, the nearest one above where the form is sent to.
func (a *api) pageOf(r *http.Request) string {
	at := r.URL.Path
	_, pattern, _ := strings.Cut(r.Pattern, " ")
	for r.Method == http.MethodPost && pattern != "/" && pattern != "." {
		if _, has := a.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: at}}); has == "GET "+pattern {
			break
		}
		at, pattern = path.Dir(at), path.Dir(pattern)
	}
	return at
}

// refusePage says no on a page, and to whom it does not know with a form to sign in.
func (a *api) refusePage(p *area, w http.ResponseWriter, r *http.Request, who Principal, f *refusal) {
	a.gate.note(w, r, who, f)
	v := a.view(w, r, who)
	v.SignInAt, v.ToClaims = p.path[1:]+signIn, p == &claimsArea
	next := p.back(cmp.Or(r.PostFormValue(searchpage.FieldNext), strings.TrimPrefix(a.pageOf(r), "/")))
	if v.SignOnAt != "" {
		v.SignOnAt = signOnLink(next)
	}
	render := p.refused
	switch {
	case f.kind == kindNoRole:
		v.Problem, v.English = f.on(v.Lang)
		render = func(out io.Writer, v *searchpage.View, _ string) error { return searchpage.NoRole(out, v, false) }
	case f.Status == http.StatusUnauthorized, who.Name == anonymous.Name:
		render = searchpage.SignIn
		if f.kind != kindNoToken { // who just came has done nothing wrong
			v.Problem = searchpage.Unknown(v.Lang, f.Detail)
		} else if r.Method == http.MethodPost && r.Pattern != "POST "+p.path+signIn {
			v.Problem = searchpage.Ended(v.Lang)
		}
	case f.kind == kindTooLarge:
		v.Problem = searchpage.TooLong(v.Lang, maxForm)
	default:
		v.Problem, v.English = f.on(v.Lang)
	}
	a.html(w, f.Status, func(out io.Writer) error { return render(out, v, next) })
}
