package desk

import (
	"context"
	"net/http"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
)

// anyIDs are the routes about a campaign that are built for IDs of every kind. All others refuse campaigns whose IDs are not
// dense, before they do anything.
var anyIDs = map[string]bool{
	"GET " + ofCampaign + "/status":                true,
	"GET " + ofCampaign + "/events":                true,
	"GET " + ofCampaign + "/history":               true,
	"GET " + ofCampaign + "/users/{id}":            true,
	"GET " + ofCampaign + "/users/{id}/receipt":    true,
	"GET " + ofCampaign + "/orders":                true,
	"GET " + ofCampaign + "/rejected":              true,
	orders:                                         true,
	act:                                            true,
	"GET " + ofCampaign + "/acts":                  true,
	"GET " + ofCampaign + "/acts/{request}":        true,
	decide:                                         true,
	takeOne:                                        true,
	takeMany:                                       true,
	"GET " + actPath:                               true,
	"POST " + actPath:                              true,
	"GET " + listPath:                              true,
	"POST " + listPath:                             true,
	"GET " + searchPath + "/rejected/{campaign}":   true,
	"GET " + searchPath + "/{id}/trace/{campaign}": true,
	"GET " + searchPath + "/{id}/receipts/{campaign}": true,
}

// fits fails if a request is of a route that is not built for the IDs of a campaign.
func fits(r *http.Request, c *Subject) error {
	if anyIDs[r.Pattern] {
		return nil
	}
	return denseOnly(c.Campaign, "this request")
}

// denseOnly fails if the IDs of a campaign are not dense.
func denseOnly(c *grant.Campaign, what string) error {
	if err := ledger.Dense(c, what); err != nil {
		return newProblem(kindRefused, err.Error())
	}
	return nil
}

// readUserOf reads the ID of a user of a campaign.
func readUserOf(c *grant.Campaign, text string) (grant.UserID, error) {
	if !c.Input.Opaque() {
		return readUser(text, grant.MaxUserID)
	}
	form := userid.FormOf(&c.Input)
	id, err := form.Parse(text)
	if err != nil {
		return id, newProblem(kindMalformed, err.Error())
	}
	return id, nil
}

// readMember reads the ID of somebody whom something is done about: unlike readUserOf it takes none above the campaign's largest.
func readMember(c *grant.Campaign, text string) (grant.UserID, error) {
	if c.Input.Opaque() {
		return readUserOf(c, text)
	}
	return readUser(text, c.Input.MaxID)
}

// forms returns what the IDs are of those campaigns that somebody may look into and whose IDs are not dense.
func (a *api) forms(ctx context.Context, who Principal) (out []userid.Form) {
	for _, name := range a.cfg.Campaigns.Names() {
		if !who.in(name) {
			continue
		}
		if c, err := a.cfg.Campaigns.Open(ctx, name); err == nil && c.Campaign.Input.Opaque() {
			out = append(out, userid.FormOf(&c.Campaign.Input))
		}
	}
	return out
}

// readAnyUser reads the ID of a user of whatever campaign: a number, or what is one in a campaign whose IDs are not dense. Each
// campaign reads that in its own way.
func (a *api) readAnyUser(ctx context.Context, who Principal, text string) (grant.UserID, error) {
	id, err := readUser(text, grant.MaxUserID)
	if err == nil {
		return id, nil
	}
	for _, form := range a.forms(ctx, who) {
		if _, other := form.Parse(text); other == nil {
			return grant.TextID(text), nil
		}
	}
	return id, err
}
