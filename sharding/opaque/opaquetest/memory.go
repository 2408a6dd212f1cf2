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
	RestEntries int // that a refused delta is told at most; 0: all

	mu      sync.Mutex
	buckets map[uint64][][]byte // members of each entry
	users   map[string]bool
	seqs    map[int]uint64
	reads   int
}

// NewMemory makes one in which nobody is granted.
func NewMemory() *Memory {
	return &Memory{buckets: map[uint64][][]byte{}, users: map[string]bool{}, seqs: map[int]uint64{}}
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
			return fmt.Errorf("%x is granted twice", member)
		}
		m.users[string(member)] = true
		rest = more
	}
	if count != d.Count || count == 0 {
		return fmt.Errorf("%d members, Count %d", count, d.Count)
	}
	d.Granted = true
	m.buckets[d.Bucket] = append(entries, slices.Clone(d.Bytes))
	return nil
}

// Members implements opaque.Sink.
func (m *Memory) Members(_ context.Context, wants []opaque.Want) ([][][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][][]byte, len(wants))
	for i, want := range wants {
		out[i] = m.buckets[want.Bucket][:want.Entries]
		m.reads++
	}
	return out, nil
}

// Users returns the members that are granted, in order.
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

// Entries returns the members of each entry of a bucket.
func (m *Memory) Entries(bucket uint64) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.buckets[bucket])
}
