package dryrun

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"github.com/granter/granter/sharding/opaque"
)

// MembersReader is what a dry run of a campaign whose IDs are not dense asks of the real ledger.
type MembersReader interface {
	// BucketMembers returns the members of each entry of some buckets.
	BucketMembers(ctx context.Context, buckets []uint64) ([][][]byte, error)
}

// Members implements opaque.Sink without a write. It remembers all members of the buckets that the topic touches, those who are
// granted and those who would be: 16 bytes for each UUID, so 48 million take 0.8 GB.
type Members struct {
	reader MembersReader
	layout opaque.Layout

	mu      sync.Mutex
	buckets map[uint64]*bucket

	granted, already atomic.Int64
}

// bucket is what is known of one. Only the shard that owns it changes it.
type bucket struct {
	entries [][]byte // the real ledger's, and behind them those that would be added
	stored  int      // of them, the real ledger's
	met     [][]bool // of the members of those, who is in the topic
	fresh   atomic.Int64
}

// NewMembers makes a sink for one dry run.
func NewMembers(r MembersReader, layout opaque.Layout) *Members {
	return &Members{reader: r, layout: layout, buckets: map[uint64]*bucket{}}
}

// AddMembers implements opaque.Sink: it finds out who would be granted.
func (m *Members) AddMembers(ctx context.Context, f *opaque.Flush) error {
	numbers := make([]uint64, len(f.Deltas))
	for i := range f.Deltas {
		numbers[i] = f.Deltas[i].Bucket
	}
	buckets, err := m.load(ctx, numbers)
	if err != nil {
		return err
	}
	for i, b := range buckets {
		d := &f.Deltas[i]
		d.Granted, d.Rest = false, nil
		if d.Seen < len(b.entries) {
			d.Rest = b.entries[d.Seen:]
			for at := d.Seen; at < b.stored; at++ {
				had, err := b.meet(m.layout.Width, at, d.Bytes)
				if err != nil {
					return err
				}
				m.already.Add(had)
			}
			continue
		}
		b.entries = append(b.entries, bytes.Clone(d.Bytes))
		b.fresh.Add(int64(d.Count))
		m.granted.Add(int64(d.Count))
		d.Granted = true
	}
	return nil
}

// meet notes which members of a stored entry are among others, and returns how many were not noted before. Both ascend by hash.
func (b *bucket) meet(width opaque.Width, at int, others []byte) (had int64, err error) {
	var member, other []byte
	n := -1
	for stored := b.entries[at]; ; {
		if member == nil {
			if len(stored) == 0 {
				return had, nil
			}
			if member, stored, err = width.Next(stored); err != nil {
				return 0, err
			}
			if n++; n == len(b.met[at]) {
				b.met[at] = append(b.met[at], false)
			}
		}
		if other == nil {
			if len(others) == 0 {
				return had, nil
			}
			if other, others, err = width.Next(others); err != nil {
				return 0, err
			}
		}
		switch order := opaque.Compare(member, other); {
		case order < 0:
			member = nil
		case order > 0:
			other = nil
		default:
			if !b.met[at][n] {
				had++
			}
			b.met[at][n] = true
			member, other = nil, nil
		}
	}
}

// Members implements opaque.Sink.
func (m *Members) Members(ctx context.Context, wants []opaque.Want) ([][][]byte, error) {
	numbers := make([]uint64, len(wants))
	for i := range wants {
		numbers[i] = wants[i].Bucket
	}
	buckets, err := m.load(ctx, numbers)
	if err != nil {
		return nil, err
	}
	out := make([][][]byte, len(wants))
	for i, b := range buckets {
		out[i] = b.entries[:wants[i].Entries]
	}
	return out, nil
}

// load returns some buckets; new ones it reads from the real ledger.
func (m *Members) load(ctx context.Context, numbers []uint64) ([]*bucket, error) {
	out := make([]*bucket, len(numbers))
	var missing []uint64
	var at []int
	m.mu.Lock()
	for i, number := range numbers {
		if out[i] = m.buckets[number]; out[i] == nil {
			missing, at = append(missing, number), append(at, i)
		}
	}
	m.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	stored, err := m.reader.BucketMembers(ctx, missing)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, number := range missing {
		b := &bucket{entries: stored[i], stored: len(stored[i]), met: make([][]bool, len(stored[i]))}
		out[at[i]], m.buckets[number] = b, b
	}
	return out, nil
}

// Outcome returns what was found out so far. memory projects what so many users in so many new buckets take.
func (m *Members) Outcome(memory func(users, buckets float64) float64) Outcome {
	o := Outcome{WouldGrant: m.granted.Load(), AlreadyGranted: m.already.Load()}
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := 0
	for _, b := range m.buckets {
		if b.fresh.Load() == 0 {
			continue
		}
		o.Chunks++
		if b.stored == 0 {
			fresh++
		}
	}
	o.LedgerBytes = int64(memory(float64(o.WouldGrant), float64(fresh)))
	return o
}
