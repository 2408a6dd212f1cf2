package lookup

import (
	"strconv"
	"time"

	"github.com/granter/granter/grant"
)

func itoa(n int) string { return strconv.Itoa(n) }

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

// Entitlements returns what a user holds at a moment, held, or may take.
func Entitlements(c *grant.Campaign, h *grant.Holding, at time.Time) []Entitlement {
	out := make([]Entitlement, 0, len(c.Items))
	for _, e := range c.Entitlements(h, at) {
		held := Entitlement{
			ID: e.ID, Kind: e.Kind, Amount: e.Amount, Currency: e.Currency,
			State: e.State, Permanent: e.Validity.Permanent(), Expired: e.State == grant.StateExpired,
			TakenAt: known(e.TakenAt), TakeUntil: known(e.TakeUntil), ExpiresAt: known(e.ExpiresAt),
		}
		if held.TakenAt != nil {
			held.TakenAt = known(e.TakenAt.In(h.GrantedAt.Location()))
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
