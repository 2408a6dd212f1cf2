package source

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// A record batch, as Kafka stores and sends it since 0.11 (magic 2), all integers big-endian:
//
//	0 base offset int64 | 8 length int32 (of what follows) | 12 leader epoch int32 | 16 magic int8 | 17 CRC-32C uint32
//	21 attributes int16 | 23 last offset delta int32 | 27 base timestamp int64 | 35 max timestamp int64
//	43 producer ID int64 | 51 producer epoch int16 | 53 base sequence int32 | 57 record count int32 | 61 records
//
// The CRC covers everything from the attributes on. Attributes: bits 0–2 compression, bit 3 times by the broker, bit 4
// transactional, bit 5 control. A record, with zigzag varints:
//
//	length | attributes int8 | timestamp delta | offset delta | key length (−1: null) | key | value length | value | headers
const (
	batchPrefix     = 12 // base offset and length
	batchHeader     = 61
	attrCompression = 0x07
	attrLogAppend   = 0x08
	attrTransaction = 0x10
	attrControl     = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTruncated means that the data end inside a batch: ask for it again, with more room.
var errTruncated = errors.New("record batch is cut off")

// errCorrupt means that a record batch contradicts itself. It is never skipped.
var errCorrupt = errors.New("corrupt record batch")

// errFormat means that records are in a format that Kafka replaced in 0.11. No second look changes that.
var errFormat = errors.New("old message format: rewrite the topic with a current producer")

// batch is one record batch. It points into the memory it was read from.
type batch struct {
	base, last int64 // offsets of the first and last record; compaction may have removed either
	epoch      int32 // of the leader that took it; −1: not known
	attributes int16
	oldest     int64 // base timestamp in ms, from which records count theirs; 0 or less: not known
	newest     int64 // timestamp in ms; 0 or less: not known
	producer   int64
	count      int
	payload    []byte // the records, possibly compressed
}

// readBatch reads the first batch in data, checks its CRC, and returns what follows it.
func readBatch(data []byte) (b batch, rest []byte, err error) {
	if len(data) < batchPrefix {
		return b, nil, errTruncated
	}
	b.base = int64(binary.BigEndian.Uint64(data))
	if len(data) > 16 && data[16] != 2 { // before the length: an old batch may be shorter than a new one's header
		return b, nil, fmt.Errorf("offset %d has message format %d, and only format 2 is read: %w", b.base, data[16], errFormat)
	}
	length := int64(int32(binary.BigEndian.Uint32(data[8:])))
	if length < batchHeader-batchPrefix {
		return b, nil, fmt.Errorf("%w at offset %d: length %d", errCorrupt, b.base, length)
	}
	end := batchPrefix + length
	if int64(len(data)) < end {
		return b, nil, errTruncated
	}
	data, rest = data[:end], data[end:]
	if want, got := binary.BigEndian.Uint32(data[17:]), crc32.Checksum(data[21:], castagnoli); want != got {
		return b, nil, fmt.Errorf("%w at offset %d: CRC-32C is %08x, should be %08x", errCorrupt, b.base, got, want)
	}
	b.epoch = int32(binary.BigEndian.Uint32(data[12:]))
	b.attributes = int16(binary.BigEndian.Uint16(data[21:]))
	delta := int32(binary.BigEndian.Uint32(data[23:]))
	b.last = b.base + int64(delta)
	b.oldest = int64(binary.BigEndian.Uint64(data[27:]))
	b.newest = int64(binary.BigEndian.Uint64(data[35:]))
	b.producer = int64(binary.BigEndian.Uint64(data[43:]))
	b.count = int(int32(binary.BigEndian.Uint32(data[57:])))
	if b.base < 0 || delta < 0 || b.last < b.base || b.count < 0 || b.count > int(delta)+1 {
		return b, nil, fmt.Errorf("%w at offset %d: %d records up to offset delta %d", errCorrupt, b.base, b.count, delta)
	}
	b.payload = data[batchHeader:]
	return b, rest, nil
}

func (b *batch) control() bool       { return b.attributes&attrControl != 0 }
func (b *batch) transactional() bool { return b.attributes&attrTransaction != 0 }

// hidden knows which batches a read-committed reader must not see: control batches, and those of aborted transactions.
type hidden struct {
	coming   []aborted // ascending by first offset
	aborting map[int64]bool
}

func newHidden(transactions []aborted) *hidden {
	slices.SortFunc(transactions, func(a, b aborted) int { return cmp.Compare(a.first, b.first) })
	return &hidden{coming: transactions, aborting: map[int64]bool{}}
}

// hides must be asked once for every batch of a fetch, in order.
func (h *hidden) hides(b *batch) bool {
	for len(h.coming) > 0 && h.coming[0].first <= b.last {
		h.aborting[h.coming[0].producer] = true
		h.coming = h.coming[1:]
	}
	if b.control() {
		delete(h.aborting, b.producer) // the marker ends the transaction
		return true
	}
	return b.transactional() && h.aborting[b.producer]
}

// records hands out the records of a batch one after the other.
type records struct {
	batch *batch
	data  []byte // what is left of them
	left  int
	delta int64 // offset delta of the last one; −1: none yet
	err   error

	header string // which to look for; empty: none

	stream *stream // where more data come from; nil: they are all in data
	window []byte  // data as it was when more came last
}

// open inflates a batch, into buf if need be, and returns its records, which are valid until buf changes.
// In each record it looks for a header; empty: for none.
func (b *batch) open(buf *bytes.Buffer, header string) (r records, err error) {
	r = records{batch: b, left: b.count, delta: -1, header: header}
	if r.data, err = b.inflate(buf); errors.Is(err, errInflated) {
		*buf = bytes.Buffer{} // what has come of it is of no use
		if s, failed := b.stream(); s != nil && failed == nil {
			r.data, r.stream, err = nil, s, nil
		}
	}
	return r, err
}

// next reads a record and reports whether there was one. After the last one err says why there are no more.
func (r *records) next(rec *record) bool {
	if r.left == 0 {
		if r.stream != nil && len(r.data) == 0 {
			r.data, _ = r.stream.more(nil)
		}
		if len(r.data) != 0 && r.err == nil {
			r.err = fmt.Errorf("%w at offset %d: %d bytes behind the last record", errCorrupt, r.batch.base, len(r.data))
		}
		return false
	}
	r.left--
	rest, err := r.read(rec)
	for more := r.stream != nil; err != nil && more; { // a record may end in the next window
		if r.data, more = r.stream.more(r.data); more {
			r.window = r.data
			rest, err = r.read(rec)
		}
	}
	if r.data = rest; err != nil {
		r.left, r.data, r.err = 0, nil, fmt.Errorf("batch at offset %d: %w", r.batch.base, r.stream.because(err))
		return false
	}
	// A record out of order would be taken for one that was handed over already.
	if rec.delta <= r.delta || rec.delta > r.batch.last-r.batch.base {
		r.left, r.data = 0, nil
		r.err = fmt.Errorf("%w at offset %d: offset delta %d after %d, of at most %d",
			errCorrupt, r.batch.base, rec.delta, r.delta, r.batch.last-r.batch.base)
		return false
	}
	r.delta = rec.delta
	if r.header != "" {
		if err := rec.findHeader(r.header); err != nil {
			r.left, r.data, r.err = 0, nil, fmt.Errorf("batch at offset %d: %w", r.batch.base, err)
			return false
		}
	}
	return true
}

// read reads a record, and where its headers are only if one is looked for.
func (r *records) read(rec *record) (rest []byte, err error) {
	if r.header != "" {
		return readAny(r.data, rec)
	}
	return readRecord(r.data, rec)
}

// Parts are what a record has that may hold the ID, in memory of whoever hands it out; nil and empty differ.
type Parts struct {
	Key, Value []byte
	Header     []byte // the last value of the header that the input names, empty if that is null; nil: it has none
}

// record is one record of a batch. It points into the batch's memory.
type record struct {
	Parts

	delta   int64  // offset minus the batch's base offset
	headers []byte // all of them, not looked at yet
}

// readRecord reads the first record in data and returns what follows it. Headers are passed over.
func readRecord(data []byte, rec *record) (rest []byte, err error) {
	if rest, ok := readShort(data, rec); ok {
		return rest, nil
	}
	return readAny(data, rec)
}

// readShort reads a record of less than 64 bytes whose key is null, as nearly all are that hold a user ID alone. What is
// anything else readAny reads, and judges.
func readShort(data []byte, rec *record) (rest []byte, ok bool) {
	if len(data) < 8 || data[0] > 0x7e {
		return nil, false
	}
	end := 1 + int(data[0]>>1)
	if data[0]&1 != 0 || end < 8 || end > len(data) {
		return nil, false
	}
	body := data[2:end] // behind length and attributes
	i := 1              // behind the times
	for ; body[i-1] > 0x7f; i++ {
		if i == 4 {
			return nil, false
		}
	}
	body = body[i:]
	if len(body) < 5 {
		return nil, false
	}
	delta := uint32(body[0])
	i = 1
	if delta > 0x7f {
		delta = delta&0x7f | uint32(body[1])<<7
		i = 2
		if delta > 0x3fff {
			delta = delta&0x3fff | uint32(body[2])<<14
			i = 3
			if delta > 0x1fffff {
				return nil, false
			}
		}
	}
	size := int(body[i+1])
	body, at := body[i+2:], size>>1
	if delta&1 != 0 || data[end-len(body)-2] != 1 || size > 0x7f || size&1 != 0 || at > len(body) {
		return nil, false
	}
	rec.delta, rec.Key, rec.Value = int64(delta>>1), nil, body[:at:at]
	return data[end:], true
}

// readAny reads a record of any shape. Its headers are left as they are.
func readAny(data []byte, rec *record) (rest []byte, err error) {
	length, n := varint(data)
	if n <= 0 || length < 0 || length > int64(len(data)-n) {
		return nil, errRecord
	}
	body, rest := data[n:n+int(length)], data[n+int(length):]
	if len(body) == 0 {
		return nil, errRecord
	}
	body = body[1:] // attributes: unused
	if _, n = varint(body); n <= 0 {
		return nil, errRecord
	}
	body = body[n:]
	if rec.delta, n = varint(body); n <= 0 {
		return nil, errRecord
	}
	if rec.Key, body, err = field(body[n:]); err != nil {
		return nil, err
	}
	rec.Value, rec.headers, err = field(body)
	return rest, err
}

// findHeader looks for the last header of a name.
func (rec *record) findHeader(name string) error {
	rec.Header = nil
	count, n := varint(rec.headers)
	if n <= 0 || count < 0 || count > int64(len(rec.headers)) {
		return errRecord
	}
	rest := rec.headers[n:]
	for range count {
		var key, value []byte
		var err error
		if key, rest, err = field(rest); err == nil {
			value, rest, err = field(rest)
		}
		if err != nil {
			return err
		}
		if string(key) != name {
			continue
		}
		if rec.Header = value; value == nil {
			rec.Header = []byte{}
		}
	}
	return nil
}

var errRecord = fmt.Errorf("%w: a record's lengths do not fit", errCorrupt)

// field reads a length and as many bytes; length −1 is nil.
func field(data []byte) (value, rest []byte, err error) {
	length, n := varint(data)
	if n <= 0 || length < -1 || length > int64(len(data)-n) {
		return nil, nil, errRecord
	}
	if length < 0 {
		return nil, data[n:], nil
	}
	end := n + int(length)
	return data[n:end:end], data[end:], nil
}

// varint reads a zigzag varint; n ≤ 0 means that there is none.
func varint(data []byte) (v int64, n int) {
	if len(data) > 0 && data[0] < 0x80 {
		u := int64(data[0])
		return u>>1 ^ -(u & 1), 1
	}
	return binary.Varint(data)
}
