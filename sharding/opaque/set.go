package opaque

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/granter/granter/sharding"
)

// bucket is what a set remembers of one bucket.
type bucket struct {
	seen   int      // entries whose members it knows
	prints []uint32 // fingerprints of those, ascending
}

// set implements sharding.Set. What waits for the next flush are the blocks that the shard holds; the set looks at their members
// when it flushes.
type set struct {
	shard    int
	layout   Layout
	sink     Sink
	observer Observer
	target   int // members of all buckets together
	most     int // bytes of fingerprints
	turns    chan *scratch
	hash     func(member []byte) uint64 // Hash

	first   uint64 // bucket
	buckets []bucket
	pending int
	size    int // bytes of fingerprints
	seq     uint64
}

func newSet(cfg Config, sink Sink, shard int, turns chan *scratch) *set {
	shards := bits.Len(uint(cfg.Shards)) - 1
	s := &set{
		shard: shard, layout: cfg.Layout, sink: sink, observer: cfg.Observer, turns: turns, hash: Hash,
		// As many bytes again for blocks: those that fill the pool's memory make a shard flush.
		most:    cfg.Memory / cfg.Shards / 2,
		buckets: make([]bucket, max(1<<cfg.Layout.Bits>>shards, 1)),
	}
	s.first = 1<<cfg.Layout.Bits | uint64(shard)<<(int(cfg.Layout.Bits)-shards)
	target := cfg.TargetPerBucket
	if target <= 0 {
		target = 4096
	}
	s.target = target * len(s.buckets)
	return s
}

// Add implements sharding.Set. Whether an ID is new is found out when it is flushed.
func (s *set) Add(keys []uint64) (taken, fresh int, due bool) {
	s.pending += len(keys)
	return len(keys), len(keys), s.pending >= s.target
}

// Bytes implements sharding.Set.
func (s *set) Bytes() int { return s.size }

// Flush implements sharding.Set.
func (s *set) Flush(ctx context.Context, from []sharding.Range, ids []sharding.IDs) ([]sharding.Found, error) {
	var w *scratch
	select {
	case w = <-s.turns:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { s.turns <- w }()
	s.pending = 0
	f := flush{set: s, scratch: w, ids: ids, ranges: from, found: make([]sharding.Found, len(ids))}
	f.gather()
	f.dropRepeats()
	if err := f.grantAll(ctx); err != nil {
		return nil, err
	}
	return f.found, nil
}

// grant hands some deltas to the sink.
func (s *set) grant(ctx context.Context, ranges []sharding.Range, deltas []Delta) error {
	s.seq++
	began := time.Now()
	if err := s.sink.AddMembers(ctx, &Flush{Shard: s.shard, Seq: s.seq, Ranges: ranges, Deltas: deltas}); err != nil {
		return err
	}
	if s.observer == nil {
		return nil
	}
	members, buckets := 0, 0
	for i := range deltas {
		if deltas[i].Granted {
			members += deltas[i].Count
			buckets++
		}
	}
	s.observer.Flushed(s.shard, members, buckets, time.Since(began))
	return nil
}

// learn remembers the fingerprints of one more entry, if there is room: a bucket of which not all entries are remembered is read
// anew by the next flush.
func (s *set) learn(b *bucket, prints []uint32) {
	b.seen++
	had := cap(b.prints)
	b.prints = merge(b.prints, prints)
	s.size += 4 * (cap(b.prints) - had)
}

// forget makes room where a set remembers more than it may.
func (s *set) forget(b *bucket) {
	if s.size > s.most {
		s.size -= 4 * cap(b.prints)
		*b = bucket{}
	}
}

// merge adds ascending numbers to others.
func merge(to, more []uint32) []uint32 {
	i, j := len(to)-1, len(more)-1
	to = append(to, more...)
	for at := len(to) - 1; j >= 0; at-- {
		if i >= 0 && to[i] > more[j] {
			to[at] = to[i]
			i--
		} else {
			to[at] = more[j]
			j--
		}
	}
	return to
}

// walk hands the members of an entry to fn. It fails if they are not those of a bucket, in their order.
func (s *set) walk(bucket uint64, members []byte, fn func(hash uint64, member []byte)) error {
	last := uint64(0)
	for rest := members; len(rest) > 0; {
		member, more, err := s.layout.Width.Next(rest)
		if err != nil {
			return fmt.Errorf("bucket %d: %w", bucket, err)
		}
		hash := s.hash(member)
		if hash < last || s.layout.Bucket(hash) != bucket {
			return fmt.Errorf("bucket %d: members of an entry are not in their order", bucket)
		}
		fn(hash, member)
		last, rest = hash, more
	}
	return nil
}
