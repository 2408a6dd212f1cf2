package densetest

import (
	"context"
	"sync"

	"github.com/granter/granter/sharding/dense"
)

// Memory is a dense.Sink that keeps grants in memory, for tests that need no more.
type Memory struct {
	mu     sync.Mutex
	chunks map[uint64]*dense.Bitmap
}

// NewMemory makes one in which nobody is granted.
func NewMemory() *Memory { return &Memory{chunks: map[uint64]*dense.Bitmap{}} }

// Grant implements dense.Sink.
func (m *Memory) Grant(_ context.Context, f *dense.Flush) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range f.Deltas {
		d := &f.Deltas[i]
		c := m.chunks[d.Chunk]
		if c == nil {
			c = new(dense.Bitmap)
			m.chunks[d.Chunk] = c
		}
		d.Duplicates = d.Members.Subtract(c)
		c.Or(d.Members)
		if d.Duplicates != nil {
			whole := *c
			d.Granted = &whole
		}
		d.Count = d.Members.Count()
	}
	return nil
}

// IDs returns who is granted.
func (m *Memory) IDs() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := []uint64{}
	for chunk, b := range m.chunks {
		for _, low := range b.Lows(nil) {
			ids = append(ids, dense.Join(chunk, low))
		}
	}
	return ids
}
