// Package opaquetest has a sink in memory that keeps what every sink of opaque IDs promises, for tests that need no more.
package opaquetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/granter/granter/sharding/opaque"
)

// Memory is an opaque.Sink that keeps grants in memory, and fails when a set breaks what it promises.
type Memory struct {
	// RestEntries is how many entries a refused delta is told at most, and then whoever reads gets no more than was asked for; 0:
	// all.
	RestEntries int

	mu      sync.Mutex
	buckets map[uint64][]opaque.Entry
	users   map[string]bool // who has a place
	seqs    map[int]uint64
	reads   int
}

// NewMemory makes one in which nobody is granted.
func NewMemory() *Memory {
	return &Memory{buckets: map[uint64][]opaque.Entry{}, users: map[string]bool{}, seqs: map[int]uint64{}}
}

// AddMembers implements opaque.Sink.
func (m *Memory) AddMembers(_ context.Context, f *opaque.Flush) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seqs[f.Shard]++; f.Seq != m.seqs[f.Shard] {
		return fmt.Errorf("flush %d of shard %d: want %d", f.Seq, f.Shard, m.seqs[f.Shard])
	}
	if len(f.Deltas) > opaque.MaxDeltas {
		return fmt.Errorf("%d deltas", len(f.Deltas))
	}
	for i := range f.Deltas {
		d := &f.Deltas[i]
		if i > 0 && d.Bucket <= f.Deltas[i-1].Bucket {
			return fmt.Errorf("bucket %d after bucket %d", d.Bucket, f.Deltas[i-1].Bucket)
		}
		if err := m.add(d); err != nil {
			return fmt.Errorf("bucket %d: %w", d.Bucket, err)
		}
	}
	return nil
}

func (m *Memory) add(d *opaque.Delta) error {
	entries := m.buckets[d.Bucket]
	if d.Seen > len(entries) {
		return fmt.Errorf("%d of %d entries are seen", d.Seen, len(entries))
	}
	if d.Rest = entries[d.Seen:]; len(d.Rest) > 0 {
		if m.RestEntries > 0 {
			d.Rest = d.Rest[:min(len(d.Rest), m.RestEntries)]
		}
		return nil
	}
	count := 0
	for rest := d.Bytes; len(rest) > 0; count++ {
		member, more, err := d.Width.Next(rest)
		switch {
		case err != nil:
			return err
		case m.users[string(member)]:
			return fmt.Errorf("%x has a place already", member)
		}
		m.users[string(member)] = true
		rest = more
	}
	if count != d.Count || count == 0 {
		return fmt.Errorf("%d members, Count %d", count, d.Count)
	}
	d.Granted = true
	m.buckets[d.Bucket] = append(entries, opaque.Entry{Members: slices.Clone(d.Bytes)})
	return nil
}

// Members implements opaque.Sink.
func (m *Memory) Members(_ context.Context, wants []opaque.Want) ([][]opaque.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]opaque.Entry, len(wants))
	for i, want := range wants {
		if out[i] = m.buckets[want.Bucket]; m.RestEntries > 0 {
			out[i] = out[i][:want.Entries]
		}
		m.reads++
	}
	return out, nil
}

// Append appends an entry to a bucket, as acts do. Its members must be in their order.
func (m *Memory) Append(bucket uint64, e opaque.Entry, members ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buckets[bucket] = append(m.buckets[bucket], e)
	for _, member := range members {
		m.users[member] = true
	}
}

// Users returns the members that have a place, in order.
func (m *Memory) Users() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.users))
}

// Reads returns how often a bucket was read.
func (m *Memory) Reads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// Join makes the sink one of another pool, which counts its flushes from 1.
func (m *Memory) Join() { m.mu.Lock(); defer m.mu.Unlock(); clear(m.seqs) }

// Entries returns the entries of a bucket.
func (m *Memory) Entries(bucket uint64) []opaque.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.buckets[bucket])
}
