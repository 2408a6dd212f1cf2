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
func (s *set) Flush(ctx context.Context, from []sharding.Range, ids [][]uint64) ([]int, error) {
	slices.SortFunc(s.touched, func(a, b *state) int { return cmp.Compare(a.chunk, b.chunk) })
	repeated := false
	for part := range slices.Chunk(s.touched, maxDeltas) {
		found, err := s.grant(ctx, part, from)
		if err != nil {
			return nil, err
		}
		repeated = repeated || found
	}
	var repeats []int
	if repeated {
		repeats = s.repeats(ids)
	}
	s.touched, s.pending = s.touched[:0], 0
	return repeats, nil
}

// grant hands the pending members of some chunks to the sink, and reports whether any had been granted before.
func (s *set) grant(ctx context.Context, part []*state, from []sharding.Range) (repeated bool, err error) {
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
		st.duplicates = d.Duplicates
		repeated = repeated || d.Duplicates != nil
	}
	return repeated, nil
}

// repeats counts, for each block, the members of the flush that turned out to be granted before it. The first occurrence
// of such a member was counted as new, any later one as duplicate already.
func (s *set) repeats(blocks [][]uint64) []int {
	counts := make([]int, len(blocks))
	for i, ids := range blocks {
		for _, id := range ids {
			chunk, low := Split(id)
			if st := s.find(chunk); st.duplicates != nil && st.duplicates.Has(low) {
				st.duplicates.Clear(low)
				counts[i]++
			}
		}
	}
	for _, st := range s.touched {
		st.duplicates = nil
	}
	return counts
}
