package publish

import (
	"time"

	"github.com/granter/granter/grant"
)

// spell is how a user stood from a moment on, until somebody did something about the user.
type spell struct {
	from time.Time
	held grant.Holding
}

// spells are those of one user: granted is when a run granted, if one did.
func spells(granted time.Time, taken []time.Time, acts []*grant.Act) []spell {
	var out []spell
	var state grant.UserState
	var settled time.Time
	where := grant.PlaceNone
	add := func(from time.Time) {
		held := grant.Holding{GrantedAt: settled, TakenAt: taken, Acts: state}
		if !state.GrantedAt.IsZero() {
			held.GrantedAt = state.GrantedAt
		}
		out = append(out, spell{from, held})
	}
	run := func(before time.Time) {
		if where == grant.PlaceNone && !granted.IsZero() && !granted.After(before) {
			where, settled = grant.PlaceGranted, granted
			add(granted)
		}
	}
	for _, a := range acts {
		run(a.At)
		next, after, err := state.After(where, a)
		if err != nil {
			continue // the ledger does not write such a one
		}
		if next == grant.PlaceGranted && where != next {
			settled = a.At
		}
		if where, state = next, after; where == grant.PlaceGranted {
			add(a.At)
		}
	}
	run(granted)
	return out
}

// overs says which items of a user ended until a moment, and when: at their end, or when somebody made that one of the past. Of
// what has not ended it says when it will.
func overs(c *grant.Campaign, all []spell, until time.Time, say func(item int, at time.Time, over bool)) {
	over := make([]bool, len(c.Items)) // at the end of the spell before
	for i := range all {
		s, end, last := &all[i], until, true
		if i+1 < len(all) && !all[i+1].from.After(until) {
			end, last = all[i+1].from.Add(-time.Millisecond), false
		}
		if end.Before(s.from) {
			continue // of the same millisecond, or after until
		}
		for item, e := range c.Entitlements(&s.held, end) {
			is, ends := e.State == grant.StateExpired, e.ExpiresAt
			if e.TakenAt.After(ends) {
				ends = e.TakenAt // somebody had given it an end before
			}
			switch {
			case is && ends.After(s.from):
				say(item, ends, true)
			case is && !over[item]:
				say(item, s.from, true) // its end was made one of the past, or came while it was revoked
			case last && e.State == grant.StateActive && !e.ExpiresAt.IsZero():
				say(item, e.ExpiresAt, false)
			}
			over[item] = is
		}
		if last {
			return
		}
	}
}

// endBy is the end that acts had given to an item of a user until a moment, and whether they had.
func endBy(item string, at time.Time, acts []*grant.Act) (time.Time, bool) {
	var state grant.UserState
	granted := at // by a run, before all of them, unless one of them settled the user
	for _, a := range acts {
		if a.At.Before(granted) {
			granted = a.At
		}
		if a.Kind == grant.ActHand || a.Kind == grant.ActExclude {
			granted = time.Time{}
			break
		}
	}
	for _, s := range spells(granted, nil, acts) {
		if !s.from.After(at) {
			state = s.held.Acts
		}
	}
	return state.End(item)
}
