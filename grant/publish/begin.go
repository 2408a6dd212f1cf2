package publish

import (
	"context"
	"fmt"
	"time"

	"github.com/granter/granter/grant/ledger"
)

// From is where a subscriber begins that has no cursors yet. Its zero value is the first entry.
type From struct {
	Now bool      // with what comes from now on
	At  time.Time // with entries of this moment and later
}

// ParseFrom reads start, now, or a moment in RFC 3339.
func ParseFrom(text string) (From, error) {
	switch text {
	case "", "start":
		return From{}, nil
	case "now":
		return From{Now: true}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return From{}, fmt.Errorf("%q: want start, now, or a moment such as 2023-01-05T09:00:00+09:00", text)
	}
	return From{At: at}, nil
}

func (f From) String() string {
	switch {
	case f.Now:
		return "now"
	case !f.At.IsZero():
		return f.At.UTC().Format(time.RFC3339Nano)
	}
	return "start"
}

// begin decides where the subscriber begins, for all chunks, and stores it. An attempt that was interrupted begins anew.
func (p *Publisher) begin(ctx context.Context, fields map[string]string) (map[string]string, error) {
	next := map[place]cursor{}
	if p.From != (From{}) {
		if err := p.beginAt(ctx, next); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	for field, text := range fields {
		if at, ok := parsePlace(field); ok {
			p.stored[at] = text
		}
	}
	p.mu.Unlock()
	if err := p.advance(ctx, next); err != nil {
		return nil, err
	}
	move := ledger.Move{Field: beginField, To: p.From.String()}
	leads, err := p.coordination.Advance(ctx, p.Name, p.Who, leadFor, []ledger.Move{move})
	if err != nil {
		return nil, err
	}
	if !leads {
		return nil, errLead
	}
	return p.coordination.Cursors(ctx, p.Name)
}

// beginAt puts cursors behind what the subscriber is not to have.
func (p *Publisher) beginAt(ctx context.Context, next map[place]cursor) error {
	chunks, err := p.reader.Chunks(ctx)
	if err != nil || len(chunks) == 0 {
		return err
	}
	if err := p.learn(ctx); err != nil {
		return err
	}
	at := p.From.At
	if p.From.Now {
		if at, err = p.reader.Clock(ctx); err != nil {
			return err
		}
	}
	lists := ledger.Lists(p.writer.campaign)
	lengths, err := p.reader.Lengths(ctx, chunks, lists)
	if err != nil {
		return err
	}
	for i, chunk := range chunks {
		for n, list := range lists {
			c, err := p.beginIn(ctx, place{chunk, list}, lengths[i][n])
			if err != nil {
				return err
			}
			if c.entries > 0 {
				next[place{chunk, list}] = c
			}
		}
		var ends cursor
		next[place{chunk, listEndings}] = ends.sent(at.UnixMilli()<<itemBits-1, 0, 0, true)
	}
	return nil
}

// beginIn returns the cursor of one list: behind the last entry that the subscriber is not to have.
func (p *Publisher) beginIn(ctx context.Context, at place, length int64) (cursor, error) {
	var c cursor
	page := int64(p.layout.page())
	for from := int64(0); from < length; from += page {
		if p.From.Now {
			from = length - 1
		}
		part := ledger.Range{Chunk: at.chunk, List: at.list, From: from, To: min(from+page, length)}
		texts, err := p.reader.Texts(ctx, []ledger.Range{part})
		if err != nil {
			return c, err
		}
		for i, text := range texts[0] {
			stamp, err := ledger.Stamp([]byte(text))
			if err != nil {
				return c, p.damaged(at, from+int64(i), err)
			}
			if !p.From.Now && !stamp.Before(p.From.At) {
				return c, nil
			}
			c = c.sent(from+int64(i), headOf(text), 0, true)
		}
	}
	return c, nil
}
