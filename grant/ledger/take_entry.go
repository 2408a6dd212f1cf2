package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// TakeEntry is one element of a chunk's list of takes: users who took an item in one call. It is an Entry of kind 3 with one
// field more: the index of the item in the spec, a uvarint behind the ranges.
type TakeEntry struct {
	Entry
	Item int
}

// EntryTake says that users took an item.
const EntryTake EntryKind = 3

// maxItemIndex is that of the largest spec.
const maxItemIndex = 63

// appendTake appends what is between the ranges and the members.
func appendTake(ranges []byte, item int) []byte { return binary.AppendUvarint(ranges, uint64(item)) }

// UnmarshalBinary reads what a take of users of a chunk wrote, and nothing else.
func (e *TakeEntry) UnmarshalBinary(b []byte) error {
	rest, err := e.head(b, entryVersion, dense.ChunkSize)
	if err != nil {
		return err
	}
	members, err := openMembers(rest, e.Count)
	if err == nil {
		err = members.decode(&e.Members)
	}
	if err != nil {
		return fmt.Errorf("entry: members: %w", err)
	}
	return nil
}

// UnmarshalBucket reads what a take of users of a bucket wrote, up to its members, which are valid as long as b is: that is of
// version 3, and has the members of such entries. It leaves Members alone.
func (e *TakeEntry) UnmarshalBucket(b []byte) (m BucketMembers, err error) {
	rest, err := e.head(b, bucketEntryVersion, MaxBucket)
	if err == nil && len(rest) == 0 {
		err = fmt.Errorf("entry: %w", errShort)
	}
	if err != nil {
		return m, err
	}
	return BucketMembers{Width: opaque.Width(rest[0]), count: e.Count, body: rest[1:]}, nil
}

// head reads what is before the members, and returns the rest.
func (e *TakeEntry) head(b []byte, version byte, most uint64) (rest []byte, err error) {
	if len(b) < stampBytes+kindBytes+runLength {
		return nil, fmt.Errorf("entry of %d bytes: too short", len(b))
	}
	if b[0] != version || EntryKind(b[stampBytes]) != EntryTake {
		return nil, fmt.Errorf("entry of version %d and kind %d: takes have version %d and kind %d", b[0], b[stampBytes], version,
			EntryTake)
	}
	e.Kind, e.At, e.Run = EntryTake, entryTime(b), grant.RunID(binary.BigEndian.Uint64(b[stampBytes+kindBytes:]))
	r := fields{rest: b[stampBytes+kindBytes+runLength:]}
	e.origin(&r, most)
	e.Item = int(r.uvarint("item", maxItemIndex))
	if r.err != nil {
		return nil, fmt.Errorf("entry: %w", r.err)
	}
	return r.rest, nil
}

// entryTime is the time of an entry, to the millisecond.
func entryTime(b []byte) time.Time {
	var stamp [8]byte
	copy(stamp[2:], b[1:stampBytes])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(stamp[:]))).UTC()
}

// origin reads shard, flush, the number of members and the ranges.
func (e *Entry) origin(r *fields, most uint64) {
	e.Shard = int(r.uvarint("shard", math.MaxInt32))
	e.Flush = r.uvarint("flush", math.MaxUint64)
	e.Count = int(r.uvarint("members", most))
	n := int(r.uvarint("ranges", maxRanges))
	e.Ranges = e.Ranges[:0]
	for range n {
		partition := int(r.uvarint("partition", math.MaxInt32))
		first := r.uvarint("first offset", math.MaxInt64)
		length := r.uvarint("length of a range", math.MaxInt64-first)
		if r.err != nil {
			break
		}
		e.Ranges = append(e.Ranges, sharding.Range{
			Partition: partition, First: int64(first), Last: int64(first + length),
		})
	}
}
