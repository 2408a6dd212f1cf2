// Package sharding turns a stream of user IDs from many partitions into few, large, idempotent flushes: it gives every ID
// to one shard, whose Set accumulates and deduplicates in memory, and knows at every moment up to which position of each
// partition everything has been acknowledged. It knows neither Kafka nor Redis, nor what a set is made of.
package sharding

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config bounds a pool's memory and sets how it batches. The zero value of a field means its default.
type Config struct {
	// Shards is the number of shards, rounded up to a power of two. Default: eight for each processor, so that the
	// others accumulate while some wait to be flushed, and the set of one (of a dense 48 million over 16 shards 46 chunks
	// of 16 KiB) stays in a processor's cache while it works through its queue.
	Shards int
	// BlockIDs is how many IDs travel in one channel send. Default 4,096: at 100 ns a send that is 0.02 ns an ID. Fewer
	// if that many for each lane and shard would be more than 4 Mi together, 32 MiB, but at least 64.
	BlockIDs int
	// QueueBlocks is how many blocks may wait in front of each shard. Default 16: 16 × 32 KiB = 512 KiB a shard.
	QueueBlocks int
	// Memory is how many bytes of blocks and sets all shards together may hold before they flush. Default 192 MiB: what
	// flushes cost is theirs in calls, so the more IDs one gathers, the less each costs.
	Memory int
	// MaxPending bounds the IDs that one shard grants by one flush. Default: Memory alone does.
	MaxPending int
	// MaxDelay bounds how long an ID waits in a shard while the source has more to give: then it has waited in the source
	// for longer. Default 5 s.
	MaxDelay time.Duration
	// Linger is how long a shard waits for company once a source has nothing more to give. Default 5 ms.
	Linger time.Duration
	// Gate decides when IDs may be added; nil: always.
	Gate Gate
	// Includes says which IDs are granted in this run; nil: all. Lanes call it concurrently, once for each ID.
	Includes func(id uint64) bool
	// IncludesMember is Includes of IDs that are not dense; hash is the member's key.
	IncludesMember func(hash uint64, member []byte) bool
}

// Gate holds lanes back while a run is paused or slowed down. Lanes call it concurrently.
type Gate interface {
	// Admit returns how many IDs may be added now, from 0 to the given number. It does not wait.
	Admit(most int) int
	// Return gives back what Admit returned and was not used, or was used for users who were granted before.
	Return(unused int)
	// Wait returns when it is worth asking again, or the context's error.
	Wait(ctx context.Context) error
}

func (c Config) withDefaults(lanes int) Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Shards, min(8*runtime.GOMAXPROCS(0), 64))
	c.Shards = 1 << bits.Len(uint(c.Shards-1))
	def(&c.BlockIDs, max(min(4096, 4<<20/c.Shards/max(lanes, 1)), 64))
	def(&c.QueueBlocks, 16)
	def(&c.Memory, 192<<20)
	def(&c.MaxPending, math.MaxInt)
	if c.MaxDelay <= 0 {
		c.MaxDelay = 5 * time.Second
	}
	if c.Linger <= 0 {
		c.Linger = 5 * time.Millisecond
	}
	return c
}

// ErrUnbalanced means that the pool lost or invented an ID: the accounting identity does not hold. It is a defect of
// this program, and the run must stop before a checkpoint hides it.
var ErrUnbalanced = errors.New("accounting identity broken")

// Pool distributes the IDs of its lanes over its shards.
type Pool struct {
	cfg    Config
	shards []*shard
	lanes  []*Lane // fixed before Run
	blocks sync.Pool
	ended  chan struct{} // closed when Run returns: nobody takes blocks any more
}

// ByHighest as groupBits gives each shard the keys that begin with the same bits: those of its number.
const ByHighest = 64

// New makes a pool with one lane for each partition, which starts at the given offset. Keys that differ only in their
// lowest groupBits bits are one group; group g belongs to shard g modulo the number of shards. newSet makes the set of
// one shard of a pool, whose config has no defaults left.
func New(cfg Config, groupBits uint, newSet func(shard int, cfg Config) Set, starts map[int]int64) *Pool {
	p := &Pool{cfg: cfg.withDefaults(len(starts)), ended: make(chan struct{})}
	if groupBits == ByHighest {
		groupBits -= uint(bits.Len(uint(p.cfg.Shards)) - 1)
	}
	p.blocks.New = func() any { return &block{ids: IDs{Keys: make([]uint64, 0, p.cfg.BlockIDs)}} }
	for partition, start := range starts {
		l := &Lane{
			pool: p, partition: partition, index: len(p.lanes), start: start,
			groupBits: groupBits, mask: uint64(p.cfg.Shards - 1), includes: p.cfg.Includes,
			includesMember: p.cfg.IncludesMember,
		}
		l.open = make([]*block, p.cfg.Shards)
		l.sent = make([]int64, p.cfg.Shards)
		for i := range l.open {
			l.open[i] = p.block(l)
		}
		p.lanes = append(p.lanes, l)
	}
	for i := range p.cfg.Shards {
		p.shards = append(p.shards, newShard(i, p.cfg, newSet(i, p.cfg), p))
	}
	return p
}

// Lane returns the way into the pool for one partition, or nil if the pool was not made with it.
func (p *Pool) Lane(partition int) *Lane {
	for _, l := range p.lanes {
		if l.partition == partition {
			return l
		}
	}
	return nil
}

// Run works until Close was called and everything is flushed, a flush fails, or the context is cancelled. Call it once.
func (p *Pool) Run(ctx context.Context) error {
	defer close(p.ended)
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range p.shards {
		g.Go(func() error { return s.run(ctx) })
	}
	return g.Wait()
}

// Close tells the shards that no lane will hand over anything more. No lane may be used after it.
func (p *Pool) Close() {
	for _, s := range p.shards {
		close(s.in)
	}
}

// QueueDepths returns how many blocks wait in front of each shard.
func (p *Pool) QueueDepths() []int {
	out := make([]int, len(p.shards))
	for i, s := range p.shards {
		out[i] = len(s.in)
	}
	return out
}

// Position is what a pool knows about one partition.
type Position struct {
	Partition int
	// Next is the offset up to which every ID has been flushed and every other record accounted for.
	Next int64
	// The records decided so far, by outcome: Consumed = Granted + Duplicate + Rejected + Withheld. They may include
	// records beyond Next.
	Consumed, Granted, Duplicate, Rejected, Withheld int64
	// Held reports whether the lane waits at the gate.
	Held bool
}

// Positions returns the position of every lane. It fails with ErrUnbalanced if what a lane sent is not what the shards
// decided.
func (p *Pool) Positions() ([]Position, error) {
	out := make([]Position, len(p.lanes))
	for i, l := range p.lanes {
		pos := &out[i]
		pos.Partition, pos.Next, pos.Held = l.partition, math.MaxInt64, l.held.Load()
		pos.Rejected, pos.Withheld = l.rejected.Load(), l.withheld.Load()
		pos.Consumed = pos.Rejected + pos.Withheld
	}
	for _, s := range p.shards {
		s.mu.Lock()
		for i := range out {
			c := &s.settled[i]
			out[i].Next = min(out[i].Next, c.next)
			out[i].Consumed += c.sent
			out[i].Granted += c.granted
			out[i].Duplicate += c.duplicate
			out[i].Withheld += c.withheld
		}
		s.mu.Unlock()
	}
	for _, pos := range out {
		if pos.Consumed != pos.Granted+pos.Duplicate+pos.Rejected+pos.Withheld {
			return nil, fmt.Errorf("%w in partition %d: consumed %d, granted %d + duplicate %d + rejected %d + withheld %d",
				ErrUnbalanced, pos.Partition, pos.Consumed, pos.Granted, pos.Duplicate, pos.Rejected, pos.Withheld)
		}
	}
	return out, nil
}

// admit returns how many IDs a lane may add before it asks again: a block's worth, so that asking costs nothing.
func (p *Pool) admit() int {
	if p.cfg.Gate == nil {
		return p.cfg.BlockIDs
	}
	return p.cfg.Gate.Admit(p.cfg.BlockIDs)
}

func (p *Pool) block(l *Lane) *block {
	b := p.blocks.Get().(*block)
	*b = block{lane: l.index, ids: b.ids.empty()}
	return b
}
