package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/granter/granter/sharding/opaque"
)

// BucketIndex says where in a bucket a member may be, by fingerprints: a hint of which bytes a check has to look at in Redis, and
// no more. It takes 4 bytes a member, of strings 8, and some 50 an entry. It does not change: ExtendIndex makes another one,
// which shares its memory. The zero value knows nothing.
type BucketIndex struct {
	entries int64
	last    string // the head of the last of them

	heads   []string // of those that granted somebody
	numbers []int64  // their places in the bucket
	bodies  []uint32 // where their members begin
	starts  []uint32 // where their prints begin
	prints  []uint32 // ascending in each entry, as its members are
	places  []uint32 // of strings: where each begins behind the first one; else there are none
}

// entryHead is how much of an entry tells it from another one that a Redis which lost writes has in its place: version, time,
// kind and run, and the first of shard, flush, members and ranges. The shortest entry has more.
const entryHead = stampBytes + kindBytes + runLength + 4

func headOf(text string) string { return text[:min(entryHead, len(text))] }

// Entries is how many entries of the bucket were read.
func (x *BucketIndex) Entries() int64 { return x.entries }

// Size is how many bytes the index takes.
func (x *BucketIndex) Size() int64 {
	return int64(4*(cap(x.prints)+cap(x.places)) + (entryHead+40)*cap(x.heads))
}

// candidate is a place in a bucket where a member may be.
type candidate struct {
	seat   int // of those who are asked about
	entry  int // of the index
	number int64
	begin  int64 // bytes from the beginning of the entry
}

// candidates appends the places where a member may be.
func (x *BucketIndex) candidates(dst []candidate, seat int, wanted uint32, width opaque.Width) []candidate {
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
			dst = append(dst, candidate{seat, i, x.numbers[i], int64(x.bodies[i]) + offset})
		}
	}
	return dst
}

// indexPage is how many entries are read at first: 8 × 64 KiB.
const indexPage = 8

// ExtendIndex reads what a bucket has beyond an index, and returns one of all of it; if the bucket no longer has what was read,
// from the first entry on. Several may extend different buckets at a time. It is not retried.
func (l *Reader) ExtendIndex(ctx context.Context, bucket uint64, known *BucketIndex) (*BucketIndex, error) {
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
				x, from = BucketIndex{}, 0
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

// add takes in the next entry of the bucket. That of an exclusion needs no print: who is excluded holds nothing, unless a later
// act made something of it, which is in the user's state.
func (x *BucketIndex) add(text string, layout opaque.Layout) error {
	var e Entry
	members, err := e.UnmarshalBucket([]byte(text))
	if err == nil && members.Width != layout.Width {
		err = fmt.Errorf("members of %d bytes: want %d", members.Width, layout.Width)
	}
	if err != nil {
		return err
	}
	if e.Kind == EntryGrant || e.Kind == EntryHand {
		x.heads, x.numbers = append(x.heads, headOf(text)), append(x.numbers, x.entries)
		x.bodies = append(x.bodies, uint32(len(text)-len(members.body)))
		x.starts = append(x.starts, uint32(len(x.prints)))
		x.prints = slices.Grow(x.prints, members.count)
		at := 0
		err = members.Each(func(hash uint64, member []byte) bool {
			x.prints = append(x.prints, layout.Print(hash))
			if layout.Width == 0 {
				size := layout.Width.Size(member)
				x.places = append(x.places, uint32(at+size-len(member)))
				at += size
			}
			return true
		})
	}
	x.entries, x.last = x.entries+1, headOf(text)
	return err
}
