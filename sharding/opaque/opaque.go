// Package opaque keeps the IDs of a pool's shards that are no dense numbers: UUIDs, random 64-bit numbers, strings. They are cut
// into buckets by the first bits of a hash; a bucket is a list of entries, each of which holds the members that a flush added,
// whole, and that list is the only truth. A flush is optimistic: it names how many entries of a bucket it has seen, and if there
// are more it is told them and changes nothing. Fingerprints of what was seen are a hint that an ID is new, and no more: whatever
// may be a repeat is decided by reading the bucket.
package opaque

import (
	"bytes"
	"cmp"

	"github.com/cespare/xxhash/v2"

	"github.com/granter/granter/sharding"
)

// The depths that a layout may have. The least one is that of the most shards.
const (
	MinBits = 8
	MaxBits = 24
)

// Hash is what places a member: XXH64 of its bytes, seed 0. It must never change.
func Hash(member []byte) uint64 { return xxhash.Sum64(member) }

// Compare orders members as every entry has them: by hash, and by their bytes where that is the same.
func Compare(a, b []byte) int { return cmp.Or(cmp.Compare(Hash(a), Hash(b)), bytes.Compare(a, b)) }

// Layout says how members become buckets.
type Layout struct {
	Bits  uint  // of the hash that name a bucket, MinBits to MaxBits
	Width Width // of members
}

// Bucket returns the bucket that a hash belongs to. Buckets of different depth have different numbers.
func (l Layout) Bucket(hash uint64) uint64 { return 1<<l.Bits | hash>>(64-l.Bits) }

// Buckets returns how many there are.
func (l Layout) Buckets() int { return 1 << l.Bits }

// Print is the fingerprint of a hash: the bits behind those that name its bucket, so that both have one order.
func (l Layout) Print(hash uint64) uint32 { return uint32(hash << l.Bits >> 32) }

// members at which a bucket is large enough: it is read at once by whoever looks up a user, 256 KiB of UUIDs.
const bucketMembers = 16 << 10

// BitsFor returns the depth for a number of users.
func BitsFor(users int64) uint {
	bits := uint(MinBits)
	for bits < MaxBits && users>>bits > bucketMembers {
		bits++
	}
	return bits
}

// Config is that of a pool, and bounds what its sets hold. The zero value of a field means its default.
type Config struct {
	sharding.Config

	Layout Layout
	// TargetPerBucket is the mean number of members for each bucket at which a shard flushes. Default 3,840: what an entry costs
	// besides its members is then below a hundredth of it, and nearly all of them, of UUIDs and numbers, are a little smaller
	// than 64 and 32 KiB. If they were a little larger, Redis's allocator would give them 80 and 40.
	TargetPerBucket int
	// Observer is told of every flush; it may be nil.
	Observer Observer
}

// New makes a pool that flushes to the sink, with one lane for each partition, which starts at the given offset. IDs are added by
// Lane.AddMember, with Hash as their key.
func New(cfg Config, sink Sink, starts map[int]int64) *sharding.Pool {
	turns := make(chan *scratch, maxFlushes)
	for range maxFlushes {
		turns <- new(scratch)
	}
	return sharding.New(cfg.Config, sharding.ByHighest, func(shard int, pool sharding.Config) sharding.Set {
		cfg.Config = pool
		return newSet(cfg, sink, shard, turns)
	}, starts)
}

// maxFlushes is how many shards flush at once. A flush has about as much in hand again as it is to grant, and whole buckets
// where it reads; one Redis does one thing at a time, and that many keep it busy.
const maxFlushes = 4
