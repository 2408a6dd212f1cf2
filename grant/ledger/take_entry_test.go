package ledger

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
)

// encodeTake is what the script makes of a take.
func encodeTake(t require.TestingT, e *TakeEntry) []byte {
	ranges, err := appendRanges(nil, e.Ranges)
	require.NoError(t, err)
	head := appendHead(nil, e.Run, e.Shard, e.Flush)
	head[0] = byte(EntryTake)
	tail, _ := appendTail(nil, head, appendTake(ranges, e.Item), &e.Members)
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(e.At.UnixMilli()))
	return slices.Concat([]byte{entryVersion}, stamp[2:], tail)
}

func TestATakeIsTheSameAfterItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := TakeEntry{Item: rapid.IntRange(0, maxItemIndex).Draw(t, "item")}
		e.Kind, e.Run, e.Shard = EntryTake, grant.RunID(rapid.Uint64().Draw(t, "run")), 3
		e.Flush = rapid.Uint64().Draw(t, "flush")
		e.At = time.UnixMilli(rapid.Int64Range(1, 1<<47).Draw(t, "ms")).UTC()
		e.Ranges = []sharding.Range{{Partition: 1, First: 2, Last: 9}}
		for _, low := range rapid.SliceOfN(rapid.Uint16(), 1, 3000).Draw(t, "users") {
			e.Members.Set(low)
		}
		e.Count = e.Members.Count()
		var got TakeEntry
		require.NoError(t, got.UnmarshalBinary(encodeTake(t, &e)))
		require.Equal(t, e, got)
	})
}

// A take is no entry of a journal, and the other way round: who reads the wrong list is told.
func TestTakesAndGrantsAreToldApart(t *testing.T) {
	take := TakeEntry{Entry: Entry{At: time.UnixMilli(1), Members: *bitmap(7)}, Item: 1}
	var e Entry
	require.ErrorContains(t, e.UnmarshalBinary(encodeTake(t, &take)), "kind 3")
	require.ErrorContains(t, take.UnmarshalBinary(encode(t, &Entry{At: time.UnixMilli(1), Members: *bitmap(7), Count: 1})),
		"takes have version 2 and kind 3")
	require.ErrorContains(t, take.UnmarshalBinary([]byte{2}), "too short")
	take.Item = maxItemIndex + 1
	require.ErrorContains(t, take.UnmarshalBinary(encodeTake(t, &take)), "item: 64 is over 63")
}

func FuzzTakeEntry(f *testing.F) {
	f.Add(encodeTake(f, &TakeEntry{Entry: Entry{At: time.UnixMilli(1), Members: *bitmap(7)}, Item: 1}))
	f.Add(encodeTake(f, &TakeEntry{Entry: Entry{At: time.UnixMilli(1), Members: *span(5, 3000, 3)}, Item: 63}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again TakeEntry
		if e.UnmarshalBinary(b) != nil {
			return
		}
		require.Equal(t, e.Count, e.Members.Count())
		require.NoError(t, again.UnmarshalBinary(encodeTake(t, &e)))
		again.Ranges, e.Ranges = nil, nil
		require.Equal(t, e, again)
	})
}
