package audit

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// Whatever the IDs, and however many readers mark at the same time, exactly those are marked that were read.
func TestUsersAreMarkedOnceForAllReaders(t *testing.T) {
	const readers, users = 4, 3000
	c := newRoom(8<<30).begin(3, nil)
	parts := map[part]*markers{below: c.markers(below, users*100), beyond: c.markers(beyond, users*100)}
	want := map[uint64]bool{}
	var g errgroup.Group
	for reader := range readers {
		ids := make([]uint64, users)
		for i := range ids {
			switch i % 4 { // near each other, of many chunks, beyond all sections, and before the pass
			case 0, 1:
				ids[i] = (3+rand.Uint64N(4))<<chunkBits + rand.Uint64N(2000)
			case 2:
				ids[i] = 3<<chunkBits + rand.Uint64N(40*sections)<<chunkBits + rand.Uint64N(100)
			case 3:
				ids[i] = []uint64{5, 1<<62 + rand.Uint64N(1000)}[i/4%2]
			}
			if ids[i]>>chunkBits >= 3 {
				want[ids[i]] = true
			}
		}
		g.Go(func() error {
			for block := range slices.Chunk(ids, 100) {
				parts[reader%2 == 1].add(block)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	for _, m := range parts {
		m.done()
	}
	got := map[uint64]bool{}
	for _, chunk := range c.chunks() {
		cell := c.at(chunk)
		both := cell.below
		if more := cell.beyond.Load(); more != nil {
			both.or(more)
		}
		both.each(func(low uint16) { got[chunk<<chunkBits|uint64(low)] = true })
	}
	require.Equal(t, want, got)
}
