package audit

import "math/bits"

// holes are offsets of a compacted topic that hold no record any more: whose they were nobody can say. Markers of transactions,
// and what aborted ones wrote, are holes, too: a client does not see the difference. They take a bit for each offset of where
// they are.
type holes struct {
	places

	expected int64 // the next offset, if nothing is missing before it
}

// before notes what is missing before an offset that is there.
func (h *holes) before(offset int64) {
	for ; h.expected < offset; h.expected++ {
		h.add(h.expected)
	}
	h.expected = offset + 1
}

// any reports whether one of some offsets, both included, is missing.
func (p *places) any(first, last int64) bool {
	for first <= last {
		chunk := uint64(first) >> chunkBits
		until := min(last, int64(chunk<<chunkBits|(1<<chunkBits-1)))
		if found := p.pages[chunk]; found != nil && found.any(uint16(first), uint16(until)) {
			return true
		}
		first = until + 1
	}
	return false
}

// any reports whether there is a bit from one place up to another, both included.
func (p *page) any(first, last uint16) bool {
	for word := int(first >> 6); word <= int(last>>6); word++ {
		w := p[word]
		if word == int(first>>6) {
			w &= ^uint64(0) >> (first & 63)
		}
		if word == int(last>>6) {
			w &= ^uint64(0) << (63 - last&63)
		}
		if bits.LeadingZeros64(w) < 64 {
			return true
		}
	}
	return false
}

// holesOf is what notes the holes of a partition from one offset on; nil: nothing does.
func (a *audit) holesOf(partition int, from int64) *holes {
	if !a.Compacted {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.holes[partition]
	if h == nil {
		h = &holes{places: places{pages: map[uint64]*page{}}}
		a.holes[partition] = h
	}
	h.expected = from
	return h
}

// missing reports whether one of some offsets is a hole.
func (a *audit) missing(partition int, first, last int64) bool {
	h := a.holes[partition]
	return h != nil && h.any(first, last)
}
