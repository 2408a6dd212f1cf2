package desk

import (
	"net/http"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// User is the answer to "did this user get it, when, and until when?".
type User struct {
	Campaign     string        `json:"campaign"`
	User         grant.UserID  `json:"user"`
	Granted      bool          `json:"granted"`
	GrantedAt    *time.Time    `json:"granted_at,omitempty"`
	Run          *grant.RunID  `json:"run,omitempty"`
	Entitlements []Entitlement `json:"entitlements"`
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
	id, err := source.ParseUserID(r.PathValue("id"), a.cfg.Campaign.Source.MaxID)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, err.Error())
	}
	g, granted, err := a.cfg.Ledger.Lookup(r.Context(), id)
	if err != nil {
		return nil, err
	}
	u := User{Campaign: a.cfg.Campaign.Name, User: id, Granted: granted, Entitlements: []Entitlement{}}
	if !granted {
		return u, nil
	}
	at := g.At.In(a.cfg.Campaign.StartsAt.Location())
	u.GrantedAt, u.Run = &at, &g.Run
	u.Entitlements = Entitlements(a.cfg.Campaign, at)
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
