package opaque

import (
	"context"
	"time"

	"github.com/granter/granter/sharding"
)

// Delta is what one flush adds to one bucket.
type Delta struct {
	Bucket uint64
	Seen   int    // entries of the bucket that its members are known not to be in
	Count  int    // of Members, at least one
	Width  Width  // of Members
	Bytes  []byte // Members, ascending by hash, and by their bytes where that is the same. The memory belongs to the shard
	// Granted reports whether they were granted now. Set by the sink.
	Granted bool
	// Rest is, if they were not, the entries behind Seen, from the first one on, but not necessarily up to the last. Set by the
	// sink.
	Rest []Entry
}

// Entry is what one entry of a bucket says of its members.
type Entry struct {
	Members []byte // as those of a Delta; none of one that gives nobody a place and ends no exclusion
	Says    Says
}

// Says is what an entry says of its members.
type Says byte

// What entries say. A member is in one that grants or excludes, once, and may be in one that admits behind one that excludes.
const (
	Grants   Says = iota // they are granted
	Excludes             // they are not to be granted
	Admits               // those of them who are excluded are so no more: they are granted
)

// Excluded returns the members whom some entries, from the first of their bucket on, exclude.
func (w Width) Excluded(entries []Entry) (map[string]bool, error) {
	var out map[string]bool
	for i := range entries {
		if entries[i].Says == Grants || entries[i].Says == Admits && len(out) == 0 {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		for rest := entries[i].Members; len(rest) > 0; {
			member, more, err := w.Next(rest)
			if err != nil {
				return nil, err
			}
			if rest = more; entries[i].Says == Excludes {
				out[string(member)] = true
			} else {
				delete(out, string(member))
			}
		}
	}
	return out, nil
}

// Flush is what one shard hands its sink at once. Seq counts up from 1 in each shard of a pool.
type Flush struct {
	Shard  int
	Seq    uint64
	Ranges []sharding.Range // where the members came from, one range for each partition
	Deltas []Delta          // at most MaxDeltas, in ascending order of their buckets
}

// MaxDeltas is how many buckets go into one flush: 64 × 64 KiB = 4 MiB on the wire.
const MaxDeltas = 64

// Want is the first entries of a bucket, and those behind them.
type Want struct {
	Bucket  uint64
	Entries int
}

// Sink makes grants durable.
//
// AddMembers returns nil when each delta was granted, or was refused because its bucket has more than Seen entries, and is as
// it was. It is idempotent: the same flush may be handed in again after an error. Members returns the first entries of
// buckets, which never change, and may return those behind them, too. Shards call both concurrently, one call at a time for each
// shard, and no two shards of a pool share a bucket. Both return soon after the context is cancelled.
type Sink interface {
	AddMembers(ctx context.Context, f *Flush) error
	Members(ctx context.Context, wants []Want) ([][]Entry, error)
}

// Observer watches a pool. Shards call it concurrently.
type Observer interface {
	// Flushed reports a successful flush: its members, the buckets it touched, and how long the sink took.
	Flushed(shard, members, buckets int, took time.Duration)
}
