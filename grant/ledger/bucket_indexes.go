package ledger

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxIndexes is what the fingerprints of all campaigns take in a process: those of 64 million users. Where there are more,
// buckets are read again and again.
const maxIndexes = 256 << 20

// Indexes are what a process knows of the buckets of all campaigns of a ledger, so that it need not read a bucket, which has some
// ten thousand users, for each of them. It is safe for concurrent use.
type Indexes struct {
	mu    sync.Mutex
	known map[indexKey]*index
	size  int64
}

// NewIndexes knows nothing yet.
func NewIndexes() *Indexes { return &Indexes{known: map[indexKey]*index{}} }

type indexKey struct {
	campaign, hash string
	bucket         uint64
}

// index is what is known of one bucket. Who reads the bucket on reads it for the others, too.
type index struct {
	mu  sync.Mutex
	now atomic.Pointer[bucketIndex]
}

var noIndex = new(bucketIndex)

func (x *Indexes) of(key indexKey) *index {
	x.mu.Lock()
	defer x.mu.Unlock()
	found := x.known[key]
	if found == nil {
		found = new(index)
		found.now.Store(noIndex)
		x.known[key] = found
	}
	return found
}

// grow notes how much larger what is known of a bucket has become.
func (x *Indexes) grow(key indexKey, at *index, by int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[key] != at {
		return // there were too many meanwhile
	}
	x.size += by
	for other, it := range x.known { // any of them
		if x.size <= maxIndexes {
			break
		}
		if other != key {
			x.size -= it.now.Swap(noIndex).size()
			delete(x.known, other)
		}
	}
}

func (l *Reader) indexKey(bucket uint64) indexKey {
	return indexKey{l.campaign.Name, l.campaign.Hash, bucket}
}

// Learn reads a bucket on from what a glance knew of it, unless somebody has. It is not retried.
func (l *Reader) Learn(ctx context.Context, g *BucketGlance) error {
	key := l.indexKey(g.Seats[0].Bucket)
	at := l.indexes.of(key)
	at.mu.Lock()
	defer at.mu.Unlock()
	before := at.now.Load()
	if before != g.known {
		return nil
	}
	from := before
	if g.other {
		from = noIndex
	}
	after, err := l.extendIndex(ctx, key.bucket, from)
	if err != nil {
		return err
	}
	at.now.Store(after)
	l.indexes.grow(key, at, after.size()-before.size())
	return nil
}
