package audit

import "slices"

// replayed is an entry of a replay: users of rejected records, as somebody said whom those meant. What the topic can say about it
// is that there are such records: at least as many as users, each of them malformed, and none the reason of two grants.
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
		kind, what := a.judgeReplay(&r.entry)
		if kind == "" {
			continue
		}
		users := new(page)
		for _, low := range r.lows {
			users.set(low)
		}
		a.findings.users(kind, chunk, users, what)
	}
}

// judgeReplay says what is wrong with an entry of a replay; an empty kind: nothing.
func (a *audit) judgeReplay(e *entry) (kind Kind, what string) {
	switch {
	case a.mayBeGone(e):
		return Unprovable, fromGone
	case a.rejectedAll(e):
		return "", ""
	}
	return Extra, "users were granted by a replay, and not each of them has a rejected record of its own"
}

// rejectedAll reports whether an entry names malformed records only, and for each of its users one that no other entry needed.
// Records whose user had the campaign before are in it, too, and those that a replay which was killed had done.
func (a *audit) rejectedAll(e *entry) bool {
	left := e.count
	for _, s := range e.spans {
		bad := a.rejected[s.partition]
		if bad == nil {
			return false
		}
		for offset := s.first; offset <= s.last; offset++ {
			if !bad.must.has(offset) && !bad.may.has(offset) {
				return false
			}
			if left > 0 && !bad.used.has(offset) {
				bad.used.add(offset)
				left--
			}
		}
	}
	return left == 0
}
