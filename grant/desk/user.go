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

// Entitlement is an item that the user holds, held, or may take.
type Entitlement struct {
	ID        string      `json:"id"`
	Kind      grant.Kind  `json:"kind"`
	Amount    int64       `json:"amount,omitempty"` // in the currency's smallest unit
	Currency  string      `json:"currency,omitempty"`
	State     grant.State `json:"state"`
	Permanent bool        `json:"permanent"`
	TakenAt   *time.Time  `json:"taken_at,omitempty"`   // of an item that users take
	TakeUntil *time.Time  `json:"take_until,omitempty"` // from then on it cannot be taken
	ExpiresAt *time.Time  `json:"expires_at,omitempty"` // from then on it is not held
	LastDay   string      `json:"last_day,omitempty"`   // the last day on which it is held, where validity is in whole days
	Expired   bool        `json:"expired"`
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
	u.Entitlements = Entitlements(camp, &grant.Holding{GrantedAt: at})
	return u, nil
}

// Entitlements returns what a user holds now, held, or may take.
func Entitlements(c *grant.Campaign, h *grant.Holding) []Entitlement {
	out := make([]Entitlement, 0, len(c.Items))
	for _, e := range c.Entitlements(h, time.Now()) {
		held := Entitlement{
			ID: e.ID, Kind: e.Kind, Amount: e.Amount, Currency: e.Currency,
			State: e.State, Permanent: e.Validity.Permanent(), Expired: e.State == grant.StateExpired,
			TakenAt: known(e.TakenAt), TakeUntil: known(e.TakeUntil), ExpiresAt: known(e.ExpiresAt),
		}
		if !e.LastDay.IsZero() {
			held.LastDay = e.LastDay.Format(time.DateOnly)
		}
		out = append(out, held)
	}
	return out
}

// known returns a time, or nil if there is none.
func known(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
