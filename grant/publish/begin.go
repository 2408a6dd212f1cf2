package publish

import (
	"context"
	"fmt"
	"strconv"
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

func parseChunk(field string) (uint64, bool) {
	chunk, err := strconv.ParseUint(field, 10, 64)
	return chunk, err == nil
}

// begin decides where the subscriber begins, for all chunks, and stores it. An attempt that was interrupted begins anew.
func (p *Publisher) begin(ctx context.Context, fields map[string]string) (map[string]string, error) {
	next := map[uint64]cursor{}
	if p.From != (From{}) {
		chunks, err := p.reader.Chunks(ctx)
		if err != nil {
			return nil, err
		}
		lengths, err := p.reader.Lengths(ctx, chunks)
		if err != nil {
			return nil, err
		}
		for i, chunk := range chunks {
			c, err := p.beginIn(ctx, chunk, lengths[i])
			if err != nil {
				return nil, err
			}
			if c.entries > 0 {
				next[chunk] = c
			}
		}
	}
	p.mu.Lock()
	for field, text := range fields {
		if chunk, ok := parseChunk(field); ok {
			p.stored[chunk] = text
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

// beginIn returns the cursor of one chunk: behind the last entry that the subscriber is not to have.
func (p *Publisher) beginIn(ctx context.Context, chunk uint64, length int64) (cursor, error) {
	var c cursor
	const page = 64
	for from := int64(0); from < length; from += page {
		if p.From.Now {
			from = length - 1
		}
		texts, err := p.reader.Texts(ctx, []ledger.Range{{Chunk: chunk, From: from, To: min(from+page, length)}})
		if err != nil {
			return c, err
		}
		for i, text := range texts[0] {
			at, err := ledger.Stamp([]byte(text))
			if err != nil {
				return c, fmt.Errorf("%w: %s[%d]: %w", ledger.ErrInconsistent, p.reader.JournalKey(chunk), from+int64(i), err)
			}
			if !p.From.Now && !at.Before(p.From.At) {
				return c, nil
			}
			c = c.sent(from+int64(i), headOf(text), 0, true)
		}
	}
	return c, nil
}
