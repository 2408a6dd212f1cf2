package sharding

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// flush hands everything pending to the sink, and then publishes the books. After an error nothing is published: the
// pool is stopped, and what it had is read again.
func (s *shard) flush(ctx context.Context) error {
	s.deadline = time.Time{}
	s.timer.Stop()
	if len(s.touched) > 0 {
		if err := s.flushTouched(ctx); err != nil {
			return fmt.Errorf("shard %d: %w", s.index, err)
		}
	}
	for _, seg := range s.held {
		if seg.to == len(seg.ids) {
			s.pool.blocks.Put(seg.block)
		}
	}
	clear(s.held)
	s.held = s.held[:0]
	s.returnDuplicates()

	s.mu.Lock()
	copy(s.settled, s.current)
	s.mu.Unlock()
	return nil
}

// returnDuplicates gives the gate back what was admitted for users who turned out to be granted: a limit is one of grants.
func (s *shard) returnDuplicates() {
	if s.cfg.Gate == nil {
		return
	}
	var sum int64
	for i := range s.current {
		sum += s.current[i].duplicate
	}
	if sum > s.returned {
		s.cfg.Gate.Return(int(sum - s.returned))
		s.returned = sum
	}
}

func (s *shard) flushTouched(ctx context.Context) error {
	began := time.Now()
	slices.SortFunc(s.touched, func(a, b *state) int { return cmp.Compare(a.chunk, b.chunk) })
	ranges := s.ranges()
	repeated := false
	for part := range slices.Chunk(s.touched, maxDeltas) {
		found, err := s.grant(ctx, part, ranges)
		if err != nil {
			return err
		}
		repeated = repeated || found
	}
	if repeated {
		s.rebook()
	}
	s.touched = s.touched[:0]
	s.pending = 0
	s.took = time.Since(began)
	return nil
}

// grant hands the pending members of some chunks to the sink, and reports whether any had been granted before.
func (s *shard) grant(ctx context.Context, part []*state, ranges []Range) (repeated bool, err error) {
	for len(s.bitmaps) < len(part) {
		s.bitmaps = append(s.bitmaps, Bitmap{})
	}
	s.seq++
	f := Flush{Shard: s.index, Seq: s.seq, Ranges: ranges, Deltas: make([]Delta, len(part))}
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
	if s.cfg.Observer != nil {
		s.cfg.Observer.Flushed(s.index, members, len(part), time.Since(began))
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

// rebook corrects the books for members that turned out to be granted before this flush. Their first occurrence was
// booked as granted, any later one as duplicate already.
func (s *shard) rebook() {
	for _, seg := range s.held {
		t := &s.current[seg.lane]
		for _, id := range seg.ids[seg.from:seg.to] {
			chunk, low := Split(id)
			if st := s.find(chunk); st.duplicates != nil && st.duplicates.Has(low) {
				st.duplicates.Clear(low)
				t.granted--
				t.duplicate++
			}
		}
	}
	for _, st := range s.touched {
		st.duplicates = nil
	}
}

// ranges returns where the held IDs came from, one range for each lane.
func (s *shard) ranges() []Range {
	var out []Range
	for _, seg := range s.held {
		partition := s.pool.lanes[seg.lane].partition
		i := slices.IndexFunc(out, func(r Range) bool { return r.Partition == partition })
		if i < 0 {
			out = append(out, Range{Partition: partition, First: seg.first, Last: seg.last})
			continue
		}
		out[i].Last = max(out[i].Last, seg.last)
	}
	return out
}
