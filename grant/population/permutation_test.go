package population

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPermutationIsABijection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 5000).Draw(t, "n")
		p := newPermutation(n, rapid.Uint64().Draw(t, "seed"))
		seen := make([]bool, n)
		for i := range n {
			image := p.at(i)
			require.Less(t, image, n)
			require.False(t, seen[image], "%d comes twice", image)
			seen[image] = true
		}
	})
}

func TestPermutationOfAnySizeStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, math.MaxInt64).Draw(t, "n")
		p := newPermutation(n, rapid.Uint64().Draw(t, "seed"))
		i := rapid.Uint64Range(0, n-1).Draw(t, "i")
		j := rapid.Uint64Range(0, n-1).Draw(t, "j")
		require.Less(t, p.at(i), n)
		require.Equal(t, i == j, p.at(i) == p.at(j))
	})
}

// Random numbers of 48 million would put two neighbours into one of the 733 chunks once in 733 times, and a window of
// 733 neighbours into about 63% of the chunks.
func TestPermutationPutsNeighboursIntoUnrelatedChunks(t *testing.T) {
	const n, chunk, sample = 48_000_000, 1 << 16, 733 * 200
	for seed := range uint64(5) {
		p := newPermutation(n, seed)
		same, before := 0, uint64(math.MaxUint64)
		distinct, window := 0, map[uint64]bool{}
		for i := range uint64(sample) {
			c := p.at(i+n/3) / chunk
			if c == before {
				same++
			}
			before = c
			window[c] = true
			if i%733 == 732 {
				distinct += len(window)
				clear(window)
			}
		}
		require.InDelta(t, 200, same, 80, "seed %d: neighbours in one chunk", seed)
		require.InDelta(t, 0.632, float64(distinct)/sample, 0.02, "seed %d: chunks in a window", seed)
	}
}

func TestSeedSelectsThePermutation(t *testing.T) {
	a, b, c := newPermutation(1000, 1), newPermutation(1000, 1), newPermutation(1000, 2)
	same := 0
	for i := range uint64(1000) {
		require.Equal(t, a.at(i), b.at(i))
		if a.at(i) == c.at(i) {
			same++
		}
	}
	require.Less(t, same, 20)
}
