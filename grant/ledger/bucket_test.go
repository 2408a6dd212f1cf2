package ledger

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
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

// Where a user's bucket is, is stored nowhere: it follows from the spec and the ID. A granter that came to another bucket would
// grant everybody of an older ledger again.
func TestTheBucketsOfALedgerNeverChange(t *testing.T) {
	for population, bits := range map[int64]uint{
		0: 12, 1: 8, 4_194_559: 8, 4_194_560: 9, 8_389_119: 9, 8_389_120: 10, 16_000_000: 10, 48_000_000: 12, 67_112_959: 12,
		67_112_960: 13, 240_000_000: 14, 480_000_000: 15, 10_000_000_000: 20, 1_000_000_000_000: 24,
	} {
		layout := LayoutOf(&grant.Campaign{Population: population, Input: grant.Input{IDs: grant.IDsUUID}})
		require.Equal(t, opaque.Layout{Bits: bits, Width: 16}, layout, population)
	}
	for _, c := range []struct {
		ids    grant.IDs
		width  opaque.Width
		user   string
		bucket uint64
	}{
		{grant.IDsUUID, 16, "{6BA7B810-9DAD-41D1-80B4-00C04FD430C8}", 7102},
		{grant.IDsInt64, 8, "-9223372036854775808", 6770},
		{grant.IDsInt64, 8, "7", 6937},
		{grant.IDsString, 0, "minji@example.com", 8049},
		{grant.IDsString, 0, "민지", 7351},
	} {
		campaign := &grant.Campaign{Input: grant.Input{IDs: c.ids}}
		form, layout := userid.FormOf(&campaign.Input), LayoutOf(campaign)
		require.Equal(t, c.width, layout.Width)
		member, fault := form.Member(nil, []byte(c.user))
		require.Empty(t, fault)
		require.Equal(t, c.bucket, layout.Bucket(opaque.Hash(member)), c.user)
	}
}
