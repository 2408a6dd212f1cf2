package desk

import (
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/metrics"
)

// The rights on the pages of claims. Each but the first is a duty, and duties do not include each other: nobody who sends money
// decides that it is owed. No role but auditor has any of them, so that who operates campaigns decides no claims by that.
const (
	RightClaims         Right = "claims"          // see claims, and not who owners are
	RightClaimsIntake   Right = "claims-intake"   // take claims in, and speak for their owners
	RightClaimsReviewer Right = "claims-reviewer" // judge claims and signals
	RightClaimsApprover Right = "claims-approver" // decide
	RightClaimsPayer    Right = "claims-payer"    // see to payments
	// RightClaimsSecretary is to extend windows and to see to the council's business, and to decide nothing.
	RightClaimsSecretary Right = "claims-secretary"
	// RightClaimsPrivacy is to erase owners, and to see who has looked at whose data.
	RightClaimsPrivacy Right = "claims-privacy"
	// RightClaimsFreeze is to stop all decisions and payments, and to go on with them. It is no duty: whoever has one may have
	// it.
	RightClaimsFreeze Right = "claims-freeze"
	// RightClaimsCouncil is to vote as a member of the council. It opens the council's pages and no others.
	RightClaimsCouncil Right = "claims-council"
)

var ofClaims = []Right{
	RightClaims, RightClaimsIntake, RightClaimsReviewer, RightClaimsApprover, RightClaimsPayer, RightClaimsSecretary,
	RightClaimsPrivacy, RightClaimsFreeze,
}

// duties are those that a role has on the pages of claims.
func (r Role) duties() (out []claims.Duty) {
	for _, d := range review.Duties() {
		if r.may(Right("claims-" + string(d))) {
			out = append(out, d)
		}
	}
	return out
}

// claimsArea is the pages of claims.
var claimsArea = area{review.Path, claimsBack, searchpage.SignIn}

// claimsRoutes are the pages on which staff judge and decide claims, if this desk has them.
func (a *api) claimsRoutes() (out []route) {
	if a.cfg.Claims == nil {
		return nil
	}
	for pattern, serve := range a.cfg.Claims.Routes() {
		needs := ofClaims
		if review.ForCouncil(pattern) {
			needs = append(slices.Clip(ofClaims), RightClaimsCouncil)
		}
		out = append(out, route{pattern, needs, func(w http.ResponseWriter, r *http.Request, who Principal) {
			serve(w, r, a.staff(r, who))
		}})
	}
	return append(out, a.signRoutes(&claimsArea)...)
}

// countClaims counts what becomes of claims that are handed in here.
func (a *api) countClaims() {
	if a.cfg.Claims == nil {
		return
	}
	own := *a.cfg.Claims
	outcomes := make([]string, 0, len(intake.Outcomes()))
	for _, o := range intake.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	offered := metrics.NewClaimsOffered(a.cfg.Registerer, own.Programme.Name,
		[]string{intake.ChannelAPI, intake.ChannelStaff}, outcomes)
	own.Filed = func(channel string, o intake.Outcome) { offered.WithLabelValues(channel, string(o)).Inc() }
	a.cfg.Claims = &own
}

// staff is somebody on the pages of claims, and to whom a claim can be handed over.
func (a *api) staff(r *http.Request, who Principal) review.Staff {
	access := a.gate.files.access.get()
	out := review.Staff{
		Name: who.Name, Duties: who.Role.duties(), Stops: who.Role.may(RightClaimsFreeze), Others: access.provider != nil,
		From: address(r),
	}
	for _, known := range slices.Collect(maps.Values(access.tokens)) {
		out.AddColleague(known.Name, known.Role.duties())
	}
	for _, known := range slices.Collect(maps.Values(access.certificates)) {
		out.AddColleague(known.Name, known.Role.duties())
	}
	return out
}

var pathOfClaim = regexp.MustCompile(`^claims(/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,4}$`)

// claimsBack is where somebody goes on who has signed in to these pages.
func claimsBack(path string) string {
	if pathOfClaim.MatchString(path) && path != review.Path[1:]+signIn && path != review.Path[1:]+signOut {
		return path
	}
	return review.Path[1:]
}

// campaignRights are all rights but those on claims.
func campaignRights() []Right {
	return slices.DeleteFunc(
		Rights(),
		func(r Right) bool { return r == RightErase || r == RightClaimsCouncil || slices.Contains(ofClaims, r) },
	)
}
