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
	// Rest is, if they were not, the members of the entries behind Seen, from the first one on, but not necessarily up to the
	// last. Set by the sink.
	Rest [][]byte
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

// Want is the first entries of a bucket.
type Want struct {
	Bucket  uint64
	Entries int
}

// Sink makes grants durable.
//
// AddMembers returns nil when each delta was granted, or was refused because its bucket has more than Seen entries, and is as
// it was. It is idempotent: the same flush may be handed in again after an error. Members returns the members of the first
// entries of buckets, which never change. Shards call both concurrently, one call at a time for each shard, and no two shards
// of a pool share a bucket. Both return soon after the context is cancelled.
type Sink interface {
	AddMembers(ctx context.Context, f *Flush) error
	Members(ctx context.Context, wants []Want) ([][][]byte, error)
}

// Observer watches a pool. Shards call it concurrently.
type Observer interface {
	// Flushed reports a successful flush: its members, the buckets it touched, and how long the sink took.
	Flushed(shard, members, buckets int, took time.Duration)
}
