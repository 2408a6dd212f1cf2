package publish

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// That an item ends is written nowhere: it follows from when it was granted or taken, and from what people did about the user
// until then. So it is found by reading all lists of a chunk, when the first one that may end is due, and comes to be at a
// moment: its end, or when somebody changed that to one in the past. What people do later changes nothing of it.
//
// The place of an ending in the order of a chunk is its moment in Unix milliseconds, times 64, and the index of the item.
const itemBits = 6

// ending is that an item ends for some users of a chunk at a moment.
type ending struct {
	index int64
	who   few
}

// horizon is what is known of the endings of a chunk.
type horizon struct {
	known time.Time // those up to it were found
	next  time.Time // there is none before it, after known, as far as has been read
	due   []ending  // those that were found and not sent
	acted bool      // somebody did something about some of the users
}

var never = time.UnixMilli(math.MaxInt64 >> itemBits).UTC()

// sooner says that something may end at a moment.
func (h *horizon) sooner(at time.Time) {
	if at.After(h.known) && at.Before(h.next) {
		h.next = at
	}
}

// heed learns of an entry that was read: what it gives ends some time, and what people do may change when.
func (h *horizon) heed(c *grant.Campaign, p *piece) {
	h.acted = h.acted || p.entry.Act != nil
	if h.acted {
		h.sooner(p.entry.At) // it may end sooner than the spec says, even at once
		return
	}
	for i, end := range ends(c, p.entry.At) {
		mine := i == p.item
		if p.list == ledger.ListJournal {
			mine = !c.Items[i].Offered()
		}
		if mine && !end.IsZero() {
			h.sooner(end)
		}
	}
}

// ends are the ends of all items, if their validity begins at a moment; zero: it is permanent.
func ends(c *grant.Campaign, at time.Time) []time.Time {
	h := grant.Holding{GrantedAt: at, TakenAt: make([]time.Time, len(c.Items))}
	for i := range h.TakenAt {
		h.TakenAt[i] = at
	}
	out := make([]time.Time, len(c.Items))
	for i, e := range c.Entitlements(&h, at) {
		out[i] = e.ExpiresAt
	}
	return out
}

// mayEnd reports whether anything ends where nobody acts.
func mayEnd(c *grant.Campaign) bool {
	return slices.ContainsFunc(c.Items, func(i grant.Item) bool { return !i.Validity.Permanent() })
}

// endings finds what ends in a chunk until a moment, from a place in the order on, and brings the horizon there.
func (p *Publisher) endings(ctx context.Context, chunk uint64, h *horizon, from int64, until time.Time) error {
	known, err := p.histories(ctx, chunk)
	if err != nil {
		return err
	}
	from = max(from, h.known.UnixMilli()<<itemBits+1<<itemBits)
	if n := len(h.due); n > 0 {
		from = max(from, h.due[n-1].index+1)
	}
	found := map[int64][]int32{}
	h.known, h.next, h.acted = until, never, len(known.acts) > 0
	known.each(p.writer.campaign, until, func(seat int32, item int, at time.Time, over bool) {
		index := at.UnixMilli()<<itemBits | int64(item)
		switch {
		case !over:
			h.sooner(at)
		case index >= from:
			found[index] = append(found[index], seat)
		}
	})
	before := len(h.due)
	for index, seats := range found {
		h.due = append(h.due, ending{index, known.roster.few(seats)})
	}
	slices.SortFunc(h.due[before:], func(a, b ending) int { return int(a.index - b.index) })
	return nil
}

// piece makes a piece of what a cursor has left of an ending.
func (e *ending) piece(chunk uint64, c *cursor) piece {
	entry := &ledger.Entry{At: time.UnixMilli(e.index >> itemBits).UTC(), Count: e.who.count()}
	out := piece{
		place: place{chunk, listEndings}, index: e.index, entry: entry, who: e.who.users(), count: entry.Count,
		item: int(e.index & (1<<itemBits - 1)),
	}
	if c.entries == e.index {
		out.first = min(c.members, entry.Count)
		out.count -= out.first
	}
	return out
}

// histories is what the lists of a chunk say of its users, by their numbers in the roster.
type histories struct {
	roster  roster
	granted []int64                // when a run granted; Unix milliseconds, 0: none did
	taken   map[int][]int64        // by item
	acts    map[int32][]*grant.Act // of users about whom somebody did something, oldest first
}

func (p *Publisher) histories(ctx context.Context, chunk uint64) (*histories, error) {
	out := &histories{roster: p.layout.roster(chunk), taken: map[int][]int64{}, acts: map[int32][]*grant.Act{}}
	page := int64(p.layout.page())
	var seats []int32
	for _, list := range ledger.Lists(p.writer.campaign) {
		for from, more := int64(0), true; more; from += page {
			at := place{chunk, list}
			texts, err := p.reader.Texts(ctx, []ledger.Range{{Chunk: chunk, List: list, From: from, To: from + page}})
			if err != nil {
				return nil, err
			}
			for i, text := range texts[0] {
				e, err := readPiece(p.layout, at, from+int64(i), text, 0)
				if err != nil {
					return nil, p.damaged(at, from+int64(i), err)
				}
				seats = out.roster.seats(seats[:0], e.who)
				out.add(&e, seats)
			}
			more = int64(len(texts[0])) == page
		}
	}
	return out, nil
}

func (p *Publisher) damaged(at place, index int64, err error) error {
	return fmt.Errorf("%w: %s[%d]: %w", ledger.ErrInconsistent, p.reader.ListKey(at.chunk, at.list), index, err)
}

func (h *histories) add(p *piece, seats []int32) {
	times := h.granted
	switch {
	case p.entry.Act != nil:
		for _, seat := range seats {
			h.acts[seat] = append(h.acts[seat], p.entry.Act)
		}
		return
	case p.list != ledger.ListJournal:
		times = h.taken[p.item]
	}
	if n := h.roster.size(); len(times) < n {
		times = append(times, make([]int64, n-len(times))...)
	}
	for _, seat := range seats {
		times[seat] = p.entry.At.UnixMilli()
	}
	if p.list == ledger.ListJournal {
		h.granted = times
	} else {
		h.taken[p.item] = times
	}
}

// timeOf is that of a user, as far as there is one.
func timeOf(times []int64, seat int32) int64 {
	if int(seat) >= len(times) {
		return 0
	}
	return times[seat]
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// takenAt is when a user took the items of a campaign.
func (h *histories) takenAt(c *grant.Campaign, seat int32) []time.Time {
	out := make([]time.Time, len(c.Items))
	for item, times := range h.taken {
		if item < len(out) {
			out[item] = moment(timeOf(times, seat))
		}
	}
	return out
}

// each says of all users what ended until a moment, and when; and what has not, and when it will if nobody does anything.
func (h *histories) each(c *grant.Campaign, until time.Time, say func(seat int32, item int, at time.Time, over bool)) {
	known := map[int64][]time.Time{} // few moments are those of most users
	plain := func(seat int32, item int, from int64) {
		if from == 0 {
			return
		}
		all, ok := known[from]
		if !ok {
			if len(known) >= 1024 {
				clear(known)
			}
			all = ends(c, moment(from))
			known[from] = all
		}
		if end := all[item]; !end.IsZero() {
			say(seat, item, end, !end.After(until))
		}
	}
	for seat := range int32(h.roster.size()) {
		granted := timeOf(h.granted, seat)
		if acts, ok := h.acts[seat]; ok {
			overs(c, spells(moment(granted), h.takenAt(c, seat), acts), until,
				func(item int, at time.Time, over bool) { say(seat, item, at, over) })
			continue
		}
		if granted == 0 {
			continue
		}
		for item := range c.Items {
			from := granted
			if c.Items[item].Offered() {
				from = timeOf(h.taken[item], seat)
			}
			plain(seat, item, from)
		}
	}
}
