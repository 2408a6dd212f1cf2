package publish

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
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
	lows  []uint16 // ascending
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
	users, err := p.histories(ctx, chunk)
	if err != nil {
		return err
	}
	from = max(from, h.known.UnixMilli()<<itemBits+1<<itemBits)
	if n := len(h.due); n > 0 {
		from = max(from, h.due[n-1].index+1)
	}
	found := map[int64][]uint16{}
	h.known, h.next, h.acted = until, never, len(users.acts) > 0
	users.each(p.writer.campaign, until, func(low uint16, item int, at time.Time, over bool) {
		index := at.UnixMilli()<<itemBits | int64(item)
		switch {
		case !over:
			h.sooner(at)
		case index >= from:
			found[index] = append(found[index], low)
		}
	})
	before := len(h.due)
	for index, lows := range found {
		h.due = append(h.due, ending{index, lows})
	}
	slices.SortFunc(h.due[before:], func(a, b ending) int { return int(a.index - b.index) })
	return nil
}

// piece makes a piece of what a cursor has left of an ending.
func (e *ending) piece(chunk uint64, c *cursor) piece {
	entry := &ledger.Entry{At: time.UnixMilli(e.index >> itemBits).UTC(), Count: len(e.lows)}
	for _, low := range e.lows {
		entry.Members.Set(low)
	}
	out := piece{
		place: place{chunk, listEndings}, index: e.index, entry: entry, count: entry.Count,
		item: int(e.index & (1<<itemBits - 1)),
	}
	if c.entries == e.index {
		out.first = min(c.members, entry.Count)
		out.count -= out.first
	}
	return out
}

// histories is what the lists of a chunk say of its users.
type histories struct {
	granted []int64                 // by user: when a run granted; Unix milliseconds, 0: none did
	taken   map[int][]int64         // by item, by user
	acts    map[uint16][]*grant.Act // of users about whom somebody did something, oldest first
}

const historyPage = 256

func (p *Publisher) histories(ctx context.Context, chunk uint64) (*histories, error) {
	out := &histories{granted: make([]int64, dense.ChunkSize), taken: map[int][]int64{}, acts: map[uint16][]*grant.Act{}}
	var lows []uint16
	for _, list := range ledger.Lists(p.writer.campaign) {
		for from, more := int64(0), true; more; from += historyPage {
			at := place{chunk, list}
			texts, err := p.reader.Texts(ctx, []ledger.Range{{Chunk: chunk, List: list, From: from, To: from + historyPage}})
			if err != nil {
				return nil, err
			}
			for i, text := range texts[0] {
				e, err := readPiece(at, from+int64(i), text, 0)
				if err != nil {
					return nil, p.damaged(at, from+int64(i), err)
				}
				lows = e.entry.Members.Lows(lows[:0])
				out.add(&e, lows)
			}
			more = len(texts[0]) == historyPage
		}
	}
	return out, nil
}

func (p *Publisher) damaged(at place, index int64, err error) error {
	return fmt.Errorf("%w: %s[%d]: %w", ledger.ErrInconsistent, p.reader.ListKey(at.chunk, at.list), index, err)
}

func (h *histories) add(p *piece, lows []uint16) {
	times := h.granted
	switch {
	case p.entry.Act != nil:
		for _, low := range lows {
			h.acts[low] = append(h.acts[low], p.entry.Act)
		}
		return
	case p.list != ledger.ListJournal:
		if h.taken[p.item] == nil {
			h.taken[p.item] = make([]int64, dense.ChunkSize)
		}
		times = h.taken[p.item]
	}
	for _, low := range lows {
		times[low] = p.entry.At.UnixMilli()
	}
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// takenAt is when a user took the items of a campaign.
func (h *histories) takenAt(c *grant.Campaign, low uint16) []time.Time {
	out := make([]time.Time, len(c.Items))
	for item, times := range h.taken {
		if item < len(out) {
			out[item] = moment(times[low])
		}
	}
	return out
}

// each says of all users what ended until a moment, and when; and what has not, and when it will if nobody does anything.
func (h *histories) each(c *grant.Campaign, until time.Time, say func(low uint16, item int, at time.Time, over bool)) {
	known := map[int64][]time.Time{} // few moments are those of most users
	plain := func(low uint16, item int, from int64) {
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
			say(low, item, end, !end.After(until))
		}
	}
	for low := range dense.ChunkSize {
		low := uint16(low)
		if acts, ok := h.acts[low]; ok {
			overs(c, spells(moment(h.granted[low]), h.takenAt(c, low), acts), until,
				func(item int, at time.Time, over bool) { say(low, item, at, over) })
			continue
		}
		if h.granted[low] == 0 {
			continue
		}
		for item := range c.Items {
			from := h.granted[low]
			if c.Items[item].Offered() {
				if from = 0; h.taken[item] != nil {
					from = h.taken[item][low]
				}
			}
			plain(low, item, from)
		}
	}
}
