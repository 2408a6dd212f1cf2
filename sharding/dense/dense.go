// Package dense keeps the IDs of a pool's shards as bitmaps: it cuts the ID space into chunks of 65,536 consecutive IDs,
// remembers two bits for each ID of a chunk that was touched, and flushes one delta for each chunk. A duplicate costs one
// load. It suits IDs that lie close together; a lone ID costs a whole chunk.
package dense

import (
	"github.com/granter/granter/sharding"
)

// Config is that of a pool, and bounds what its sets hold. The zero value of a field means its default.
type Config struct {
	sharding.Config

	// TargetPerChunk is the mean number of new members in a touched chunk at which a shard flushes. Default 8,192: above
	// 4,096 a journal entry is a bitmap of 8 KiB, so this many make it cost one byte for each user instead of two, and
	// need half the calls. Twice as many would save little more, and keep users waiting longer.
	TargetPerChunk int
	// MaxChunks bounds the chunks whose bitmaps one shard holds, 16 KiB each. Default: two thirds of Memory, 8,192 over all
	// shards or 537 million consecutive IDs.
	MaxChunks int
	// Observer is told of every flush; it may be nil.
	Observer Observer
}

// New makes a pool that flushes to the sink, with one lane for each partition, which starts at the given offset.
func New(cfg Config, sink Sink, starts map[int]int64) *sharding.Pool {
	return sharding.New(cfg.Config, ChunkBits, func(shard int, pool sharding.Config) sharding.Set {
		cfg.Config = pool
		return newSet(cfg, sink, shard)
	}, starts)
}
