package audit

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/granter/granter/grant"
)

// clocksApart is how far the clocks of two masters, or of one before and after a fail-over, and that of whoever judged a
// revocation that was to come, may differ, in milliseconds: who took something by so much too early or too late is not accused.
// It is also for how long a user may take an item with a quota after having been judged to be one who may.
const clocksApart = 10_000

// past is since when users of a chunk are granted, and what people did about them: of those who took something.
type past struct {
	of    page    // those users
	since []int64 // when a run granted them, Unix milliseconds; 0: none did
	acts  map[uint16][]*grant.Act
}

// begin forgets the chunk before.
func (p *past) begin(of *page) {
	p.of, p.acts = *of, map[uint16][]*grant.Act{}
	if p.since == nil && !of.empty() {
		p.since = make([]int64, 1<<chunkBits)
	}
	clear(p.since)
}

// entry adds an entry of the journal.
func (p *past) entry(e *entry) {
	if p.since == nil || p.of.empty() {
		return
	}
	if e.kind == kindGrant {
		e.spread.each(func(low uint16) {
			if p.since[low] == 0 {
				p.since[low] = e.at
			}
		})
		return
	}
	act := e.actDone()
	if act == nil {
		return
	}
	e.spread.each(func(low uint16) {
		if p.of.has(low) {
			p.acts[low] = append(p.acts[low], act)
		}
	})
}

// actDone is what people did by an entry; nil: it does not say, and so cannot have stood in anybody's way.
func (e *entry) actDone() *grant.Act {
	act := new(grant.Act)
	if json.Unmarshal(e.act, act) != nil {
		return nil
	}
	act.At = time.UnixMilli(e.at).UTC()
	return act
}

// moment is what a user was from a time on.
type moment struct {
	from  int64
	place grant.Place
	state grant.UserState
}

// moments of a user's past, in the order of time: of one whom a run granted at some time (0: none did), and of what people did.
// What an act makes of a user says the rule by which it was judged.
func moments(since int64, acts []*grant.Act) []moment {
	out := []moment{{from: math.MinInt64, place: grant.PlaceNone}}
	granted := func(before int64) {
		if since > 0 && since <= before && out[len(out)-1].place == grant.PlaceNone {
			out = append(out, moment{since, grant.PlaceGranted, out[len(out)-1].state})
		}
	}
	for _, act := range acts {
		granted(act.At.UnixMilli())
		last := &out[len(out)-1]
		place, state, err := last.state.After(last.place, act)
		if err != nil {
			continue
		}
		from := act.At.UnixMilli()
		if act.Kind == grant.ActHand && strings.HasPrefix(act.ID, byReconcile) {
			from = math.MinInt64 // a repair gives an entry to whoever has lost it: since when the user had it nobody knows
		}
		out = append(out, moment{from, place, state})
	}
	granted(math.MaxInt64)
	return out
}

// byReconcile is what the IDs of the acts of granter reconcile begin with.
const byReconcile = "reconcile-"

// might reports whether a user may have taken an item at a time, give or take what clocks are apart.
func might(moments []moment, item string, at int64) bool {
	for i, m := range moments {
		first, last := max(m.from, at-clocksApart), at+clocksApart
		if i+1 < len(moments) {
			last = min(last, moments[i+1].from)
		}
		if first > last || m.place != grant.PlaceGranted {
			continue
		}
		for _, at := range []int64{first, last} {
			if m.state.Stands(item, time.UnixMilli(at)) == "" {
				return true
			}
		}
	}
	return false
}

// tookWrongly reports whether a user took an item before the grant, or while something that people did stood in the way.
// Where an item has a quota, its takes are on a master of their own, which may have survived the loss of a grant that came again
// later: there nobody took it too early.
func tookWrongly(since int64, acts []*grant.Act, item *grant.Item, at int64) (early, barred bool) {
	if len(acts) == 0 {
		return item.First == 0 && since > at+clocksApart, false
	}
	all := moments(since, acts)
	if might(all, item.ID, at) {
		return false, false
	}
	was := all[0]
	for _, m := range all {
		if m.from <= at {
			was = m
		}
	}
	barred = was.place == grant.PlaceGranted
	return !barred && item.First == 0, barred
}

// judge names those of some users who took an item wrongly.
func (p *past) judge(r *reading, it *itemRead, chunk uint64, who *page) {
	early, barred := new(page), new(page)
	who.each(func(low uint16) {
		tooEarly, stood := tookWrongly(p.since[low], p.acts[low], it.item, it.at[low])
		if tooEarly {
			early.set(low)
		}
		if stood {
			barred.set(low)
		}
	})
	id := it.item.ID
	r.users(TookEarly, chunk, early, tookEarly(id))
	r.users(TookBarred, chunk, barred, tookBarred(id))
}
