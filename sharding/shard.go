package sharding

import (
	"context"
	"math/bits"
	"sync"
	"time"
)

// maxDeltas is how many chunks go into one Flush: 256 × 8 KiB = 2 MiB of bitmaps on the wire.
const maxDeltas = 256

// minSegment is how many IDs are taken in at once even if the table may overflow by as many chunks: 256 × 16 KiB = 4 MiB.
const minSegment = 256

// minTouched keeps a shard from flushing a few thousand IDs again and again while a stream is in one chunk, as an
// ascending one is: a chunk holds eight times TargetPerChunk.
const minTouched = 16

// A shard finds the states of its first directPages × pageChunks chunks by index, others by hash. With four shards that
// reaches 17 billion consecutive IDs.
const (
	pageChunks  = 1 << 10
	directPages = 1 << 6
)

// state is what a shard remembers of one chunk. It is small and lies beside its neighbours, so that looking it up
// costs no cache miss; the bits of an ID do.
type state struct {
	bits       *chunkBits // nil: not in use
	chunk      uint64
	pending    int     // number of pending bits
	duplicates *Bitmap // members of the flush under way that had been granted before; nil when there are none
}

// chunkBits holds two bits for each ID of a chunk, both in one cache line, in the order of Bitmap.
type chunkBits [Words]struct {
	seen    uint64 // granted or pending, as far as this shard knows
	pending uint64 // to be granted by the next flush
}

// page is how the states of neighbouring chunks of a shard lie together. They do not move.
type page [pageChunks]state

// tally is what a shard knows of one lane.
type tally struct {
	next      int64 // everything below is settled
	sent      int64 // by the lane's count
	granted   int64
	duplicate int64
}

// segment is a part of a block.
type segment struct {
	*block
	from, to int
}

type shard struct {
	index   int
	cfg     Config
	sink    Sink
	pool    *Pool
	stride  int // log2 of the number of shards
	maxHeld int // blocks: twice what MaxPending fills, for most may be half empty
	in      chan *block

	direct [directPages]*page
	hashed map[uint64]*state
	inUse  []*state
	free   []*chunkBits

	touched  []*state  // chunks with pending members
	pending  int       // members pending in all of them
	held     []segment // what is not flushed yet: it says which lane a duplicate came from
	current  []tally   // like settled, with what is pending counted as granted
	returned int64     // duplicates that the gate was told of
	seq      uint64
	bitmaps  []Bitmap // scratch of a flush
	timer    *time.Timer
	deadline time.Time     // when the timer fires; zero: nothing waits
	took     time.Duration // how long the last flush took

	mu      sync.Mutex
	settled []tally
}

func newShard(index int, cfg Config, sink Sink, p *Pool) *shard {
	s := &shard{
		index: index, cfg: cfg, sink: sink, pool: p,
		stride: bits.Len(uint(cfg.Shards)) - 1,
		in:     make(chan *block, cfg.QueueBlocks),
		hashed: map[uint64]*state{},

		maxHeld: max(2*cfg.MaxPending/cfg.BlockIDs, 64),
	}
	for _, l := range p.lanes {
		s.current = append(s.current, tally{next: l.start})
		l.marked.Store(l.start)
	}
	s.settled = append([]tally(nil), s.current...)
	return s
}

func (s *shard) run(ctx context.Context) error {
	s.timer = time.NewTimer(time.Hour)
	defer s.timer.Stop()
	for {
		select {
		case b, ok := <-s.in:
			if !ok {
				return s.flush(ctx)
			}
			if err := s.absorb(ctx, b); err != nil {
				return err
			}
		case <-s.timer.C:
			if err := s.flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// absorb takes in one block. A full table makes it flush in the middle of the block, so that memory stays bounded
// whatever IDs arrive.
func (s *shard) absorb(ctx context.Context, b *block) error {
	lane, mark, marked, idle := b.lane, b.mark, b.marked, b.idle // a flush gives b back
	if len(b.ids) == 0 {
		s.current[lane].sent = b.sent
		s.pool.blocks.Put(b) // it brought a mark and no IDs
		b = nil
	}
	for from := 0; b != nil; {
		room := s.cfg.MaxChunks - len(s.inUse)
		if room <= 0 {
			if err := s.flush(ctx); err != nil {
				return err
			}
			s.forget()
			room = s.cfg.MaxChunks
		}
		to := min(len(b.ids), from+max(room, minSegment))
		s.absorbIDs(b, from, to)
		if from = to; from == len(b.ids) {
			break
		}
	}
	if marked {
		s.current[lane].next = mark
	}
	if s.pending == 0 {
		return s.flush(ctx) // nothing to write, only the books to publish
	}
	if len(s.held) >= s.maxHeld || s.pending >= s.cfg.MaxPending || s.pending >= s.cfg.TargetPerChunk*max(len(s.touched), minTouched) {
		return s.flush(ctx)
	}
	if idle {
		// Waiting eight times as long as the last flush took keeps flushing below an eighth of the time when one
		// partition is idle and the others are busy.
		s.flushWithin(min(max(s.cfg.Linger, 8*s.took), s.cfg.MaxDelay))
	} else {
		s.flushWithin(s.cfg.MaxDelay)
	}
	return nil
}

// absorbIDs makes IDs pending that are not known as granted or pending, and books them all to their lane.
func (s *shard) absorbIDs(b *block, from, to int) {
	fresh, before := 0, s.pending
	var st *state
	for _, id := range b.ids[from:to] {
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
	s.pending = before + fresh
	t := &s.current[b.lane]
	t.sent = b.sent - int64(len(b.ids)-to)
	t.granted += int64(fresh)
	t.duplicate += int64(to - from - fresh)
	if n := len(s.held); n > 0 && s.held[n-1].block == b {
		s.held[n-1].to = to
	} else {
		s.held = append(s.held, segment{b, from, to})
	}
}

// flushWithin makes sure that what is pending is flushed before the delay has passed.
func (s *shard) flushWithin(d time.Duration) {
	at := time.Now().Add(d)
	if s.deadline.IsZero() || at.Before(s.deadline) {
		s.deadline = at
		s.timer.Reset(d)
	}
}

// find returns the state of a chunk, and makes it if need be.
func (s *shard) find(chunk uint64) *state {
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

func (s *shard) remember(chunk, i uint64) *state {
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

// forget drops all states. Nothing may be pending. What was known as granted is learned again from the sink.
func (s *shard) forget() {
	for _, st := range s.inUse {
		s.free = append(s.free, st.bits)
		*st = state{}
	}
	s.inUse = s.inUse[:0]
	clear(s.hashed)
}
