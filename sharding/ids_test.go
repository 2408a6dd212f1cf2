package sharding

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A block gives back the members that it was given, also when it is used again, and by pieces: whether all are of one length, or
// only the first ones.
func TestABlockKeepsMembersOfAnyLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := IDs{Keys: make([]uint64, 0, 32)}
		for range 2 {
			longest := rapid.IntRange(1, 3).Draw(t, "longest")
			members := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, longest), 1, 40).Draw(t, "members")
			for i, m := range members {
				ids.Add(uint64(i), m)
			}
			from := rapid.IntRange(0, len(members)).Draw(t, "from")
			part := ids.slice(from, rapid.IntRange(from, len(members)).Draw(t, "to"))
			for i, m := range members {
				require.Equal(t, m, ids.Member(i))
			}
			for i, key := range part.Keys {
				require.EqualValues(t, from+i, key)
				require.Equal(t, members[from+i], part.Member(i))
			}
			ids = ids.empty()
		}
	})
}
