// Package densetest is what every sink promises to a pool, as a test, and a sink in memory that keeps it.
package densetest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// RunSink tests that a sink grants each user once, and tells the others, whichever pool hands them in. Nobody is granted
// yet; pool makes the sink of another pool, which counts its flushes from 1, and granted returns who is granted.
func RunSink(t *testing.T, pool func() dense.Sink, granted func() []uint64) {
	t.Helper()
	type flushes struct {
		dense.Sink
		*Flushes
	}
	a, b := flushes{pool(), new(Flushes)}, flushes{pool(), new(Flushes)}
	grants := func(p flushes, shard int, ids []uint64, before ...uint64) {
		t.Helper()
		f := p.Next(shard, ids...)
		require.NoError(t, p.Grant(t.Context(), f))
		Tells(t, f, ids, before)
	}
	all := append(Many(0, 3000), dense.ChunkSize-1, dense.ChunkSize, 1<<40, 1<<63-1)
	grants(a, 1, all)
	require.ElementsMatch(t, all, granted())
	grants(b, 1, all, all...) // nobody is new
	grants(b, 1, []uint64{2999, 3000, 1 << 41}, 2999)
	grants(b, 1, Many(3001, 5))
	grants(a, 2, []uint64{3000, 3001, 3006}, 3000, 3001)
	require.ElementsMatch(t, append(append(all, 3000, 1<<41), Many(3001, 6)...), granted())
}

// Many are IDs enough to be sent as a bitmap, one behind the other.
func Many(from, count uint64) []uint64 {
	ids := make([]uint64, count)
	for i := range ids {
		ids[i] = from + uint64(i)
	}
	return ids
}

// Flushes makes the flushes of a pool. The zero value is ready for use.
type Flushes struct{ seqs map[int]uint64 }

// Next makes the next flush of a shard.
func (p *Flushes) Next(shard int, ids ...uint64) *dense.Flush {
	if p.seqs == nil {
		p.seqs = map[int]uint64{}
	}
	p.seqs[shard]++
	f := &dense.Flush{Shard: shard, Seq: p.seqs[shard], Ranges: []sharding.Range{{Partition: shard, First: 1, Last: 9}}}
	for _, id := range slices.Sorted(slices.Values(ids)) {
		chunk, low := dense.Split(id)
		if n := len(f.Deltas); n == 0 || f.Deltas[n-1].Chunk != chunk {
			f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: new(dense.Bitmap)})
		}
		d := &f.Deltas[len(f.Deltas)-1]
		d.Members.Set(low)
		d.Count++
	}
	return f
}

// Tells checks what a flush of some users says when it is granted: who of them had been granted before.
func Tells(t require.TestingT, f *dense.Flush, ids, before []uint64) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	var fresh, repeated []uint64
	for i := range f.Deltas {
		d := &f.Deltas[i]
		require.Equal(t, d.Members.Count(), d.Count)
		for _, low := range d.Members.Lows(nil) {
			fresh = append(fresh, dense.Join(d.Chunk, low))
		}
		if d.Duplicates == nil {
			continue
		}
		require.NotNil(t, d.Granted, "whoever reads duplicates knows the chunk")
		for _, low := range d.Duplicates.Lows(nil) {
			repeated = append(repeated, dense.Join(d.Chunk, low))
			require.True(t, d.Granted.Has(low))
		}
		for _, low := range d.Members.Lows(nil) {
			require.True(t, d.Granted.Has(low))
		}
	}
	want := slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return slices.Contains(before, id) })
	require.ElementsMatch(t, want, fresh, "newly granted")
	require.ElementsMatch(t, before, repeated, "granted before")
}
