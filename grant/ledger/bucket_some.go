package ledger

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

// AddSome grants some members, for whoever has no shards: the buckets are read as far as need be. seq is the number of the last
// flush of this session, and counts up. It returns those who are granted by it; the others had a place before. What AddMembers
// says of errors holds for it, too; after one, some may be granted.
func (l *Grants) AddSome(
	ctx context.Context, seq *uint64, ranges []sharding.Range, members [][]byte,
) (granted [][]byte, err error) {
	byBucket := map[uint64][][]byte{}
	for _, m := range members {
		bucket := l.layout.Bucket(opaque.Hash(m))
		byBucket[bucket] = append(byBucket[bucket], m)
	}
	for _, bucket := range slices.Sorted(maps.Keys(byBucket)) {
		left := byBucket[bucket]
		slices.SortFunc(left, opaque.Compare)
		left = slices.CompactFunc(left, bytes.Equal)
		for d := (opaque.Delta{Bucket: bucket, Width: l.layout.Width}); len(left) > 0; {
			d.Count, d.Bytes = len(left), d.Bytes[:0]
			for _, m := range left {
				d.Bytes = d.Width.Append(d.Bytes, m)
			}
			*seq++
			f := &opaque.Flush{Seq: *seq, Ranges: ranges, Deltas: []opaque.Delta{d}}
			if err := l.AddMembers(ctx, f); err != nil {
				return granted, err
			}
			if d = f.Deltas[0]; d.Granted {
				granted = append(granted, left...)
				break
			}
			d.Seen += len(d.Rest)
			if left, err = l.without(left, d.Rest); err != nil {
				return granted, err
			}
		}
	}
	return granted, nil
}
