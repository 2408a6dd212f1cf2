package sharding

import "context"

// Range is a span of record offsets of one partition, both ends included.
type Range struct {
	Partition   int
	First, Last int64
}

// Set is what one shard keeps of its IDs: which it knows, and which wait for the next flush. What it holds them in, and
// what it flushes them to, is its own. Only its shard calls it, with one call at a time.
type Set interface {
	// Add takes in the keys of IDs from the front, and returns how many it took and how many of them are new: the next Flush
	// grants these. It takes none when it is full, and at least one after a Flush. due says that a flush costs little more now
	// for each ID than a larger one would later.
	Add(keys []uint64) (taken, fresh int, due bool)
	// Flush makes durable what was new since the last Flush; ids are all that was taken since then, and from is where
	// they came from. Some that were new to the set may have been granted by others, or be excluded: it returns how many
	// of each element of ids, or nil if none. After an error the set is not used any more. It returns soon after the
	// context is cancelled.
	Flush(ctx context.Context, from []Range, ids []IDs) ([]Found, error)
	// Bytes is about how much memory the set holds.
	Bytes() int
}

// Found is what a flush found out about some of the IDs that were taken.
type Found struct {
	Repeats  int // were new to the set, and had been granted before
	Withheld int // were new to the set, and are excluded
	Again    int // were not new, of users who turned out to be excluded
}
