package dense

import (
	"math/bits"
)

// minTaken is how many IDs are taken in at once even if the table may overflow by as many chunks: 256 × 16 KiB = 4 MiB.
const minTaken = 256

// minTouched keeps a shard from flushing a few thousand IDs again and again while a stream is in one chunk, as an
// ascending one is: a chunk holds eight times TargetPerChunk.
const minTouched = 16

// A set finds the states of its first directPages × pageChunks chunks by index, others by hash. With four shards that
// reaches 17 billion consecutive IDs.
const (
	pageChunks  = 1 << 10
	directPages = 1 << 6
)

// state is what a set remembers of one chunk. It is small and lies beside its neighbours, so that looking it up
// costs no cache miss; the bits of an ID do.
type state struct {
	bits       *chunkBits // nil: not in use
	chunk      uint64
	pending    int     // number of pending bits
	duplicates *Bitmap // members of the flush under way that had been granted before; nil when there are none
	withheld   *Bitmap // those that are excluded
}

// chunkBits holds two bits for each ID of a chunk, both in one cache line, in the order of Bitmap.
type chunkBits [Words]struct {
	seen    uint64 // granted or pending, as far as this shard knows
	pending uint64 // to be granted by the next flush
}

const chunkBytes = Words * 16

// page is how the states of neighbouring chunks of a shard lie together. They do not move.
type page [pageChunks]state

// set implements sharding.Set.
type set struct {
	shard     int
	sink      Sink
	observer  Observer
	target    int // members for each touched chunk
	maxChunks int
	stride    int // log2 of the number of shards

	direct [directPages]*page
	hashed map[uint64]*state
	inUse  []*state
	free   []*chunkBits

	touched []*state // chunks with pending members
	pending int      // members pending in all of them
	seq     uint64
	bitmaps []Bitmap // scratch of a flush
}

func newSet(cfg Config, sink Sink, shard int) *set {
	s := &set{
		shard: shard, sink: sink, observer: cfg.Observer, target: cfg.TargetPerChunk, maxChunks: cfg.MaxChunks,
		stride: bits.Len(uint(cfg.Shards)) - 1,
		hashed: map[uint64]*state{},
	}
	if s.target <= 0 {
		s.target = 8192
	}
	if s.maxChunks <= 0 {
		s.maxChunks = max(cfg.Memory/3*2/cfg.Shards/chunkBytes, 1)
	}
	return s
}

// Add implements sharding.Set. IDs become pending unless they are known as granted or pending. Each may be of a chunk that
// is new to the table, so no more are taken in than the table has room for chunks, and it is emptied when it is full and
// nothing is pending any more: what was known as granted is learned again from the sink.
func (s *set) Add(ids []uint64) (taken, fresh int, due bool) {
	if len(s.inUse) >= s.maxChunks {
		if s.pending > 0 {
			return 0, 0, true
		}
		s.forget()
	}
	taken = min(len(ids), max(s.maxChunks-len(s.inUse), minTaken))
	var st *state
	for _, id := range ids[:taken] {
		chunk := id >> ChunkBits
		if st == nil || st.chunk != chunk {
			st = s.find(chunk)
		}
		w, bit := &st.bits[uint16(id)>>6], uint64(1)<<(63-id&63)
		if w.seen&bit != 0 {
			continue
		}
		w.seen |= bit
		w.pending |= bit
		if st.pending == 0 {
			s.touched = append(s.touched, st)
		}
		st.pending++
		fresh++
	}
	s.pending += fresh
	return taken, fresh, s.pending >= s.target*max(len(s.touched), minTouched)
}

// Bytes implements sharding.Set.
func (s *set) Bytes() int { return (len(s.inUse) + len(s.free)) * chunkBytes }

// find returns the state of a chunk, and makes it if need be.
func (s *set) find(chunk uint64) *state {
	i := chunk >> s.stride
	if i < directPages*pageChunks {
		if p := s.direct[i/pageChunks]; p != nil {
			if st := &p[i%pageChunks]; st.bits != nil {
				return st
			}
		}
	} else if st := s.hashed[chunk]; st != nil {
		return st
	}
	return s.remember(chunk, i)
}

func (s *set) remember(chunk, i uint64) *state {
	var st *state
	if i < directPages*pageChunks {
		p := s.direct[i/pageChunks]
		if p == nil {
			p = new(page)
			s.direct[i/pageChunks] = p
		}
		st = &p[i%pageChunks]
	} else {
		st = new(state)
		s.hashed[chunk] = st
	}
	st.chunk = chunk
	if n := len(s.free); n > 0 {
		st.bits, s.free = s.free[n-1], s.free[:n-1]
		*st.bits = chunkBits{}
	} else {
		st.bits = new(chunkBits)
	}
	s.inUse = append(s.inUse, st)
	return st
}

// forget empties the table. Nothing may be pending.
func (s *set) forget() {
	for _, st := range s.inUse {
		s.free = append(s.free, st.bits)
		*st = state{}
	}
	s.inUse = s.inUse[:0]
	clear(s.hashed)
}
