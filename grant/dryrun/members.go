package dryrun

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/granter/granter/sharding/opaque"
)

// MembersReader is what a dry run of a campaign whose IDs are not dense asks of the real ledger.
type MembersReader interface {
	// BucketMembers returns what the entries of some buckets say of the places of their members.
	BucketMembers(ctx context.Context, buckets []uint64) ([][]opaque.Entry, error)
}

// Members implements opaque.Sink without a write. It remembers all members of the buckets that the topic touches, those who are
// granted and those who would be: 16 bytes for each UUID, so 48 million take 0.8 GB.
type Members struct {
	reader MembersReader
	layout opaque.Layout
	listed map[uint64][]byte // whom a run would exclude first, by bucket, as an entry has them

	mu      sync.Mutex
	buckets map[uint64]*bucket

	granted, already, excluded atomic.Int64
}

// bucket is what is known of one. Only the shard that owns it changes it.
type bucket struct {
	entries  []opaque.Entry  // the real ledger's, that of whom a run would exclude first, and those that would be added
	ledgers  int             // of them, the real ledger's
	stored   int             // of them, those that are there before anybody would be granted
	excluded map[string]bool // members that the stored ones exclude
	met      [][]bool        // of the members of those, who is in the topic
	fresh    atomic.Int64
}

// NewMembers makes a sink for one dry run. listed are users whom a run would exclude before it grants anybody, by bucket, as an
// entry has them.
func NewMembers(r MembersReader, layout opaque.Layout, listed map[uint64][]byte) *Members {
	return &Members{reader: r, layout: layout, listed: listed, buckets: map[uint64]*bucket{}}
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
				had, excluded, err := b.meet(m.layout.Width, at, d.Bytes)
				if err != nil {
					return err
				}
				m.already.Add(had)
				m.excluded.Add(excluded)
			}
			continue
		}
		b.entries = append(b.entries, opaque.Entry{Members: bytes.Clone(d.Bytes)})
		b.fresh.Add(int64(d.Count))
		m.granted.Add(int64(d.Count))
		d.Granted = true
	}
	return nil
}

// meet notes which members of a stored entry are among others, and returns how many were not noted before: those who are granted,
// and those who are excluded. Both ascend by hash.
func (b *bucket) meet(width opaque.Width, at int, others []byte) (had, excluded int64, err error) {
	if b.entries[at].Says == opaque.Admits {
		return 0, 0, nil // they are in another entry, too
	}
	var member, other []byte
	n := -1
	for stored := b.entries[at].Members; ; {
		if member == nil {
			if len(stored) == 0 {
				return had, excluded, nil
			}
			if member, stored, err = width.Next(stored); err != nil {
				return 0, 0, err
			}
			if n++; n == len(b.met[at]) {
				b.met[at] = append(b.met[at], false)
			}
		}
		if other == nil {
			if len(others) == 0 {
				return had, excluded, nil
			}
			if other, others, err = width.Next(others); err != nil {
				return 0, 0, err
			}
		}
		switch order := opaque.Compare(member, other); {
		case order < 0:
			member = nil
		case order > 0:
			other = nil
		default:
			switch {
			case b.met[at][n]:
			case b.excluded[string(member)]:
				excluded++
			default:
				had++
			}
			b.met[at][n] = true
			member, other = nil, nil
		}
	}
}

// Members implements opaque.Sink.
func (m *Members) Members(ctx context.Context, wants []opaque.Want) ([][]opaque.Entry, error) {
	numbers := make([]uint64, len(wants))
	for i := range wants {
		numbers[i] = wants[i].Bucket
	}
	buckets, err := m.load(ctx, numbers)
	if err != nil {
		return nil, err
	}
	out := make([][]opaque.Entry, len(wants))
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
		b, err := m.bucket(number, stored[i])
		if err != nil {
			return nil, err
		}
		out[at[i]], m.buckets[number] = b, b
	}
	return out, nil
}

// bucket makes what is known of a bucket out of what the ledger has: a run would exclude who is listed and has no place.
func (m *Members) bucket(number uint64, entries []opaque.Entry) (*bucket, error) {
	b := &bucket{entries: entries, ledgers: len(entries)}
	if listed := m.listed[number]; len(listed) > 0 {
		placed := map[string]bool{}
		for i := range entries {
			for rest := entries[i].Members; len(rest) > 0; {
				member, more, err := m.layout.Width.Next(rest)
				if err != nil {
					return nil, err
				}
				placed[string(member)], rest = true, more
			}
		}
		var out []byte
		for rest := listed; len(rest) > 0; {
			member, more, err := m.layout.Width.Next(rest)
			if err != nil {
				return nil, err
			}
			if rest = more; !placed[string(member)] {
				out = m.layout.Width.Append(out, member)
			}
		}
		b.entries = append(slices.Clip(entries), opaque.Entry{Members: out, Says: opaque.Excludes})
	}
	var err error
	b.stored, b.met = len(b.entries), make([][]bool, len(b.entries))
	b.excluded, err = m.layout.Width.Excluded(b.entries)
	return b, err
}

// Outcome returns what was found out so far. memory projects what so many users in so many new buckets take.
func (m *Members) Outcome(memory func(users, buckets float64) float64) Outcome {
	o := Outcome{WouldGrant: m.granted.Load(), AlreadyGranted: m.already.Load(), Excluded: m.excluded.Load()}
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := 0
	for _, b := range m.buckets {
		if b.fresh.Load() == 0 {
			continue
		}
		o.Chunks++
		if b.ledgers == 0 {
			fresh++
		}
	}
	o.LedgerBytes = int64(memory(float64(o.WouldGrant), float64(fresh)))
	return o
}
