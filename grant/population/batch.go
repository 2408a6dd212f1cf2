package population

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// A batch is one Kafka record batch, version 2, in the form that a produce request carries it:
//
//	 0  int32   size of the rest            31  int64  base timestamp
//	 4  int64   base offset, 0              39  int64  maximum timestamp
//	12  int32   size of the rest            47  int64  producer ID, −1: not idempotent
//	16  int32   leader epoch, −1            55  int16  producer epoch, −1
//	20  int8    magic, 2                    57  int32  base sequence, −1
//	21  uint32  CRC-32C of the rest         61  int32  number of records
//	25  int16   attributes: compression     65  the records, compressed as a whole or not
//	27  int32   last offset delta
//
// and each record, v marking a zigzag variable-length integer:
//
//	v size of the rest · int8 attributes · v timestamp delta · v offset delta ·
//	v key size, −1 for null · key · v value size, −1 for null · value · v number of headers, 0 or 1 ·
//	v name size · name · v value size, −1 for null · value
//
// All records have the batch's timestamp: a batch is open for milliseconds. The buffer is reused, and a record
// costs no allocation.
type batch struct {
	buf       []byte
	limit     int // of buf, before compression
	count     int
	malformed int
	opened    time.Time
	packed    bytes.Buffer // the compressed form of buf
}

const (
	batchSize      = 12 // offset of the field, in the produce request
	batchCRC       = 21
	batchAttrs     = 25
	batchRecords   = 65
	batchTimestamp = 31
)

// recordOverhead is an upper bound of what a record takes beside its key and value: four variable-length integers of up
// to five bytes, and three single bytes.
const recordOverhead = 4*5 + 3

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newBatch(limit int) *batch {
	b := &batch{buf: make([]byte, batchRecords, min(limit, 64<<10)), limit: limit + 4}
	h := b.buf
	binary.BigEndian.PutUint32(h[16:], ^uint32(0))
	h[20] = 2
	for i := 47; i < 61; i++ {
		h[i] = 0xff
	}
	return b
}

func (b *batch) reset() {
	b.buf = b.buf[:batchRecords]
	b.count, b.malformed = 0, 0
}

// add appends a record, or returns false because it does not fit any more.
func (b *batch) add(p *payload, r Record) bool {
	if !r.Kind.Valid() {
		return b.addMalformed(p, r)
	}
	size := p.size(r.ID)
	at, n, ok := b.grow(size, p.header)
	if !ok {
		return false
	}
	dst := b.buf[at:]
	if p.header != "" {
		n += putHeader(dst[n:], p.header)
		i := putVarint(dst[n:], size)
		p.put(dst[n+i:n+i+size], r.ID)
		b.end(at, n+i+size)
		return true
	}
	if p.key {
		i := putVarint(dst[n:], size)
		p.put(dst[n+i:n+i+size], r.ID)
		n += i + size
		dst[n] = 0 // an empty value
		n++
	} else {
		dst[n] = 1 // no key: −1
		n++
		i := putVarint(dst[n:], size)
		p.put(dst[n+i:n+i+size], r.ID)
		n += i + size
	}
	b.finish(at, n)
	return true
}

func (b *batch) addMalformed(p *payload, r Record) bool {
	part := p.malformed(r)
	at, n, ok := b.grow(len(part), p.header)
	if !ok {
		return false
	}
	dst := b.buf[at:]
	if p.header != "" {
		if n += putHeader(dst[n:], p.header); part == nil {
			dst[n] = 1
			n++
		} else {
			n += putVarint(dst[n:], len(part))
			n += copy(dst[n:], part)
		}
		b.malformed++
		b.end(at, n)
		return true
	}
	if !p.key {
		dst[n] = 1
		n++
	}
	if part == nil {
		dst[n] = 1
		n++
	} else {
		n += putVarint(dst[n:], len(part))
		n += copy(dst[n:], part)
	}
	if p.key {
		dst[n] = 0
		n++
	}
	b.malformed++
	b.finish(at, n)
	return true
}

// grow makes room for a record with one part of a size, writes what comes before the key, and returns where the record
// begins and how long it is so far. The record's own size, which comes first, is filled in by finish.
// A part that is in a header has its name in front.
func (b *batch) grow(part int, header string) (at, n int, ok bool) {
	at = len(b.buf)
	most := part + recordOverhead
	if header != "" {
		most += 5 + len(header)
	}
	if at+most > b.limit {
		return 0, 0, false
	}
	if cap(b.buf)-at < most {
		b.buf = slices.Grow(b.buf, min(b.limit, 2*cap(b.buf)+most)-at)
	}
	b.buf = b.buf[:at+most]

	// 1 attributes, 1 timestamp delta, the offset delta, 1 for the part that is null or empty, the other part, 1
	// headers.
	size := 4 + varintSize(b.count) + part
	if null := 1; part == 0 {
		size += null
	} else {
		size += varintSize(part)
	}
	if header != "" {
		size += 1 + varintSize(len(header)) + len(header) // an empty value, and the name
	}
	dst := b.buf[at:]
	n = putVarint(dst, size)
	dst[n], dst[n+1] = 0, 0
	n += 2
	n += putVarint(dst[n:], b.count)
	return at, n, true
}

func (b *batch) finish(at, n int) {
	b.buf[at+n] = 0 // no headers
	b.end(at, n+1)
}

// end ends a record of a length.
func (b *batch) end(at, n int) {
	b.buf = b.buf[:at+n]
	b.count++
}

// putHeader writes what is before the value of a record's one header: no key, an empty value, and the name.
func putHeader(dst []byte, name string) int {
	dst[0], dst[1], dst[2] = 1, 0, 2 // −1, 0, and one header
	const before = 3
	n := before + putVarint(dst[before:], len(name))
	return n + copy(dst[n:], name)
}

// seal completes the batch and returns its bytes, valid until the next reset.
func (b *batch) seal(c compress.Compression) ([]byte, error) {
	out := b.buf
	if codec := c.Codec(); codec != nil {
		b.packed.Reset()
		b.packed.Write(b.buf[:batchRecords])
		w := codec.NewWriter(&b.packed)
		if _, err := w.Write(b.buf[batchRecords:]); err != nil {
			return nil, fmt.Errorf("compressing a batch with %s: %w", c, err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("compressing a batch with %s: %w", c, err)
		}
		out = b.packed.Bytes()
	}
	at := uint64(b.opened.UnixMilli())
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	binary.BigEndian.PutUint32(out[batchSize:], uint32(len(out)-batchSize-4))
	binary.BigEndian.PutUint16(out[batchAttrs:], uint16(c))
	binary.BigEndian.PutUint32(out[27:], uint32(b.count-1))
	binary.BigEndian.PutUint64(out[batchTimestamp:], at)
	binary.BigEndian.PutUint64(out[batchTimestamp+8:], at)
	binary.BigEndian.PutUint32(out[61:], uint32(b.count))
	binary.BigEndian.PutUint32(out[batchCRC:], crc32.Checksum(out[batchAttrs:], castagnoli))
	return out, nil
}

// reader hands the sealed bytes to one attempt at a request. Each attempt has its own, since an abandoned one may still
// be read.
func reader(sealed []byte) io.Reader { return bytes.NewReader(sealed) }

// varintSize is the size of a non-negative number as a zigzag variable-length integer.
func varintSize(v int) int { return (bits.Len64(uint64(v)<<1|1) + 6) / 7 }

func putVarint(dst []byte, v int) int {
	u := uint64(v) << 1
	n := 0
	for ; u >= 0x80; n++ {
		dst[n] = byte(u) | 0x80
		u >>= 7
	}
	dst[n] = byte(u)
	return n + 1
}
