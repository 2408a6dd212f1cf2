package claims

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestChanceIsFairAndCannotBeSteered(t *testing.T) {
	const n = 20_000
	for _, share := range []int{0, 20_000, 500_000, 1_000_000} {
		drawn := 0
		for i := range n {
			if SecondLooked([]byte("secret"), fmt.Sprint("c-", i), share) {
				drawn++
			}
		}
		want := float64(n) * float64(share) / 1e6
		require.InDelta(t, want, drawn, 5*math.Sqrt(want*(1-float64(share)/1e6))+0.1, share)
	}
	rapid.Check(t, func(t *rapid.T) {
		secret, claim := rapid.SliceOf(rapid.Byte()).Draw(t, "secret"), rapid.String().Draw(t, "claim")
		less, more := rapid.IntRange(0, 1_000_000).Draw(t, "less"), rapid.IntRange(0, 1_000_000).Draw(t, "more")
		if less > more {
			less, more = more, less
		}
		if SecondLooked(secret, claim, less) {
			require.True(t, SecondLooked(secret, claim, more), "a larger share takes nobody out")
		}
		require.False(t, SecondLooked(secret, claim, 0))
		require.True(t, SecondLooked(secret, claim, 1_000_000))
	})
	other := 0
	for i := range n {
		a, b := SecondLooked([]byte("a"), fmt.Sprint(i), 500_000), SecondLooked([]byte("b"), fmt.Sprint(i), 500_000)
		if a != b {
			other++
		}
	}
	require.InDelta(t, n/2, other, 5*math.Sqrt(n/4), "another secret says nothing about this one")
}
