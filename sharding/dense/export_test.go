package dense

import "context"

// MemoryForConformance makes pools' sinks of this package's tests, one for each call, that share who is granted: the
// conformance suite imports this package, so its tests cannot be in it.
func MemoryForConformance() (pool func() Sink, granted func() []uint64) {
	chunks := map[uint64]*Bitmap{}
	pool = func() Sink { return byShard{chunks, map[int]*memory{}} }
	granted = func() (ids []uint64) {
		for id := range (&memory{chunks: chunks}).ids() {
			ids = append(ids, id)
		}
		return ids
	}
	return pool, granted
}

// byShard has a memory for each shard, because a memory checks that flushes come in their order.
type byShard struct {
	chunks map[uint64]*Bitmap
	shards map[int]*memory
}

func (b byShard) Grant(ctx context.Context, f *Flush) error {
	if b.shards[f.Shard] == nil {
		b.shards[f.Shard] = &memory{chunks: b.chunks, shard: f.Shard}
	}
	return b.shards[f.Shard].Grant(ctx, f)
}
