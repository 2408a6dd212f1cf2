package dense

import (
	"context"
	"time"

	"github.com/granter/granter/sharding"
)

// Delta is what one flush adds to one chunk.
type Delta struct {
	Chunk uint64
	// Members are the users to grant. The sink clears those that had been granted before, or are excluded, so that after a
	// successful call they are the newly granted ones. The memory belongs to the shard, before and after the call.
	Members *Bitmap
	// Count is the number of Members when the call is made, and again, after the sink cleared some, when it returns.
	Count int
	// Duplicates are the members that had been granted before; nil when there were none. Set by the sink.
	Duplicates *Bitmap
	// Withheld are the members that are excluded: they were not granted, and are not to be; nil when there were none. Set by
	// the sink.
	Withheld *Bitmap
	// Granted is all of the chunk who are granted, when the sink happened to learn it (it does whenever there are
	// Duplicates); nil otherwise. Set by the sink; the shard keeps the memory.
	Granted *Bitmap
}

// Flush is what one shard hands its sink at once: at most 256 deltas, for which there may be several flushes with the
// same ranges. Seq counts up from 1 in each shard of a pool.
type Flush struct {
	Shard  int
	Seq    uint64
	Ranges []sharding.Range // where the members came from, one range for each partition
	Deltas []Delta          // one for each touched chunk, in ascending order, each with at least one member
}

// Sink makes grants durable.
//
// Grant returns nil only when every member of every delta is granted, by this call or before it, or excluded. It is
// idempotent: the same flush may be handed in again after an error. Shards call it concurrently, one call at a time for each
// shard, and no two shards of a pool share a chunk. It must return soon after the context is cancelled.
type Sink interface {
	Grant(ctx context.Context, f *Flush) error
}

// Observer watches a pool. Shards call it concurrently.
type Observer interface {
	// Flushed reports a successful flush: its members, the chunks it touched, and how long the sink took.
	Flushed(shard, members, chunks int, took time.Duration)
}
