package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/granter/granter/sharding/opaque"
)

// absentBuckets is how many buckets are read at once by Absent: 4 MiB of UUIDs.
const absentBuckets = 16

// Absent returns which of some members have no place, that is, are neither granted nor excluded, in the order in which buckets
// have them. The campaign's IDs must not be dense. Each bucket is read once, so many members cost little more than few.
func (l *Reader) Absent(ctx context.Context, members [][]byte) (absent [][]byte, err error) {
	if !l.campaign.Input.Opaque() {
		return nil, fmt.Errorf("%s has dense IDs: its users are in bitmaps, not in buckets", l.campaign.Name)
	}
	members = slices.SortedFunc(slices.Values(members), opaque.Compare)
	for len(members) > 0 {
		var buckets []uint64
		n := 0
		for ; n < len(members); n++ {
			bucket := l.layout.Bucket(opaque.Hash(members[n]))
			if at := len(buckets); at == 0 || buckets[at-1] != bucket {
				if at == absentBuckets {
					break
				}
				buckets = append(buckets, bucket)
			}
		}
		stored, err := l.BucketMembers(ctx, buckets)
		if err != nil {
			return nil, err
		}
		asked := members[:n]
		for i := range stored {
			left := slices.IndexFunc(asked, func(m []byte) bool { return l.layout.Bucket(opaque.Hash(m)) != buckets[i] })
			if left < 0 {
				left = len(asked)
			}
			some, err := l.without(asked[:left], stored[i])
			if err != nil {
				return nil, err
			}
			absent, asked = append(absent, some...), asked[left:]
		}
		members = members[n:]
	}
	return absent, nil
}

// without returns the members that none of a bucket's entries gives a place.
func (l *Store) without(members [][]byte, entries []opaque.Entry) (absent [][]byte, err error) {
	found := map[string]bool{}
	for _, m := range members {
		found[string(m)] = false
	}
	for i := range entries {
		for rest := entries[i].Members; len(rest) > 0; {
			var member []byte
			if member, rest, err = l.layout.Width.Next(rest); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
			}
			if _, asked := found[string(member)]; asked {
				found[string(member)] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(members), func(m []byte) bool { return found[string(m)] }), nil
}
