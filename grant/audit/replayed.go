package audit

import "slices"

// replayed is an entry of a replay: users of rejected records, as somebody said whom those meant. What the topic can say about it
// is that there are such records: as many as users, each of them malformed, and none the reason of two grants.
type replayed struct {
	lows  []uint16
	entry entry // without its members
}

func replayedOf(e *entry) replayed {
	out := replayed{entry: entry{run: e.run, count: e.count, spans: slices.Clone(e.spans)}}
	e.spread.each(func(low uint16) { out.lows = append(out.lows, low) })
	return out
}

// replayed names users of replays who are not of rejected records.
func (a *audit) replayed(chunk uint64, entries []replayed) {
	for i := range entries {
		r := &entries[i]
		kind, what := Extra, "users were granted by a replay, and not each of them has a rejected record of its own"
		switch {
		case a.mayBeGone(&r.entry):
			kind, what = Unprovable, fromGone
		case a.rejectedAll(&r.entry):
			continue
		}
		users := new(page)
		for _, low := range r.lows {
			users.set(low)
		}
		a.findings.users(kind, chunk, users, what)
	}
}

// rejectedAll reports whether an entry names as many malformed records as it has users, and no other entry one of them.
func (a *audit) rejectedAll(e *entry) bool {
	n := 0
	for _, s := range e.spans {
		bad := a.rejected[s.partition]
		if bad == nil || s.last-s.first >= int64(e.count) {
			return false
		}
		for offset := s.first; offset <= s.last; offset++ {
			if !bad.must.has(offset) && !bad.may.has(offset) || bad.used.has(offset) {
				return false
			}
			bad.used.add(offset)
			n++
		}
	}
	return n == e.count
}
