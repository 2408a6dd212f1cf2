package sharding

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// counts is what a shard knows of one lane.
type counts struct {
	next      int64 // everything below is acknowledged
	sent      int64 // by the lane's count
	granted   int64
	duplicate int64
	withheld  int64 // excluded
}

// segment is the part of a block that was taken in between two flushes.
type segment struct {
	*block
	from, to int
}

// whole reports whether nothing of the block is still to be taken in.
func (s segment) whole() bool { return s.to == len(s.ids.Keys) }

type shard struct {
	index  int
	cfg    Config
	set    Set
	pool   *Pool
	memory int // bytes of blocks and set that make it flush
	in     chan *block

	pending  int       // IDs that the next flush grants
	held     []segment // what is not flushed yet: it says where an ID came from
	heldSize int       // bytes of those blocks
	ids      []IDs     // of held; scratch of a flush
	current  []counts  // by lane, with what is pending counted as granted
	returned int64     // what the gate got back, of users who were not granted now
	timer    *time.Timer
	deadline time.Time     // when the timer fires; zero: nothing waits
	took     time.Duration // how long the last flush took

	mu      sync.Mutex
	settled []counts // current as it was at the end of the last flush
}

func newShard(index int, cfg Config, set Set, p *Pool) *shard {
	s := &shard{
		index: index, cfg: cfg, set: set, pool: p,
		in:     make(chan *block, cfg.QueueBlocks),
		memory: cfg.Memory / cfg.Shards,
	}
	for _, l := range p.lanes {
		s.current = append(s.current, counts{next: l.start})
	}
	s.settled = slices.Clone(s.current)
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

// absorb takes in one block. A full set makes it flush in the middle of the block, so that memory stays bounded whatever
// IDs arrive.
func (s *shard) absorb(ctx context.Context, b *block) error {
	s.current[b.lane].sent = b.sent - int64(len(b.ids.Keys))
	due := false
	for from := 0; from < len(b.ids.Keys); {
		var taken, fresh int
		taken, fresh, due = s.set.Add(b.ids.Keys[from:])
		if taken == 0 {
			if err := s.flush(ctx); err != nil {
				return err
			}
			continue
		}
		s.count(b, from, taken, fresh)
		from += taken
	}
	if b.marked {
		s.current[b.lane].next = b.mark
	}
	idle, limited := b.idle, b.limited
	if len(b.ids.Keys) == 0 {
		s.pool.blocks.Put(b) // no flush gives it back
	}
	switch {
	case s.pending == 0: // nothing to write, only counts to publish
		return s.flush(ctx)
	case due || s.pending >= s.cfg.MaxPending || s.full():
		return s.flush(ctx)
	case idle:
		// Waiting eight times as long as the last flush took keeps flushing below an eighth of the time when one
		// partition is idle and the others are busy.
		s.flushWithin(min(max(s.cfg.Linger, 8*s.took), s.cfg.MaxDelay))
	case limited:
		s.flushWithin(min(limitedDelay, s.cfg.MaxDelay))
	default:
		s.flushWithin(s.cfg.MaxDelay)
	}
	return nil
}

// limitedDelay is how long an ID waits in a shard while a limit slows lanes down: so that what is granted is as even as the
// limit, and not some millions every few seconds.
const limitedDelay = 500 * time.Millisecond

// minHeld is how many blocks of keys a shard may always gather, however much its set holds.
const minHeld = 64

// full reports whether a shard holds as much as it may.
func (s *shard) full() bool {
	return s.heldSize >= minHeld*8*s.cfg.BlockIDs && s.heldSize+s.set.Bytes() >= s.memory
}

// count counts what was taken in of a block, some of it new, and holds on to it until it is flushed.
func (s *shard) count(b *block, from, taken, fresh int) {
	c := &s.current[b.lane]
	c.sent += int64(taken)
	c.granted += int64(fresh)
	c.duplicate += int64(taken - fresh)
	s.pending += fresh
	if n := len(s.held); n > 0 && s.held[n-1].block == b {
		s.held[n-1].to += taken
	} else {
		s.held = append(s.held, segment{b, from, from + taken})
		s.heldSize += b.ids.bytes()
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

// flush makes durable what is pending, and then publishes the counts. After an error nothing is published: the pool is
// stopped, and what it had is read again.
func (s *shard) flush(ctx context.Context) error {
	s.deadline = time.Time{} // should the timer fire all the same, it finds nothing to do
	if s.pending > 0 {
		if err := s.flushPending(ctx); err != nil {
			return fmt.Errorf("shard %d: %w", s.index, err)
		}
	}
	for _, seg := range s.held {
		if seg.whole() {
			s.pool.blocks.Put(seg.block)
		}
	}
	clear(s.held)
	s.held, s.heldSize = s.held[:0], 0
	s.returnUnused()

	s.mu.Lock()
	copy(s.settled, s.current)
	s.mu.Unlock()
	return nil
}

// flushPending flushes the set. What turns out to have been granted before was counted as granted, and is a duplicate; users
// who turn out to be excluded are withheld, each time that their ID came.
func (s *shard) flushPending(ctx context.Context) error {
	began := time.Now()
	for _, seg := range s.held {
		s.ids = append(s.ids, seg.ids.slice(seg.from, seg.to))
	}
	found, err := s.set.Flush(ctx, s.ranges(), s.ids)
	if err != nil {
		return err
	}
	for i, f := range found {
		c := &s.current[s.held[i].lane]
		c.granted -= int64(f.Repeats + f.Withheld)
		c.duplicate += int64(f.Repeats - f.Again)
		c.withheld += int64(f.Withheld + f.Again)
	}
	s.pending = 0
	clear(s.ids)
	s.ids = s.ids[:0]
	s.took = time.Since(began)
	return nil
}

// ranges returns where the held IDs came from, one range for each lane. Offsets of a lane ascend.
func (s *shard) ranges() []Range {
	var out []Range
	for _, seg := range s.held {
		partition := s.pool.lanes[seg.lane].partition
		i := slices.IndexFunc(out, func(r Range) bool { return r.Partition == partition })
		if i < 0 {
			out = append(out, Range{Partition: partition, First: seg.first, Last: seg.last})
			continue
		}
		out[i].Last = seg.last
	}
	return out
}

// returnUnused gives the gate back what was admitted for users who turned out to be granted or excluded: a limit is one of
// grants.
func (s *shard) returnUnused() {
	if s.cfg.Gate == nil {
		return
	}
	var sum int64
	for i := range s.current {
		sum += s.current[i].duplicate + s.current[i].withheld
	}
	if sum > s.returned {
		s.cfg.Gate.Return(int(sum - s.returned))
		s.returned = sum
	}
}
