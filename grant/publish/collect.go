package publish

import (
	"context"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// reading is how many entries a round reads: about as many as it can send, since what it does not send is read again.
type reading struct{ entries int }

// adapt learns from a round.
func (r *reading) adapt(read, sent, bytes int) {
	switch {
	case bytes > maxRead || sent < read/2:
		r.entries = max(1, r.entries/2)
	case sent >= read && bytes < maxRead/4:
		r.entries = min(2*r.entries, maxEntries)
	}
}

// collect reads a round's pieces, and returns which of the chunks want another round. Cursors that do not fit their lists are
// set back.
func (p *Publisher) collect(
	ctx context.Context, all []uint64, due *cut, l limits, r *reading,
) (out []piece, left []uint64, err error) {
	chunks := all[:min(len(all), r.entries)]
	parts := make([]ledger.Range, 0, len(chunks)*len(due.lists))
	each := int64(max(1, min(l.entries, r.entries/len(chunks))))
	cursors := make(map[place]cursor, len(chunks))
	p.mu.Lock()
	for _, chunk := range chunks {
		for n, list := range due.lists {
			at := place{chunk, list}
			c := p.cursors[at]
			cursors[at] = c
			from := max(0, c.last())
			to := min(max(due.to[chunk][n], from+1), c.entries+each)
			parts = append(parts, ledger.Range{Chunk: chunk, List: list, From: from, To: to})
		}
		cursors[place{chunk, listEndings}] = p.cursors[place{chunk, listEndings}]
	}
	p.mu.Unlock()
	texts, err := p.reader.Texts(ctx, parts)
	if err != nil {
		return nil, nil, err
	}
	read, size := 0, 0
	for i := range parts {
		for at, text := range texts[i] {
			size += len(text)
			if parts[i].From+int64(at) >= cursors[place{parts[i].Chunk, parts[i].List}].entries {
				read++
			}
		}
	}
	for i, chunk := range chunks {
		if full := l.events > 0 && count(out) >= l.events; full {
			left = append(left, chunk)
			continue
		}
		first := i * len(due.lists)
		read := parts[first : first+len(due.lists)]
		back, err := p.rewound(ctx, read, texts[first:], cursors)
		if err != nil {
			return nil, nil, err
		}
		if back {
			left = append(left, chunk)
			continue
		}
		found, more, err := p.ofChunk(ctx, chunk, due, read, texts[first:], cursors, l, count(out))
		if err != nil {
			return nil, nil, err
		}
		out = append(out, found...)
		if more {
			left = append(left, chunk)
		}
	}
	r.adapt(read, len(out), size)
	return out, append(left, all[len(chunks):]...), p.correct(ctx, out)
}

// rewound sets those cursors of a chunk back whose last entry is no longer there, and reports whether there were any.
func (p *Publisher) rewound(
	ctx context.Context, read []ledger.Range, texts [][]string, cursors map[place]cursor,
) (bool, error) {
	back := false
	for n, r := range read {
		at := place{r.Chunk, r.List}
		c := cursors[at]
		if len(c.marks) == 0 || len(texts[n]) > 0 && headOf(texts[n][0]) == c.marks[0].head {
			continue
		}
		if err := p.rewind(ctx, at, c); err != nil {
			return false, err
		}
		back = true
	}
	return back, nil
}

// ofChunk puts what was read of the lists of a chunk into their common order, and says whether the chunk has more.
func (p *Publisher) ofChunk(
	ctx context.Context, chunk uint64, due *cut, read []ledger.Range, texts [][]string, cursors map[place]cursor,
	l limits, events int,
) ([]piece, bool, error) {
	parts := make([]part, len(read), len(read)+1)
	for n, r := range read {
		at := place{chunk, r.List}
		c := cursors[at]
		for i, text := range texts[n] {
			index, from := r.From+int64(i), 0
			if index < c.entries {
				continue // sent; it was read to compare
			}
			if index == c.entries {
				from = c.members
			}
			next, err := readPiece(p.layout, at, index, text, from)
			if err != nil {
				return nil, false, p.damaged(at, index, err)
			}
			parts[n].pieces = append(parts[n].pieces, next)
		}
		parts[n].more = int64(len(texts[n])) == r.To-r.From && r.To < due.to[chunk][n]
	}
	if due.until.IsZero() {
		out, more := merge(parts, l, events, func(*piece) bool { return false })
		return out, more, nil
	}
	h, endings, err := p.ending(ctx, chunk, due.until, parts, cursors[place{chunk, listEndings}], l.entries+1)
	if err != nil {
		return nil, false, err
	}
	out, more := merge(append(parts, part{pieces: endings}), l, events, func(next *piece) bool {
		// An act may come to be before a take that happened sooner, and an ending that is due before it was not looked for.
		late := next.entry.At.After(due.until) && next.list != listEndings
		late = late && (next.rank() > 0 || !h.next.After(next.entry.At))
		if late {
			p.waits(next.entry.At)
		}
		return late
	})
	return out, more, nil
}

// waits notes that something is left for the next sweep.
func (p *Publisher) waits(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.IsZero() || at.Before(p.waiting) {
		p.waiting = at
	}
}

// ending returns what is known of the endings of a chunk, in which some entries were read, and those that are due: most of them,
// which has to be more than a round sends.
func (p *Publisher) ending(
	ctx context.Context, chunk uint64, until time.Time, parts []part, c cursor, most int,
) (*horizon, []piece, error) {
	if !p.writer.wants(TypeExpired) {
		return &horizon{next: never}, nil, nil
	}
	p.mu.Lock()
	h := p.horizons[chunk]
	p.mu.Unlock()
	for i := range parts {
		for j := range parts[i].pieces {
			h.heed(p.writer.campaign, &parts[i].pieces[j])
		}
	}
	if !h.next.After(until) {
		if err := p.endings(ctx, chunk, h, c.entries, until); err != nil {
			return nil, nil, err
		}
	}
	for len(h.due) > 0 && h.due[0].index < c.entries {
		h.due = h.due[1:]
	}
	var out []piece
	for i := range h.due[:min(len(h.due), most)] {
		out = append(out, h.due[i].piece(chunk, &c))
	}
	return h, out, nil
}

// hide finds those of a list of users of whom nobody is told any more why it was done. Events say of that which kind of
// revocation it was, and nothing else.
func (p *Publisher) hide(ctx context.Context, pieces []piece) (err error) {
	for i := range pieces {
		at := &pieces[i]
		a := at.entry.Act
		if a == nil || a.Revocation == "" || at.entry.Count == 1 { // that of one user is erased where it is stored
			continue
		}
		if at.untold, err = p.layout.untold(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// correct looks up what acts had made of the ends of items, for those who took them afterwards; and whom hide finds.
func (p *Publisher) correct(ctx context.Context, pieces []piece) error {
	if err := p.hide(ctx, pieces); err != nil {
		return err
	}
	var chunks []uint64
	for i := range pieces {
		if l := pieces[i].list; l != ledger.ListJournal && l != listEndings && !slices.Contains(chunks, pieces[i].chunk) {
			chunks = append(chunks, pieces[i].chunk)
		}
	}
	if len(chunks) == 0 {
		return nil
	}
	acted, err := p.reader.Acted(ctx, chunks)
	if err != nil {
		return err
	}
	known := map[uint64]*histories{}
	for i := range pieces {
		at := &pieces[i]
		if at.list == ledger.ListJournal || at.list == listEndings || !acted[at.chunk] {
			continue
		}
		if known[at.chunk] == nil {
			if known[at.chunk], err = p.histories(ctx, at.chunk); err != nil {
				return err
			}
		}
		at.ends = known[at.chunk].endsOf(at, p.writer.campaign.Items[at.item].ID)
	}
	return nil
}

// endsOf are the ends that an item had for some of those who took it, because of what had been done about them before.
func (h *histories) endsOf(p *piece, item string) map[grant.UserID]time.Time {
	var out map[grant.UserID]time.Time
	seats, i := h.roster.seats(nil, p.who), 0
	for text := range p.who.texts(0) {
		if acts := h.acts[seats[i]]; acts != nil {
			if end, ok := endBy(item, p.entry.At, acts); ok {
				if out == nil {
					out = map[grant.UserID]time.Time{}
				}
				out[grant.TextID(string(text))] = end
			}
		}
		i++
	}
	return out
}

func count(pieces []piece) (events int) {
	for i := range pieces {
		events += pieces[i].count
	}
	return events
}

// rewind sets a cursor back to what the journal still has of what was sent, because the ledger lost its last writes.
func (p *Publisher) rewind(ctx context.Context, at place, c cursor) error {
	asked := make([]ledger.Range, len(c.marks))
	for i, m := range c.marks {
		asked[i] = ledger.Range{Chunk: at.chunk, List: at.list, From: m.index, To: m.index + 1}
	}
	texts, err := p.reader.Texts(ctx, asked)
	if err != nil {
		return err
	}
	found := map[int64]head{}
	for i, m := range c.marks {
		if len(texts[i]) == 1 {
			found[m.index] = headOf(texts[i][0])
		}
	}
	back := c.back(func(m mark) bool { h, ok := found[m.index]; return ok && h == m.head })
	p.Log.Error("the ledger no longer has what was published: it lost writes; what it has in their place follows",
		"subscriber", p.Name, "chunk", at.field(), "published", c.entries, "back_to", back.entries)
	if p.Metrics != nil {
		p.Metrics.Rewinds.WithLabelValues(p.Name).Inc()
	}
	p.mu.Lock()
	p.horizons[at.chunk] = new(horizon)
	p.mu.Unlock()
	return p.advance(ctx, map[place]cursor{at: back})
}
