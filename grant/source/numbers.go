package source

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// PlainNumbers reports whether the records of a topic are such as ReadNumbers reads faster than Read does: decimal numbers, and
// nothing else is looked at.
func PlainNumbers(in *grant.Input) bool {
	return !in.Opaque() && in.Format == grant.FormatDecimal && (in.From == grant.FromValue || in.From == "")
}

// blockNumbers are handed over at once: 8 KiB.
const blockNumbers = 1024

// ReadNumbers is Read for values that are user IDs in decimal digits, up to a limit. Those that are handed to numbers in
// blocks, in their order, valid during the call; every record that is anything else, or is not in the usual form, to other, at
// any time before ReadNumbers returns. So each record is handed over once, by the one or by the other; after an error that was
// tried again perhaps once more.
func (s *Source) ReadNumbers(ctx context.Context, number int, from, until int64, limit uint64,
	numbers func(ids []uint64), other func(offset int64, parts *Parts) error,
) (next int64, err error) {
	block := make([]uint64, 0, blockNumbers)
	defer func() { numbers(block) }()
	return s.read(ctx, number, from, until, func(p *partition, b *batch, next int64) (err error) {
		block, err = b.numbers(&p.inflated, next, until, limit, block, numbers, other)
		return err
	})
}

// numbers hands over the records of a batch from one offset up to another. It returns the numbers of the last block, which is
// not full.
func (b *batch) numbers(inflated *bytes.Buffer, from, until int64, limit uint64, block []uint64,
	numbers func(ids []uint64), other func(offset int64, parts *Parts) error,
) ([]uint64, error) {
	list, err := b.open(inflated, "")
	if err != nil {
		return block, err
	}
	var rec record
	for {
		if block = list.numbers(block, from-b.base, until-b.base, limit); len(block) == cap(block) {
			numbers(block)
			block = block[:0]
			continue
		}
		if !list.next(&rec) {
			return block, list.err
		}
		if offset := b.base + rec.delta; offset >= from && offset < until {
			if err := other(offset, &rec.Parts); err != nil {
				return block, visitError{err}
			}
		}
	}
}

// numbers appends the numbers of records from one offset delta up to another to a block, until it is full or a record comes
// that it leaves to next: one of 64 bytes or more, with a key, with a time or an offset of more than 21 bits, or whose value is
// no ID of up to 16 digits. What it takes, next would take, and readShort.
func (r *records) numbers(block []uint64, from, until int64, limit uint64) []uint64 {
	n, data, left, last := len(block), r.data, r.left, r.delta
	block = block[:cap(block)]
	until = min(until, r.batch.last-r.batch.base+1)
	begin := 0
	for ; n < len(block) && left > 0 && len(data)-begin >= 10; left-- {
		length := data[begin]
		end := begin + 1 + int(length>>1)
		head := binary.LittleEndian.Uint64(data[begin+2:]) // times, offset, key, length of the value
		at := begin + 6                                    // where the value begins, if each of those has one byte
		if head&0x80 != 0 {
			if head&0x8000 != 0 {
				if head&0x800000 != 0 {
					break
				}
				head >>= 8
				at++
			}
			head >>= 8
			at++
		}
		head >>= 8
		delta := head & 0x7f
		if head&0x80 != 0 {
			delta |= head >> 1 & (0x7f << 7)
			if head&0x8000 != 0 {
				if head&0x800000 != 0 {
					break
				}
				delta |= head >> 2 & (0x7f << 14)
				head >>= 8
				at++
			}
			head >>= 8
			at++
		}
		size, offset := head>>16&0xff, int64(delta>>1)
		digits := int(size >> 1)
		if length&1 != 0 || length > 0x7e || delta&1 != 0 || head>>8&0xff != 1 || size&1 != 0 || at+digits > end ||
			end > len(data) || offset <= last || offset < from || offset >= until {
			break
		}
		id, ok := userid.Plain(data, at+digits, digits, limit)
		if !ok {
			break
		}
		block[n] = id
		n++
		last, begin = offset, end
	}
	r.data, r.left, r.delta = data[begin:], left, last
	return block[:n]
}
