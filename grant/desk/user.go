package desk

import (
	"net/http"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/userid"
)

// User is the answer to "did this user get it, when, and until when?".
type User struct {
	Campaign     string        `json:"campaign"`
	User         grant.UserID  `json:"user,string"` // JavaScript has no integers above 2^53
	Granted      bool          `json:"granted"`
	GrantedAt    *time.Time    `json:"granted_at,omitempty"`
	Run          *grant.RunID  `json:"run,omitempty"`
	Entitlements []Entitlement `json:"entitlements"`
	// SpecDiffers says that the desk's file has another spec than the ledger, by which this is answered.
	SpecDiffers *status.Differs `json:"spec_differs,omitempty"`
}

// Entitlement is an item that the user holds, or held.
type Entitlement struct {
	ID        string     `json:"id"`
	Kind      grant.Kind `json:"kind"`
	Amount    int64      `json:"amount,omitempty"` // in the currency's smallest unit
	Currency  string     `json:"currency,omitempty"`
	Permanent bool       `json:"permanent"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Expired   bool       `json:"expired"`
}

func (a *api) user(r *http.Request, _ Principal) (any, error) {
	c, err := a.readable(r)
	if err != nil {
		return nil, err
	}
	camp, differs, err := status.InForce(r.Context(), c.Coordination, c.Reader, c.Campaign)
	if err != nil {
		return nil, err
	}
	id, err := userid.Parse(r.PathValue("id"), camp.Input.MaxID)
	if err != nil {
		return nil, newProblem(kindMalformed, err.Error())
	}
	g, granted, err := c.Reader.Lookup(r.Context(), id)
	if err != nil {
		return nil, err
	}
	u := User{Campaign: camp.Name, User: id, Granted: granted, Entitlements: []Entitlement{}, SpecDiffers: differs}
	if !granted {
		return u, nil
	}
	at := g.At.In(camp.StartsAt.Location())
	u.GrantedAt, u.Run = &at, &g.Run
	u.Entitlements = Entitlements(camp, at)
	return u, nil
}

// Entitlements returns what a user who was granted the campaign at a moment holds now, or held.
func Entitlements(c *grant.Campaign, at time.Time) []Entitlement {
	out := make([]Entitlement, 0, len(c.Items))
	for _, e := range c.Entitlements(at) {
		held := Entitlement{ID: e.ID, Kind: e.Kind, Amount: e.Amount, Currency: e.Currency, Permanent: e.ExpiresAt.IsZero()}
		if !held.Permanent {
			held.ExpiresAt, held.Expired = &e.ExpiresAt, time.Now().After(e.ExpiresAt)
		}
		out = append(out, held)
	}
	return out
}
