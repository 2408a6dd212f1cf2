package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// Entry is one element of a chunk's journal: one batch of users that were newly granted together, or about whom somebody did
// the same.
//
//	1 byte   version, 2
//	6 bytes  time by the clock of Redis, Unix milliseconds, big-endian
//	1 byte   kind (EntryKind); version 1, which granter 0.1 wrote, has none, and is a grant
//	8 bytes  run, big-endian; 0 in an act, as are shard, flush and ranges
//	uvarint  shard
//	uvarint  number of the shard's flush
//	uvarint  number of members, 1 to 65,536
//	uvarint  number of ranges
//	         for each range: uvarint partition, uvarint first offset, uvarint last − first
//	act      of all kinds but a grant: uvarint length, and a grant.Act as JSON
//	rest     members: their low 16 bits as a Roaring bitmap in the portable format, with one container of key 0
//
// The Roaring part is what every Roaring library reads. Its container is the smallest of three: a sorted array of 2 bytes
// a member (up to 4,096 members), runs of 4 bytes, or 8 KiB of bits.
type Entry struct {
	Kind    EntryKind
	At      time.Time // to the millisecond
	Run     grant.RunID
	Shard   int
	Flush   uint64
	Ranges  []sharding.Range
	Count   int        // number of Members
	Act     *grant.Act // of all kinds but EntryGrant
	Members dense.Bitmap

	act []byte // as it is stored
}

const (
	entryVersion = 2
	stampBytes   = 1 + 6 // version and time, which the script puts in front
	kindBytes    = 1
	runLength    = 8
	maxRanges    = 1 << 20
	maxActBytes  = 64 << 10

	roaringNoRuns    = 12346 // cookie, then the number of containers
	roaringRuns      = 12347 // cookie in the low half; the number of containers − 1 in the high half
	roaringArrayMax  = 4096
	roaringBitmapLen = 8192
)

// appendHead appends what all entries of a flush have in common, up to the number of members.
func appendHead(dst []byte, run grant.RunID, shard int, flush uint64) []byte {
	dst = append(dst, byte(EntryGrant))
	dst = append(dst, runBytes(run)...)
	dst = binary.AppendUvarint(dst, uint64(shard))
	return binary.AppendUvarint(dst, flush)
}

// appendTail appends an entry without its first 7 bytes, and returns how many members there are.
func appendTail(dst, head, ranges []byte, members *dense.Bitmap) ([]byte, int) {
	count, runs, last := 0, 0, uint64(0)
	for i := range dense.Words {
		w := members.Word(i)
		count += bits.OnesCount64(w)
		runs += bits.OnesCount64(w &^ (w>>1 | last<<63)) // set, and the one before is not
		last = w & 1
	}
	dst = appendOrigin(dst, head, ranges, count)
	switch {
	case count == 0:
		return dst, 0
	case shorterAsRuns(runs, count):
		return appendRuns(dst, members, count, runs), count
	case count <= roaringArrayMax:
		dst = appendContainerHeader(dst, count)
		return appendLows(dst, members, count), count
	default:
		dst = appendContainerHeader(dst, count)
		for i := range dense.Words {
			dst = binary.LittleEndian.AppendUint64(dst, bits.Reverse64(members.Word(i)))
		}
		return dst, count
	}
}

// appendOrigin appends what is before the members.
func appendOrigin(dst, head, ranges []byte, count int) []byte {
	dst = append(dst, head...)
	dst = binary.AppendUvarint(dst, uint64(count))
	return append(dst, ranges...)
}

func shorterAsRuns(runs, count int) bool { return 2+4*runs < min(2*count, roaringBitmapLen) }

// appendTailOf is appendTail of members in a list, ascending, and needs no bitmap where they are few.
func appendTailOf(dst, head, ranges []byte, lows []uint16) []byte {
	runs := 0
	for i, low := range lows {
		if i == 0 || low != lows[i-1]+1 {
			runs++
		}
	}
	if len(lows) == 0 || len(lows) > roaringArrayMax || shorterAsRuns(runs, len(lows)) {
		dst, _ = appendTail(dst, head, ranges, bitmapOf(lows))
		return dst
	}
	dst = appendContainerHeader(appendOrigin(dst, head, ranges, len(lows)), len(lows))
	for _, low := range lows {
		dst = binary.LittleEndian.AppendUint16(dst, low)
	}
	return dst
}

func bitmapOf(lows []uint16) *dense.Bitmap {
	members := new(dense.Bitmap)
	for _, low := range lows {
		members.Set(low)
	}
	return members
}

// appendContainerHeader begins a Roaring bitmap with one container that is an array or a bitmap.
func appendContainerHeader(dst []byte, count int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, roaringNoRuns)
	dst = binary.LittleEndian.AppendUint32(dst, 1)
	dst = binary.LittleEndian.AppendUint16(dst, 0) // key
	dst = binary.LittleEndian.AppendUint16(dst, uint16(count-1))
	return binary.LittleEndian.AppendUint32(dst, containerOffset) // where the container begins
}

const containerOffset = 4 + 4 + 2 + 2 + 4

func appendRuns(dst []byte, members *dense.Bitmap, count, runs int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, roaringRuns)
	dst = append(dst, 1) // the first container has runs
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(count-1))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(runs))
	start := -1
	for i := range dense.Words {
		w := members.Word(i)
		if start >= 0 && w == math.MaxUint64 || start < 0 && w == 0 {
			continue
		}
		for at := 0; at < 64; {
			rest := w << at
			if start < 0 {
				if rest == 0 {
					break
				}
				at += bits.LeadingZeros64(rest)
				start = i*64 + at
				continue
			}
			at += bits.LeadingZeros64(^rest)
			if at < 64 {
				dst = appendRun(dst, start, i*64+at)
				start = -1
			}
		}
	}
	if start >= 0 {
		dst = appendRun(dst, start, dense.ChunkSize)
	}
	return dst
}

// appendRun appends the run from start up to, not including, end.
func appendRun(dst []byte, start, end int) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(start))
	return binary.LittleEndian.AppendUint16(dst, uint16(end-start-1))
}

// appendOffsets appends the members as the chunk script wants them: 2 bytes each, big-endian. They are few.
func appendOffsets(dst []byte, members *dense.Bitmap, count int) []byte {
	at := len(dst)
	dst = appendLows(dst, members, count)
	for ; at < len(dst); at += 2 {
		dst[at], dst[at+1] = dst[at+1], dst[at]
	}
	return dst
}

// appendLows appends the members, 2 bytes each, little-endian.
func appendLows(dst []byte, members *dense.Bitmap, count int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, 2*count)...)
	for i := range dense.Words {
		for w := members.Word(i); w != 0; at += 2 {
			lead := bits.LeadingZeros64(w)
			binary.LittleEndian.PutUint16(dst[at:], uint16(i*64+lead))
			w &^= 1 << (63 - lead)
		}
	}
	return dst
}

// appendRanges appends the number of ranges, and the ranges.
func appendRanges(dst []byte, ranges []sharding.Range) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(len(ranges)))
	for _, r := range ranges {
		if r.Partition < 0 || r.First < 0 || r.Last < r.First {
			return dst, fmt.Errorf("range %d to %d of partition %d is none", r.First, r.Last, r.Partition)
		}
		dst = binary.AppendUvarint(dst, uint64(r.Partition))
		dst = binary.AppendUvarint(dst, uint64(r.First))
		dst = binary.AppendUvarint(dst, uint64(r.Last-r.First))
	}
	return dst, nil
}

// UnmarshalBinary reads what the ledger wrote, and nothing else: it refuses other versions, anything left over, and
// contradictions. The memory of Ranges is used again.
func (e *Entry) UnmarshalBinary(b []byte) error {
	members, err := e.unmarshalHead(b)
	if err != nil {
		return err
	}
	if err := members.decode(&e.Members); err != nil {
		return fmt.Errorf("journal entry: members: %w", err)
	}
	return e.readAct()
}

// unmarshalHead reads everything but Act and Members, which it returns as they are stored: to ask for one of them, 8 KiB need
// not be decoded.
func (e *Entry) unmarshalHead(b []byte) (memberSet, error) {
	if len(b) < stampBytes+kindBytes+runLength {
		return memberSet{}, fmt.Errorf("journal entry of %d bytes: too short", len(b))
	}
	rest := b[stampBytes:]
	switch e.Kind = EntryGrant; b[0] {
	case 1:
	case entryVersion:
		e.Kind, rest = EntryKind(rest[0]), rest[kindBytes:]
	default:
		return memberSet{}, fmt.Errorf("journal entry of version %d: this granter knows up to %d", b[0], entryVersion)
	}
	if !e.Kind.known() {
		return memberSet{}, fmt.Errorf("journal entry of kind %d, which this granter does not know: use a newer one", e.Kind)
	}
	e.At, e.Run = entryTime(b), grant.RunID(binary.BigEndian.Uint64(rest))
	r := fields{rest: rest[runLength:]}
	e.origin(&r, dense.ChunkSize)
	e.Act, e.act = nil, nil
	if e.Kind != EntryGrant {
		e.act = r.bytes("act", maxActBytes)
	}
	if r.err != nil {
		return memberSet{}, fmt.Errorf("journal entry: %w", r.err)
	}
	members, err := openMembers(r.rest, e.Count)
	if err != nil {
		return memberSet{}, fmt.Errorf("journal entry: members: %w", err)
	}
	return members, nil
}

// fields reads uvarints until one is bad.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) uvarint(name string, limit uint64) uint64 {
	if f.err != nil {
		return 0
	}
	v, n := binary.Uvarint(f.rest)
	switch {
	case n <= 0:
		f.err = fmt.Errorf("%s: not a number", name)
		return 0
	case v > limit:
		f.err = fmt.Errorf("%s: %d is over %d", name, v, limit)
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// bytes reads a uvarint, and as many bytes.
func (f *fields) bytes(name string, limit uint64) []byte {
	n := f.uvarint(name, limit)
	switch {
	case f.err != nil:
		return nil
	case n > uint64(len(f.rest)):
		f.err = fmt.Errorf("%s: %w", name, errShort)
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}
