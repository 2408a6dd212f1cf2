package ledger

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

// bucketEntry makes an entry of a bucket.
func bucketEntry(t require.TestingT, width opaque.Width, members ...string) []byte {
	ranges, err := appendRanges(nil, []sharding.Range{{Partition: 1, First: 2, Last: 3}})
	require.NoError(t, err)
	b := append([]byte{bucketEntryVersion, 0, 0, 0, 0, 0, 1}, appendHead(nil, 7, 1, 2)...)
	b = binary.AppendUvarint(b, uint64(len(members)))
	b = append(append(b, ranges...), byte(width))
	for _, m := range members {
		b = width.Append(b, []byte(m))
	}
	return b
}

// What is read as an entry of a bucket has as many members as it says, in their order, and nothing else; all else is an error.
func FuzzBucketEntry(f *testing.F) {
	f.Add(bucketEntry(f, 16, "0123456789abcdef"))
	f.Add(bucketEntry(f, 8, "01234567"))
	f.Add(bucketEntry(f, 0, "minji", "민지"))
	f.Add(bucketEntry(f, 0, "민지", "minji"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		m, err := e.UnmarshalBucket(b)
		if err != nil {
			return
		}
		var again []byte
		n, last := 0, uint64(0)
		if m.Each(func(hash uint64, member []byte) bool {
			require.NotEmpty(t, member)
			require.GreaterOrEqual(t, hash, last)
			n, last = n+1, hash
			again = m.Width.Append(again, member)
			return true
		}) != nil {
			return
		}
		require.Equal(t, e.Count, n)
		if m.Width != 0 { // a uvarint may be longer than it needs to be
			require.True(t, bytes.Equal(m.body, again))
		}
	})
}
