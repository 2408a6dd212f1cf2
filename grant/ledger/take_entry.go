package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
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

// UnmarshalBinary reads what a take wrote, and nothing else.
func (e *TakeEntry) UnmarshalBinary(b []byte) error {
	if len(b) < stampBytes+kindBytes+runLength {
		return fmt.Errorf("entry of %d bytes: too short", len(b))
	}
	if b[0] != entryVersion || EntryKind(b[stampBytes]) != EntryTake {
		return fmt.Errorf("entry of version %d and kind %d: takes have version %d and kind %d", b[0], b[stampBytes], entryVersion,
			EntryTake)
	}
	e.Kind, e.At, e.Run = EntryTake, entryTime(b), grant.RunID(binary.BigEndian.Uint64(b[stampBytes+kindBytes:]))
	r := fields{rest: b[stampBytes+kindBytes+runLength:]}
	e.origin(&r, dense.ChunkSize)
	e.Item = int(r.uvarint("item", maxItemIndex))
	if r.err != nil {
		return fmt.Errorf("entry: %w", r.err)
	}
	members, err := openMembers(r.rest, e.Count)
	if err == nil {
		err = members.decode(&e.Members)
	}
	if err != nil {
		return fmt.Errorf("entry: members: %w", err)
	}
	return nil
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
