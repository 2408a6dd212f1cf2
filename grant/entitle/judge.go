package entitle

import (
	"context"
	"fmt"
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
		grant.StateExhausted,
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

// judge says how all items stand for a user who was settled at a moment, and of whom acts made what they did. It is the only
// place where a check asks the vocabulary's rule.
func (s *subject) judge(settled time.Time, acts string, w when) ([]Held, error) {
	if acts != "" {
		return nil, fmt.Errorf("%w: campaign %s: acts on users, which this granter does not know", ledger.ErrInconsistent, s.Name)
	}
	if w.now && settled.After(w.at) {
		w.at = settled
	}
	out := make([]Held, len(s.Items))
	for i := range out {
		out[i] = Held{Campaign: s.Campaign.Campaign, Item: &s.Items[i], State: StateNone}
	}
	for i, e := range s.Entitlements(&grant.Holding{GrantedAt: settled}, w.at) {
		out[i].State, out[i].Granted, out[i].Taken = e.State, e.GrantedAt, e.TakenAt
		out[i].Expires, out[i].LastDay = e.ExpiresAt, e.LastDay
	}
	return out, nil
}

// between says how one item stands for a user who was settled between two moments, and whether they decide it. States follow each
// other as the moment of the grant goes on, so that what holds for both holds in between.
func (s *subject) between(item int, bounds ledger.Span, acts string, w when) (grant.State, bool, error) {
	first, err := s.judge(bounds.First, acts, w)
	if err != nil {
		return "", false, err
	}
	last, err := s.judge(bounds.Last, acts, w)
	if err != nil {
		return "", false, err
	}
	return first[item].State, first[item].State == last[item].State, nil
}

// question is what a check asks about one item of a campaign.
type question struct {
	*subject

	item   int
	whole  bool // all items, with the moments: the journal is read anyway
	when   when
	bounds ledger.Span // within them the user was settled, unless the glance counts entries
	counts bool        // the glance does
	glance ledger.Glance
}

// prepare decides what to look at: whoever any moment up to now decides the same for needs no count.
func (q *question) prepare(chunk uint64) {
	q.bounds = ledger.Span{First: q.when.at, Last: q.when.at}
	switch {
	case q.whole:
	case !q.when.now:
		q.counts = true
	case q.timed[q.item]:
		known, ok := q.known(chunk)
		q.counts = !ok
		if ok {
			q.bounds = ledger.Span{First: known.First, Last: later(known.First, q.when.at)}
			_, decided, err := q.between(q.item, q.bounds, "", q.when)
			q.counts = err != nil || !decided
		}
	}
}

// add looks at the user.
func (q *question) add(g *ledger.Glances, user grant.UserID) {
	q.glance = q.Ledger.Glance(g, user, q.counts)
}

// decide says how the item stands for the user who was looked at.
func (q *question) decide(ctx context.Context) (state grant.State, err error) {
	g := &q.glance
	if err := g.Err(); err != nil || !g.Settled() {
		return StateNone, err
	}
	if q.counts {
		if q.bounds, err = q.subject.bounds(ctx, g.Chunk, g.Entries()); err != nil {
			return "", err
		}
	}
	state, decided, err := q.between(q.item, q.bounds, g.State(), q.when)
	if err != nil || decided {
		return state, err
	}
	settled, err := q.moment(ctx, g.Chunk, g.Low)
	if err != nil {
		return "", err
	}
	held, err := q.judge(settled, g.State(), q.when)
	if err != nil {
		return "", err
	}
	return held[q.item].State, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
