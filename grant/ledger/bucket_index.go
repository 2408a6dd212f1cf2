package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/granter/granter/sharding/opaque"
)

// bucketIndex says where in a bucket a member may be, by fingerprints: a hint of which bytes a check has to look at in Redis, and
// no more. It takes 4 bytes a member, of strings 8, and some 50 an entry. It does not change: extendIndex makes another one,
// which shares its memory. The zero value knows nothing.
type bucketIndex struct {
	entries int64
	last    string // the head of the last of them

	heads   []string // of those that gave somebody a place
	numbers []int64  // their places in the bucket
	sizes   []uint32 // how many bytes they have
	bodies  []uint32 // how many bytes their members are, at their end: an erasure makes what is in front of them shorter
	starts  []uint32 // where their prints begin
	prints  []uint32 // ascending in each entry, as its members are
	places  []uint32 // of strings: where each begins behind the first one; else there are none
}

// entryHead is how much of an entry tells it from another one that a Redis which lost writes has in its place: version, time,
// kind and run, and the first of shard, flush, members and ranges. The shortest entry has more.
const entryHead = stampBytes + kindBytes + runLength + 4

func headOf(text string) string { return text[:min(entryHead, len(text))] }

// size is how many bytes the index takes.
func (x *bucketIndex) size() int64 {
	return int64(4*(cap(x.prints)+cap(x.places)) + (entryHead+44)*cap(x.heads))
}

// candidate is a place in a bucket where a member may be.
type candidate struct {
	seat   int // of those who are asked about
	entry  int // of the index
	number int64
	back   int64 // bytes from the end of the entry
}

// candidates appends the places where a member may be.
func (x *bucketIndex) candidates(dst []candidate, seat int, wanted uint32, width opaque.Width) []candidate {
	for i, begin := range x.starts {
		end := uint32(len(x.prints))
		if i+1 < len(x.starts) {
			end = x.starts[i+1]
		}
		at, _ := slices.BinarySearch(x.prints[begin:end], wanted)
		for n := begin + uint32(at); n < end && x.prints[n] == wanted; n++ {
			offset := int64(n-begin) * int64(width)
			if width == 0 {
				offset = int64(x.places[n])
			}
			dst = append(dst, candidate{seat, i, x.numbers[i], int64(x.bodies[i]) - offset})
		}
	}
	return dst
}

// indexPage is how many entries are read at first: 8 × 64 KiB.
const indexPage = 8

// extendIndex reads what a bucket has beyond an index, and returns one of all of it; if the bucket no longer has what was read,
// from the first entry on. It is not retried.
func (l *Reader) extendIndex(ctx context.Context, bucket uint64, known *bucketIndex) (*bucketIndex, error) {
	key, x := l.keys.of(bucket, "journal"), *known
	from := max(0, x.entries-1) // the last one that is known is read again, to be compared
	for size := int64(indexPage); ; size = min(2*size, journalPage) {
		page, err := l.client.LRange(ctx, key, from, from+size-1).Result()
		if err != nil {
			return nil, err
		}
		more := int64(len(page)) == size
		if from < x.entries {
			if len(page) == 0 || headOf(page[0]) != x.last {
				x, from = bucketIndex{}, 0
				continue
			}
			page = page[1:]
		}
		for _, text := range page {
			if err := x.add(text, l.layout); err != nil {
				return nil, fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, x.entries, err)
			}
		}
		if from = x.entries; !more {
			return &x, nil
		}
	}
}

// add takes in the next entry of the bucket. Entries that give nobody a place need no prints: what later acts made of a user is
// in the user's state.
func (x *bucketIndex) add(text string, layout opaque.Layout) error {
	var e Entry
	members, err := e.UnmarshalBucket([]byte(text))
	if err == nil && members.Width != layout.Width {
		err = fmt.Errorf("members of %d bytes: want %d", members.Width, layout.Width)
	}
	if err != nil {
		return err
	}
	if e.Kind.Settles() {
		x.heads, x.numbers = append(x.heads, headOf(text)), append(x.numbers, x.entries)
		x.sizes, x.bodies = append(x.sizes, uint32(len(text))), append(x.bodies, uint32(len(members.body)))
		x.starts = append(x.starts, uint32(len(x.prints)))
		x.prints = slices.Grow(x.prints, members.count)
		at := 0
		err = members.Each(func(hash uint64, member []byte) bool {
			x.prints = append(x.prints, layout.Print(hash))
			if layout.Width == 0 {
				x.places = append(x.places, uint32(at))
				at += layout.Width.Size(member)
			}
			return true
		})
	}
	x.entries, x.last = x.entries+1, headOf(text)
	return err
}
