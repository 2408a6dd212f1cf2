package dense

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/granter/granter/sharding"
)

// maxDeltas is how many chunks go into one Flush: 256 × 8 KiB = 2 MiB of bitmaps on the wire.
const maxDeltas = 256

// Flush implements sharding.Set.
func (s *set) Flush(ctx context.Context, from []sharding.Range, ids []sharding.IDs) ([]sharding.Found, error) {
	slices.SortFunc(s.touched, func(a, b *state) int { return cmp.Compare(a.chunk, b.chunk) })
	settled := false
	for part := range slices.Chunk(s.touched, maxDeltas) {
		some, err := s.grant(ctx, part, from)
		if err != nil {
			return nil, err
		}
		settled = settled || some
	}
	var found []sharding.Found
	if settled {
		found = s.found(ids)
	}
	s.touched, s.pending = s.touched[:0], 0
	return found, nil
}

// grant hands the pending members of some chunks to the sink, and reports whether the place of any had been settled before.
func (s *set) grant(ctx context.Context, part []*state, from []sharding.Range) (settled bool, err error) {
	for len(s.bitmaps) < len(part) {
		s.bitmaps = append(s.bitmaps, Bitmap{})
	}
	s.seq++
	f := Flush{Shard: s.shard, Seq: s.seq, Ranges: from, Deltas: make([]Delta, len(part))}
	members := 0
	for i, st := range part {
		b := &s.bitmaps[i]
		for j := range st.bits {
			b.SetWord(j, st.bits[j].pending)
		}
		f.Deltas[i] = Delta{Chunk: st.chunk, Members: b, Count: st.pending}
		members += st.pending
	}
	began := time.Now()
	if err := s.sink.Grant(ctx, &f); err != nil {
		return false, err
	}
	if s.observer != nil {
		s.observer.Flushed(s.shard, members, len(part), time.Since(began))
	}
	for i, st := range part {
		d := &f.Deltas[i]
		for j := range st.bits {
			st.bits[j].pending = 0
			if d.Granted != nil {
				st.bits[j].seen |= d.Granted.Word(j)
			}
		}
		st.pending = 0
		st.duplicates, st.withheld = d.Duplicates, d.Withheld
		settled = settled || d.Duplicates != nil || d.Withheld != nil
	}
	return settled, nil
}

// found counts, for each block, the members of the flush whose place turned out to be settled before it. The first
// occurrence of such a member was counted as new, any later one as duplicate already. Who is excluded is as unknown again as
// before the flush: so each of that user's records comes to the sink, which withholds it, and the others cost no look.
func (s *set) found(blocks []sharding.IDs) []sharding.Found {
	counts := make([]sharding.Found, len(blocks))
	for i := range blocks {
		for _, id := range blocks[i].Keys {
			chunk, low := Split(id)
			st := s.find(chunk)
			switch {
			case st.duplicates != nil && st.duplicates.Has(low):
				st.duplicates.Clear(low)
				counts[i].Repeats++
			case st.withheld != nil && st.withheld.Has(low):
				w, bit := &st.bits[low>>6], uint64(1)<<(63-low&63)
				if w.seen&bit != 0 {
					w.seen &^= bit
					counts[i].Withheld++
				} else {
					counts[i].Again++
				}
			}
		}
	}
	for _, st := range s.touched {
		st.duplicates, st.withheld = nil, nil
	}
	return counts
}
