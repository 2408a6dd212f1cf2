package source

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/segmentio/kafka-go/compress"
)

// A record batch, as Kafka stores and sends it since 0.11 (magic 2), all integers big-endian:
//
//	0 base offset int64 | 8 length int32 (of what follows) | 12 leader epoch int32 | 16 magic int8 | 17 CRC-32C uint32
//	21 attributes int16 | 23 last offset delta int32 | 27 base timestamp int64 | 35 max timestamp int64
//	43 producer ID int64 | 51 producer epoch int16 | 53 base sequence int32 | 57 record count int32 | 61 records
//
// The CRC covers everything from the attributes on. Attributes: bits 0–2 compression, bit 4 transactional, bit 5
// control. A record, with zigzag varints:
//
//	length | attributes int8 | timestamp delta | offset delta | key length (−1: null) | key | value length | value | headers
const (
	batchPrefix     = 12 // base offset and length
	batchHeader     = 61
	attrCompression = 0x07
	attrTransaction = 0x10
	attrControl     = 0x20
	maxInflated     = 256 << 20 // a batch that inflates beyond this is taken for corrupt or hostile
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTruncated means that the data end inside a batch: ask for it again, with more room.
var errTruncated = errors.New("record batch is cut off")

// errCorrupt means that a record batch contradicts itself. It is never skipped.
var errCorrupt = errors.New("corrupt record batch")

// batch is one record batch. It points into the memory it was read from.
type batch struct {
	base, last int64 // offsets of the first and last record; compaction may have removed either
	attributes int16
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
	length := int64(int32(binary.BigEndian.Uint32(data[8:])))
	if length < batchHeader-batchPrefix {
		if len(data) > 16 && data[16] < 2 && length > 0 {
			return b, nil, fmt.Errorf("%w: offset %d uses message format %d, which Kafka replaced in 0.11: rewrite the topic with a current producer",
				errCorrupt, b.base, data[16])
		}
		return b, nil, fmt.Errorf("%w at offset %d: length %d", errCorrupt, b.base, length)
	}
	end := batchPrefix + length
	if int64(len(data)) < end {
		return b, nil, errTruncated
	}
	data, rest = data[:end], data[end:]
	if magic := data[16]; magic != 2 {
		return b, nil, fmt.Errorf("%w at offset %d: message format %d; only format 2 (Kafka 0.11 and later) is read: rewrite the topic with a current producer",
			errCorrupt, b.base, magic)
	}
	if want, got := binary.BigEndian.Uint32(data[17:]), crc32.Checksum(data[21:], castagnoli); want != got {
		return b, nil, fmt.Errorf("%w at offset %d: CRC-32C is %08x, should be %08x", errCorrupt, b.base, got, want)
	}
	b.attributes = int16(binary.BigEndian.Uint16(data[21:]))
	delta := int32(binary.BigEndian.Uint32(data[23:]))
	b.last = b.base + int64(delta)
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

// hidden tells which batches a read-committed reader must not see: control batches, and those of aborted transactions.
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

// inflate returns the records of a batch, decompressed into buf if need be.
func (b *batch) inflate(buf *bytes.Buffer) ([]byte, error) {
	code := b.attributes & attrCompression
	if code == 0 {
		return b.payload, nil
	}
	codec := compress.Compression(code).Codec()
	if codec == nil {
		return nil, fmt.Errorf("%w at offset %d: unknown compression %d", errCorrupt, b.base, code)
	}
	r := codec.NewReader(bytes.NewReader(b.payload))
	defer r.Close() //nolint:errcheck // gives the decoder back; the data is read
	buf.Reset()
	n, err := buf.ReadFrom(io.LimitReader(r, maxInflated+1))
	if err != nil {
		return nil, fmt.Errorf("%w at offset %d: %s: %w", errCorrupt, b.base, codec.Name(), err)
	}
	if n > maxInflated {
		return nil, fmt.Errorf("%w at offset %d: %s inflates beyond %d MiB", errCorrupt, b.base, codec.Name(), maxInflated>>20)
	}
	return buf.Bytes(), nil
}

// record is one record of a batch. It points into the batch's memory; nil and empty differ.
type record struct {
	delta      int64 // offset minus the batch's base offset
	key, value []byte
}

// readRecord reads the first record in data and returns what follows it. Headers are skipped.
func readRecord(data []byte, rec *record) (rest []byte, err error) {
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
	if rec.key, body, err = field(body[n:]); err != nil {
		return nil, err
	}
	rec.value, _, err = field(body)
	return rest, err
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
