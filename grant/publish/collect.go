package publish

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant/ledger"
)

// collect reads a round's pieces, and returns which of the chunks want another round. Cursors that do not fit their journal are
// set back.
func (p *Publisher) collect(
	ctx context.Context, chunks []uint64, due map[uint64]int64, l limits,
) (out []piece, left []uint64, err error) {
	parts := make([]ledger.Range, len(chunks))
	each := int64(max(1, min(l.entries, maxEntries/len(chunks))))
	p.mu.Lock()
	for i, chunk := range chunks {
		c := p.cursors[chunk]
		from := max(0, c.last())
		parts[i] = ledger.Range{Chunk: chunk, From: from, To: min(max(due[chunk], from+1), c.entries+each)}
	}
	p.mu.Unlock()
	texts, err := p.reader.Texts(ctx, parts)
	if err != nil {
		return nil, nil, err
	}
	for i, chunk := range chunks {
		p.mu.Lock()
		c := p.cursors[chunk]
		p.mu.Unlock()
		if full := l.events > 0 && count(out) >= l.events; full {
			left = append(left, chunk)
			continue
		}
		if len(c.marks) > 0 && (len(texts[i]) == 0 || headOf(texts[i][0]) != c.marks[0].head) {
			if err := p.rewind(ctx, chunk, c); err != nil {
				return nil, nil, err
			}
			left = append(left, chunk)
			continue
		}
		found, more, err := p.pieces(chunk, &c, parts[i].From, texts[i], due[chunk], l)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, found...)
		if more {
			left = append(left, chunk)
		}
	}
	return out, left, nil
}

func count(pieces []piece) (events int) {
	for i := range pieces {
		events += pieces[i].count
	}
	return events
}

// pieces makes pieces of what was read of a chunk from an entry on, and says whether the chunk has more.
func (p *Publisher) pieces(
	chunk uint64, c *cursor, from int64, texts []string, to int64, l limits,
) (out []piece, more bool, err error) {
	for i, text := range texts {
		index := from + int64(i)
		if index < c.entries {
			continue // sent; it was read to compare
		}
		e := new(ledger.Entry)
		if err := e.UnmarshalBinary([]byte(text)); err != nil {
			return nil, false, fmt.Errorf("%w: %s[%d]: %w", ledger.ErrInconsistent, p.reader.JournalKey(chunk), index, err)
		}
		next := piece{chunk: chunk, index: index, head: headOf(text), text: text, entry: e, count: e.Count}
		if index == c.entries {
			next.first = c.members
			next.count -= c.members
		}
		if l.events > 0 && len(out) > 0 && count(out) >= l.events {
			return out, true, nil
		}
		if l.members > 0 && next.count > l.members {
			next.count = l.members
			return append(out, next), true, nil // the rest of the entry comes first
		}
		out = append(out, next)
	}
	return out, from+int64(len(texts)) < to, nil
}

// rewind sets a cursor back to what the journal still has of what was sent, because the ledger lost its last writes.
func (p *Publisher) rewind(ctx context.Context, chunk uint64, c cursor) error {
	asked := make([]ledger.Range, len(c.marks))
	for i, m := range c.marks {
		asked[i] = ledger.Range{Chunk: chunk, From: m.index, To: m.index + 1}
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
		"subscriber", p.Name, "chunk", chunk, "published", c.entries, "back_to", back.entries)
	if p.Metrics != nil {
		p.Metrics.Rewinds.WithLabelValues(p.Name).Inc()
	}
	return p.advance(ctx, map[uint64]cursor{chunk: back})
}
