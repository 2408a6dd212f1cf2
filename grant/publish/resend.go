package publish

import (
	"context"
	"fmt"
	"time"

	"github.com/granter/granter/grant/ledger"
)

// Resend sends entries of a time again, from a moment up to, and not including, another, with the IDs that they had. No cursor
// moves, and who leads goes on meanwhile.
func (p *Publisher) Resend(ctx context.Context, from, to time.Time) error {
	var err error
	if p.writer.campaign, err = p.Spec(ctx); err != nil {
		return err
	}
	chunks, err := p.reader.Chunks(ctx)
	if err != nil {
		return err
	}
	lengths, err := p.reader.Lengths(ctx, chunks)
	if err != nil {
		return err
	}
	for i, chunk := range chunks {
		for index := int64(0); index < lengths[i]; index += resendPage {
			part := ledger.Range{Chunk: chunk, From: index, To: min(index+resendPage, lengths[i])}
			if err := p.resend(ctx, part, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

const resendPage = 64

// resend sends what is of the time in a part of a journal.
func (p *Publisher) resend(ctx context.Context, part ledger.Range, from, to time.Time) error {
	texts, err := p.reader.Texts(ctx, []ledger.Range{part})
	if err != nil {
		return err
	}
	for i, text := range texts[0] {
		e, index := new(ledger.Entry), part.From+int64(i)
		if err := e.UnmarshalBinary([]byte(text)); err != nil {
			return fmt.Errorf("%w: %s[%d]: %w", ledger.ErrInconsistent, p.reader.JournalKey(part.Chunk), index, err)
		}
		if e.At.Before(from) || !e.At.Before(to) {
			continue
		}
		size := p.target.limits().members
		if size == 0 {
			size = e.Count
		}
		for first := 0; first < e.Count; first += size {
			pieces, events := p.wanted([]piece{
				{
					chunk: part.Chunk,
					index: index,
					head:  headOf(text),
					text:  text,
					entry: e,
					first: first,
					count: min(size, e.Count-first),
				},
			})
			if len(pieces) == 0 {
				continue
			}
			if err := p.pace(ctx, events); err != nil {
				return err
			}
			if err := p.attempt(ctx, pieces, p.GiveUp); err != nil {
				return err
			}
		}
	}
	return nil
}
