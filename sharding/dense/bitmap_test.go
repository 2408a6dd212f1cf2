package dense

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Bitmaps are sets of places in a chunk.
func TestBitmapsAreSets(t *testing.T) {
	places := rapid.SliceOfNDistinct(rapid.Uint16(), 0, 300, rapid.ID[uint16])
	rapid.Check(t, func(t *rapid.T) {
		of := func(lows []uint16) (b Bitmap) {
			for _, low := range lows {
				require.True(t, b.Set(low))
				require.False(t, b.Set(low))
			}
			require.Equal(t, len(lows), b.Count())
			return b
		}
		same := func(want []uint16, b Bitmap) { require.ElementsMatch(t, want, b.Lows(nil)) }
		list, other := places.Draw(t, "a"), places.Draw(t, "b")
		list = slices.Compact(slices.Sorted(slices.Values(append(list, other[:len(other)/2]...))))
		var both, only []uint16
		for _, low := range list {
			if slices.Contains(other, low) {
				both = append(both, low)
			} else {
				only = append(only, low)
			}
		}
		a, b := of(list), of(other)
		same(list, a)
		all := a
		all.Or(&b)
		cleared := a.Subtract(&b)
		same(only, a)
		require.Equal(t, both == nil, cleared == nil)
		if cleared != nil {
			same(both, *cleared)
			cleared.Or(&a)
			same(list, *cleared)
		}
		require.Equal(t, len(only)+len(other), all.Count())
		for _, low := range other {
			require.True(t, all.Has(low))
			all.Clear(low)
			require.False(t, all.Has(low))
		}
		require.Equal(t, a, all)
	})
}
