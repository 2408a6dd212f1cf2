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
		// The rest is for blocks: those that fill the pool's memory make a shard flush. What is not remembered has to be read
		// again at each flush, which costs more than smaller flushes do.
		most:    cfg.Memory / cfg.Shards / 4 * 3,
		buckets: make([]bucket, max(1<<cfg.Layout.Bits>>shards, 1)),
	}
	s.first = 1<<cfg.Layout.Bits | uint64(shard)<<(int(cfg.Layout.Bits)-shards)
	target := cfg.TargetPerBucket
	if target <= 0 {
		target = 3840
	}
	s.target = min(target*len(s.buckets), maxFlush)
	return s
}

// maxFlush bounds what a flush has in hand besides what waits: 32 bytes for each UUID, 128 MiB; and far below 4 GiB, where refs
// end, of the longest strings.
const maxFlush = 4 << 20

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
	if len(f.withheld) > 0 {
		f.countWithheld()
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

// learn remembers one more entry, with which the bucket's fingerprints are all.
func (s *set) learn(b *bucket, all []uint32) {
	b.seen++
	s.size += 4 * (len(all) - len(b.prints))
	b.prints = all
}

// forget makes room where a set remembers more than it may: the next flush to that bucket reads it anew.
func (s *set) forget(b *bucket) {
	if s.size > s.most {
		s.size -= 4 * len(b.prints)
		*b = bucket{}
	}
}

// merge returns two lists of ascending numbers as one, in memory that has room for no more.
func merge(a, b []uint32) []uint32 {
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
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
