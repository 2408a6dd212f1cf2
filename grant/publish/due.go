package publish

import (
	"context"
	"slices"
	"time"

	"github.com/granter/granter/grant/ledger"
)

// cut is how far a sweep goes: in the lists of each chunk, and in time.
type cut struct {
	lists []ledger.List
	until time.Time          // what happened until then is in the lists, and endings until then are due
	to    map[uint64][]int64 // by chunk, then as lists
}

// due finds out which chunks want to be looked at, and how far.
func (p *Publisher) due(ctx context.Context, all bool) (*cut, error) {
	chunks, err := p.reader.Chunks(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.waiting = time.Time{}
	for at := range p.cursors { // an index that lost a chunk must not make it be forgotten
		chunks = append(chunks, at.chunk)
	}
	p.mu.Unlock()
	slices.Sort(chunks)
	chunks = slices.Compact(chunks)
	out := &cut{to: map[uint64][]int64{}}
	if len(chunks) == 0 {
		return out, nil
	}
	if err := p.learn(ctx); err != nil {
		return nil, err
	}
	out.lists = p.writer.lists()
	if p.writer.wants(TypeExpired) || len(out.lists) > 1 {
		if out.until, err = p.reader.Clock(ctx); err != nil { // before the lengths: what was until then is in them
			return nil, err
		}
	}
	lengths, err := p.reader.Lengths(ctx, chunks, out.lists)
	if err != nil {
		return nil, err
	}
	if err := p.watch(ctx, chunks); err != nil {
		return nil, err
	}
	behind := int64(0)
	p.mu.Lock()
	for i, chunk := range chunks {
		h := p.horizons[chunk]
		wanted := all || h != nil && (len(h.due) > 0 || !h.next.After(out.until))
		for n, list := range out.lists {
			at := place{chunk, list}
			c := p.cursors[at]
			behind += max(0, lengths[i][n]-c.entries)
			wanted = wanted || lengths[i][n] != p.seen[at]
		}
		if wanted {
			out.to[chunk] = lengths[i]
		}
	}
	p.mu.Unlock()
	p.lag(behind)
	return out, nil
}

// learn reads the spec that users are granted by, once somebody has been.
func (p *Publisher) learn(ctx context.Context) (err error) {
	if p.writer.campaign == nil {
		p.writer.campaign, err = p.Spec(ctx)
	}
	return err
}

// watch begins to look for endings in chunks that are new.
func (p *Publisher) watch(ctx context.Context, chunks []uint64) error {
	if !p.writer.wants(TypeExpired) {
		return nil
	}
	var fresh []uint64
	p.mu.Lock()
	for _, chunk := range chunks {
		if p.horizons[chunk] == nil {
			fresh = append(fresh, chunk)
		}
	}
	p.mu.Unlock()
	acted := map[uint64]bool{}
	ends := mayEnd(p.writer.campaign)
	if !ends && len(fresh) > 0 {
		var err error
		if acted, err = p.reader.Acted(ctx, fresh); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, chunk := range fresh {
		p.horizons[chunk] = new(horizon)
		if !ends && !acted[chunk] || p.untouched(chunk) {
			p.horizons[chunk].next = never
		}
	}
	return nil
}

// untouched reports whether nothing of a chunk was sent: all that may end is told by entries that are still to be read.
func (p *Publisher) untouched(chunk uint64) bool {
	for _, list := range append(p.writer.lists(), listEndings) {
		if c := p.cursors[place{chunk, list}]; c.last() >= 0 {
			return false
		}
	}
	return true
}
