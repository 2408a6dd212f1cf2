package desk

import (
	"cmp"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/desk/searchpage"
)

// The rights on the pages of claims. Each but the first is a duty, and duties do not include each other: nobody who sends money
// decides that it is owed. No role but auditor has any of them, so that who operates campaigns decides no claims by that.
const (
	RightClaims         Right = "claims"          // see claims, and not who owners are
	RightClaimsIntake   Right = "claims-intake"   // take claims in, and speak for their owners
	RightClaimsReviewer Right = "claims-reviewer" // judge claims and signals
	RightClaimsApprover Right = "claims-approver" // decide
	RightClaimsPayer    Right = "claims-payer"    // see to payments
)

var ofClaims = []Right{RightClaims, RightClaimsIntake, RightClaimsReviewer, RightClaimsApprover, RightClaimsPayer}

// duties are those that a role has on the pages of claims.
func (r Role) duties() (out []claims.Duty) {
	for _, d := range review.Duties() {
		if r.may(Right("claims-" + string(d))) {
			out = append(out, d)
		}
	}
	return out
}

const (
	claimsSignIn  = review.Path + "/sign-in"
	claimsSignOut = review.Path + "/sign-out"
)

// claimsRoutes are the pages on which staff judge and decide claims, if this desk has them.
func (a *api) claimsRoutes() (out []route) {
	if a.cfg.Claims == nil {
		return nil
	}
	for pattern, serve := range a.cfg.Claims.Routes() {
		out = append(out, route{pattern, ofClaims, func(w http.ResponseWriter, r *http.Request, who Principal) {
			serve(w, r, review.Staff{Name: who.Name, Duties: who.Role.duties()})
		}})
	}
	return append(out,
		route{"GET " + claimsSignIn, nil, a.claimsAgain}, route{"POST " + claimsSignIn, nil, a.signIn},
		route{"GET " + claimsSignOut, nil, a.claimsAgain}, route{"POST " + claimsSignOut, nil, a.claimsOut})
}

func (*api) claimsAgain(w http.ResponseWriter, _ *http.Request, _ Principal) { goOn(w, claimsBack("")) }

func (*api) claimsOut(w http.ResponseWriter, r *http.Request, _ Principal) {
	cookie(w, r, &http.Cookie{Name: tokenCookie, MaxAge: -1, HttpOnly: true}) //nolint:gosec // cookie adds what is missing
	goOn(w, claimsBack(""))
}

var pathOfClaim = regexp.MustCompile(`^claims/[A-Za-z0-9._-]+$`)

// claimsBack is where somebody goes on who has signed in to these pages.
func claimsBack(path string) string {
	if pathOfClaim.MatchString(path) && path != claimsSignIn[1:] && path != claimsSignOut[1:] {
		return path
	}
	return review.Path[1:]
}

// refuseClaims says no on a page, and to whom it does not know with a form to sign in.
func (a *api) refuseClaims(w http.ResponseWriter, r *http.Request, who Principal, f *refusal) {
	a.gate.note(w, r, who, f)
	v := a.view(w, r, who)
	if f.kind != kindNoToken { // who just came has done nothing wrong
		v.Problem = f.Detail
	}
	if f.Status == http.StatusUnauthorized || who.Name == anonymous.Name {
		if v.Problem != "" {
			v.Problem = searchpage.Unknown(v.Lang, f.Detail)
		}
	}
	next := cmp.Or(r.PostFormValue(searchpage.FieldNext), strings.TrimPrefix(r.URL.Path, "/"))
	v.SignInAt = claimsSignIn[1:]
	a.html(w, f.Status, func(out io.Writer) error { return searchpage.SignIn(out, v, claimsBack(next)) })
}

// ofClaimsPage reports whether a request is one of these pages', by the pattern of its route.
func ofClaimsPage(pattern string) bool {
	_, path, _ := strings.Cut(pattern, " ")
	return path == review.Path || strings.HasPrefix(path, review.Path+"/")
}

// campaignRights are all rights but those on claims.
func campaignRights() []Right {
	return slices.DeleteFunc(Rights(), func(r Right) bool { return slices.Contains(ofClaims, r) })
}
