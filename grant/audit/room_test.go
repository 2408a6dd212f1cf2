package audit

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Nine passes take the memory of one, and users of other passes wait for nothing.
func TestPassesUseTheMemoryOfThoseBefore(t *testing.T) {
	const chunks, perChunk = 100, 300
	r := newRoom(64 << 20)
	pass := func(from uint64) {
		c := r.begin(from, nil)
		c.limit.Store(from + chunks)
		for _, part := range []part{below, beyond} {
			m := c.markers(part, 1<<40)
			ids := make([]uint64, chunks*perChunk)
			for i := range uint64(chunks * perChunk) {
				ids[i] = (from-chunks+i%(3*chunks))<<chunkBits + i/(3*chunks) // of the pass before, of this one and of the next
			}
			m.add(ids)
			waiting := 0
			for range cap(m.free) {
				one := <-m.free
				for _, n := range one.count {
					waiting += int(n)
				}
				m.free <- one
			}
			require.Equal(t, chunks*perChunk/3, waiting, "of other passes some wait, too")
			m.done()
		}
		for chunk := from; chunk < from+chunks; chunk++ {
			h := &held{settled: r.page(), byRun: r.page()}
			require.True(t, h.settled.empty() && h.byRun.empty())
			h.settled.set(1)
			require.True(t, c.hold(chunk, h))
		}
		require.Len(t, c.chunks(), chunks)
		for _, chunk := range c.chunks() {
			require.EqualValues(t, perChunk/3, c.at(chunk).below.count())
			require.EqualValues(t, perChunk/3, c.at(chunk).beyond.Load().count())
		}
		r.end(c)
	}
	pass(1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := range uint64(8) {
		pass(2000 + 1000*n)
	}
	runtime.ReadMemStats(&after)
	require.Less(
		t,
		after.TotalAlloc-before.TotalAlloc,
		uint64(8*1<<20),
		"a pass has some 3 MiB of bits, and 16 MiB for those who wait",
	)
}

// What a pass has no room for is known before it begins, so that nothing is marked in vain.
func TestAPassTakesAsManyChunksOfTheLedgerAsFit(t *testing.T) {
	chunks := make([]uint64, 5000)
	for i := range chunks {
		chunks[i] = uint64(10 * i)
	}
	r := newRoom(leastWaiting*userBytes + 1000*pageBytes)
	require.Equal(t, 1000, r.budget)
	c := r.begin(0, chunks)
	require.EqualValues(t, 4370, c.limit.Load())
	require.EqualValues(t, 8740, r.begin(c.limit.Load(), chunks).limit.Load())
	require.Equal(t, uint64(noLimit), r.begin(10*4900, chunks).limit.Load(), "the last pass has everything that is left")
}
