package source

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// transaction batches: what a producer wrote inside one, and the marker that ends it.
func inside(producer int64, records ...rec) rawBatch {
	b := batchOf(records...)
	b.producer, b.attributes = producer, attrTransaction
	return b
}

func marker(producer, offset int64, commit bool) rawBatch {
	key := []byte{0, 0, 0, 0} // version, type: abort
	if commit {
		key[3] = 1
	}
	b := batchOf(rec{offset: offset, key: key, value: binary.BigEndian.AppendUint32([]byte{0, 0}, 7)})
	b.producer, b.attributes = producer, attrTransaction|attrControl
	return b
}

func seen(t require.TestingT, f fetched, log []rawBatch, from int64) []int64 {
	for _, b := range log {
		f.records = append(f.records, b.encode(t)...)
	}
	got, behind, err := handed(f, from, -1)
	require.NoError(t, err)
	require.Equal(t, log[len(log)-1].last+1, behind, "markers and aborted records are passed")
	return offsetsOf(got)
}

func TestAbortedRecordsAndMarkersAreHidden(t *testing.T) {
	log := []rawBatch{
		inside(1, users(0, 3)...),
		inside(2, users(3, 5)...),
		batchOf(user(5)), // in no transaction
		marker(1, 6, false),
		inside(2, users(7, 8)...),
		marker(2, 8, true),
		inside(1, users(9, 11)...), // the same producer's next one
		marker(1, 11, true),
		inside(3, users(12, 13)...),
		inside(1, users(13, 15)...),
		marker(3, 15, false),
		marker(1, 16, false),
	}
	// A producer may also write outside of its transactions.
	outside := batchOf(user(17))
	outside.producer = 3
	log = append(log, outside)
	all := []aborted{{producer: 1, first: 13}, {producer: 1, first: 0}, {producer: 3, first: 12}}
	require.Equal(t, []int64{3, 4, 5, 7, 9, 10, 17}, seen(t, fetched{aborted: slices.Clone(all)}, log, 0))
	// From the middle of a transaction on, as after a restart.
	require.Equal(t, []int64{4, 5, 7, 9, 10, 17}, seen(t, fetched{aborted: slices.Clone(all)}, log[1:], 4))
	require.Equal(t, []int64{5, 7, 9, 10, 17}, seen(t, fetched{aborted: slices.Clone(all)}, log[2:], 5))
	require.Equal(t, []int64{17}, seen(t, fetched{aborted: []aborted{{producer: 1, first: 13}}}, log[11:], 16))
	// Nothing is aborted: only markers are hidden.
	require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 7, 9, 10, 12, 13, 14, 17}, seen(t, fetched{}, log, 0))
}

// Any interleaving of transactions, read from any offset on, shows what was committed, and no more.
func TestReadCommittedShowsExactlyWhatWasCommitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type open struct {
			first   int64
			aborts  bool
			written []int64
		}
		var log []rawBatch
		var list []aborted
		var ends []int64 // of the aborted transactions, in the order of list
		var want []int64
		under := map[int64]*open{}
		offset := int64(0)
		finish := func(producer int64) {
			tx := under[producer]
			delete(under, producer)
			log = append(log, marker(producer, offset, !tx.aborts))
			if tx.aborts {
				list = append(list, aborted{producer: producer, first: tx.first})
				ends = append(ends, offset)
			} else {
				want = append(want, tx.written...)
			}
			offset++
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			producer := rapid.Int64Range(0, 3).Draw(t, "producer")
			if tx := under[producer]; tx != nil && rapid.Bool().Draw(t, "end") {
				finish(producer)
				continue
			}
			b := batchOf(users(offset, offset+rapid.Int64Range(1, 3).Draw(t, "records"))...)
			if producer == 0 {
				want = append(want, offsetsOf(b.records)...)
			} else {
				b.producer, b.attributes = producer, attrTransaction
				if under[producer] == nil {
					under[producer] = &open{first: offset, aborts: rapid.Bool().Draw(t, "abort")}
				}
				under[producer].written = append(under[producer].written, offsetsOf(b.records)...)
			}
			log = append(log, b)
			offset = b.last + 1
		}
		for _, producer := range []int64{1, 2, 3} {
			if under[producer] != nil {
				finish(producer)
			}
		}
		slices.Sort(want)
		from := rapid.Int64Range(0, offset-1).Draw(t, "from")
		// A broker names the aborted transactions that end at or behind the offset, and sends from its batch on.
		var f fetched
		for i, a := range list {
			if ends[i] >= from {
				f.aborted = append(f.aborted, a)
			}
		}
		log = slices.DeleteFunc(log, func(b rawBatch) bool { return b.last < from })
		got := seen(t, f, log, from)
		want = slices.DeleteFunc(want, func(o int64) bool { return o < from })
		require.True(t, slices.Equal(want, got), "%v, not %v", got, want)
	})
}
