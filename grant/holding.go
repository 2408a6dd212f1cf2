package grant

import "time"

// Holding is what the ledger knows of one user who was granted a campaign: all that decides what the user holds.
type Holding struct {
	GrantedAt time.Time
	TakenAt   []time.Time // by item, in the spec's order: when the user took it; zero: not yet. nil: nothing was taken
	FullAt    []time.Time // by item: when the last of its First was taken; zero: there are some left. nil: of all items
	Acts      UserState   // what people did about the user
}

// State says how a user and an item stand at a moment.
type State string

// The states of an item. Only what is active can be used.
const (
	StateActive    State = "active"
	StateOffered   State = "offered"   // the user may take it
	StateExpired   State = "expired"   // the user had it, and its validity is over
	StateLapsed    State = "lapsed"    // the user did not take it before its take_until
	StateExhausted State = "exhausted" // others took the last of it before the user did
	StateRevoked   State = "revoked"   // the user had it, or might have taken it, and lost it by an act
	StateRecalled  State = "recalled"  // it was offered, and is offered no more
)

// States are all states of an item.
func States() []State {
	return []State{StateActive, StateOffered, StateExpired, StateLapsed, StateExhausted, StateRevoked, StateRecalled}
}

// Entitlement is how one user and one item stand at a moment.
type Entitlement struct {
	Item
	State     State
	GrantedAt time.Time
	TakenAt   time.Time // of an offer: zero, if the user has not taken it
	ExpiresAt time.Time // from this moment on it is not held; zero: it is permanent, or was not taken
	LastDay   time.Time // the last second at which it is held, where its validity ends with a calendar day; else zero
}

// Entitlements returns what a user holds, or held, of each item at a moment; none before the grant. It is the one rule for
// that: whoever answers about users asks here.
func (c *Campaign) Entitlements(h *Holding, at time.Time) []Entitlement {
	if at.Before(h.GrantedAt) {
		return nil
	}
	out := make([]Entitlement, len(c.Items))
	for i := range c.Items {
		out[i] = c.entitlement(i, h, at)
	}
	return out
}

// entitlement is that of one item.
func (c *Campaign) entitlement(i int, h *Holding, at time.Time) Entitlement {
	item := &c.Items[i]
	e := Entitlement{Item: *item, GrantedAt: h.GrantedAt}
	begins := h.GrantedAt
	if item.Offered() {
		begins = nth(h.TakenAt, i)
		if begins.IsZero() || begins.After(at) {
			e.State = item.untaken(nth(h.FullAt, i), at)
			h.Acts.untaken(&e, at)
			return e
		}
		e.TakenAt = begins
	}
	e.ExpiresAt = item.Validity.End(begins, c.zone())
	if item.Validity.EndOfDay {
		e.LastDay = e.ExpiresAt.Add(-time.Second)
	}
	if end, ok := h.Acts.End(item.ID); ok {
		e.ExpiresAt, e.LastDay = end, time.Time{}
	}
	e.State = StateActive
	expired := !e.ExpiresAt.IsZero() && !at.Before(e.ExpiresAt)
	switch {
	case h.Acts.RevokedAt(at) && (!expired || h.Acts.RevokedAt(e.ExpiresAt)): // what came first
		e.State = StateRevoked
	case expired:
		e.State = StateExpired
	}
	return e
}

// untaken is the state of an offer for a user who has not taken it. Nobody can take the last one after take_until.
func (i *Item) untaken(fullAt, at time.Time) State {
	switch {
	case !fullAt.IsZero() && !fullAt.After(at):
		return StateExhausted
	case !i.TakeUntil.IsZero() && !at.Before(i.TakeUntil):
		return StateLapsed
	}
	return StateOffered
}

// zone is that of calendar days.
func (c *Campaign) zone() *time.Location {
	if c.Zone != nil {
		return c.Zone
	}
	return c.StartsAt.Location()
}

// nth returns a time of a list that may be shorter.
func nth(times []time.Time, i int) time.Time {
	if i < len(times) {
		return times[i]
	}
	return time.Time{}
}
