package publish

import (
	"context"
	"time"

	"github.com/granter/granter/grant/ledger"
)

// Resend sends what came to be in a time again, from a moment up to, and not including, another, with the IDs that it had. No
// cursor moves, and who leads goes on meanwhile. The order is that of each list: takes come behind the journal, endings last.
func (p *Publisher) Resend(ctx context.Context, from, to time.Time) error {
	chunks, err := p.reader.Chunks(ctx)
	if err != nil {
		return err
	}
	if err := p.learn(ctx); err != nil {
		return err
	}
	lists := p.writer.lists()
	until, err := p.reader.Clock(ctx)
	if err != nil {
		return err
	}
	lengths, err := p.reader.Lengths(ctx, chunks, lists)
	if err != nil {
		return err
	}
	for i, chunk := range chunks {
		for n, list := range lists {
			page := int64(p.layout.page())
			for index := int64(0); index < lengths[i][n]; index += page {
				part := ledger.Range{Chunk: chunk, List: list, From: index, To: min(index+page, lengths[i][n])}
				if err := p.resend(ctx, part, from, to); err != nil {
					return err
				}
			}
		}
		if err := p.resendEndings(ctx, chunk, from, to, until); err != nil {
			return err
		}
	}
	return nil
}

// resend sends what is of the time in a part of a list.
func (p *Publisher) resend(ctx context.Context, part ledger.Range, from, to time.Time) error {
	texts, err := p.reader.Texts(ctx, []ledger.Range{part})
	if err != nil {
		return err
	}
	at := place{part.Chunk, part.List}
	for i, text := range texts[0] {
		e, err := readPiece(p.layout, at, part.From+int64(i), text, 0)
		if err != nil {
			return p.damaged(at, part.From+int64(i), err)
		}
		if e.entry.At.Before(from) || !e.entry.At.Before(to) {
			continue
		}
		if err := p.sendAgain(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publisher) resendEndings(ctx context.Context, chunk uint64, from, to, until time.Time) error {
	if !p.writer.wants(TypeExpired) {
		return nil
	}
	if to = to.Add(-time.Millisecond); to.After(until) {
		to = until
	}
	h := &horizon{}
	if err := p.endings(ctx, chunk, h, from.UnixMilli()<<itemBits, to); err != nil {
		return err
	}
	for i := range h.due {
		if err := p.sendAgain(ctx, h.due[i].piece(chunk, new(cursor))); err != nil {
			return err
		}
	}
	return nil
}

// sendAgain sends an entry in pieces of a size that the target takes.
func (p *Publisher) sendAgain(ctx context.Context, e piece) error {
	size := p.target.limits().members
	if size == 0 {
		size = e.entry.Count
	}
	for first := 0; first < e.entry.Count; first += size {
		e.first, e.count = first, min(size, e.entry.Count-first)
		pieces, events := p.wanted([]piece{e})
		if len(pieces) == 0 {
			continue
		}
		if err := p.correct(ctx, pieces); err != nil {
			return err
		}
		if err := p.pace(ctx, events); err != nil {
			return err
		}
		if err := p.attempt(ctx, pieces, p.GiveUp); err != nil {
			return err
		}
	}
	return nil
}
