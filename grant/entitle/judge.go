package entitle

import (
	"context"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// The states of a check, besides those of an item that somebody was granted.
const (
	StateNone    grant.State = "none"    // the user was not granted it, by then
	StateUnknown grant.State = "unknown" // the ledger did not say
)

// States are all states, in the order of their codes in the compact form of a check of many users. It only grows, at its end.
func States() []grant.State {
	return []grant.State{
		StateNone, grant.StateActive, StateUnknown, grant.StateExpired, grant.StateOffered, grant.StateLapsed,
		grant.StateExhausted, grant.StateRevoked, grant.StateRecalled,
	}
}

// when is the moment that a check is about.
type when struct {
	at  time.Time
	now bool // it is that of the request: whom the ledger has by then is granted, whatever the clocks say
}

// Held is how one user and one item of a campaign stand.
type Held struct {
	Campaign *grant.Campaign
	Item     *grant.Item
	State    grant.State
	Granted  time.Time
	Taken    time.Time // of an offer: zero, if the user has not taken it
	Expires  time.Time // zero: never, or it was not taken
	LastDay  time.Time // the last second at which it is held, where that is the end of a day; else zero
}

// judge says how all items stand for a user who is granted. It is the only place where a check asks the vocabulary's rule.
func (s *subject) judge(h *grant.Holding, w when) []Held {
	if w.now { // what the ledger has happened, by Redis's clock
		w.at = later(w.at, h.GrantedAt)
		for _, at := range h.TakenAt {
			w.at = later(w.at, at)
		}
		if r := h.Acts.Revoked; r != nil {
			w.at = later(w.at, r.At)
		}
		for _, r := range h.Acts.Recalled {
			w.at = later(w.at, r.At)
		}
	}
	out := make([]Held, len(s.Items))
	for i := range out {
		out[i] = Held{Campaign: s.Campaign.Campaign, Item: &s.Items[i], State: StateNone}
	}
	for i, e := range s.Entitlements(h, w.at) {
		out[i].State, out[i].Granted, out[i].Taken = e.State, e.GrantedAt, e.TakenAt
		out[i].Expires, out[i].LastDay = e.ExpiresAt, e.LastDay
	}
	return out
}

// between says how one item stands for a user without acts who was granted and, if it is an offer, took it between two moments,
// and whether they decide it. States follow each other as these moments go on, so that what holds for both holds in between.
func (s *subject) between(item int, first, last grant.Holding, w when) (grant.State, bool) {
	state := s.judge(&first, w)[item].State
	return state, state == s.judge(&last, w)[item].State
}

// holding is that of a user without acts, who took one item or, if that moment is zero, none.
func (s *subject) holding(item int, granted, taken time.Time) grant.Holding {
	h := grant.Holding{GrantedAt: granted}
	if !taken.IsZero() {
		h.TakenAt = make([]time.Time, len(s.Items))
		h.TakenAt[item] = taken
	}
	return h
}

// held asks the ledger for all that decides what a user holds: acts, takes, quotas.
func (s *subject) held(ctx context.Context, user grant.UserID, w when) ([]Held, error) {
	found, holdings, err := s.Ledger.Held(ctx, s.Campaign.Campaign, []grant.UserID{user})
	if err != nil || found[0].Place != grant.PlaceGranted {
		return nil, err
	}
	return s.judge(&holdings[0], w), nil
}

// question is what a check asks about one item of a campaign.
type question struct {
	*subject

	item   int
	whole  bool // all items, with the moments: the journal is read anyway
	when   when
	user   grant.UserID
	bounds ledger.Span // within them the user was granted, unless the glance counts entries
	ask    ledger.Ask
	glance ledger.Glance
	seated seated // of a user in a bucket, in place of the two
}

// prepare decides what to look at: whoever any moment up to now decides the same for needs no count.
func (q *question) prepare(user grant.UserID) {
	q.user, q.bounds, q.ask = user, ledger.Span{First: q.when.at, Last: q.when.at}, ledger.Ask{}
	if q.opaque() {
		q.prepareBucket(user)
		return
	}
	if q.whole {
		return
	}
	item := &q.Items[q.item]
	q.ask = ledger.Ask{Take: item.Offered(), Item: q.item, Quota: item.First > 0, Entries: !q.when.now}
	if !q.when.now || !q.timed[q.item] {
		return
	}
	chunk, _ := ledger.Place(user)
	known, ok := q.known(chunk)
	if q.ask.Entries = !ok; ok {
		q.bounds = ledger.Span{First: known.First, Last: later(known.First, q.when.at)}
		_, decided := q.within(time.Time{})
		q.ask.Entries = !decided
	}
}

// within says how the item stands for a user who was granted within the bounds and took it at a moment, and whether that decides.
func (q *question) within(taken time.Time) (grant.State, bool) {
	return q.between(q.item, q.holding(q.item, q.bounds.First, taken), q.holding(q.item, q.bounds.Last, taken), q.when)
}

// add looks at the user.
func (q *question) add(g *ledger.Glances) {
	if q.opaque() {
		q.addBucket(g)
		return
	}
	q.glance = q.Ledger.Glance(g, q.user, q.ask)
}

// decide says how the item stands for the user who was looked at.
func (q *question) decide(ctx context.Context) (state grant.State, err error) {
	if q.opaque() {
		return q.decideInBucket(ctx)
	}
	g := &q.glance
	if err := g.Err(); err != nil || !g.Granted() {
		return StateNone, err
	}
	taken := g.Taken()
	if g.AmongMany() {
		if taken, err = q.momentAmong(ctx, g.Chunk, q.item, g.Low); err != nil {
			return "", err
		}
	}
	if g.State() != "" || q.ask.Quota && taken.IsZero() { // the last may have been taken by others
		return q.decideHeld(q.held(ctx, q.user, q.when))
	}
	if q.ask.Entries {
		if q.bounds, err = q.subject.bounds(ctx, g.Chunk, g.Entries()); err != nil {
			return "", err
		}
	}
	if state, decided := q.within(taken); decided {
		return state, nil
	}
	granted, err := q.moment(ctx, g.Chunk, g.Low)
	if err != nil {
		return "", err
	}
	h := q.holding(q.item, granted, taken)
	return q.decideHeld(q.judge(&h, q.when), nil)
}

func (q *question) decideHeld(held []Held, err error) (grant.State, error) {
	if err != nil || held == nil {
		return StateNone, err
	}
	return held[q.item].State, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
