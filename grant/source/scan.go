package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Scan hands the records of a partition from one offset up to, not including, another to visit: those that a committed
// transaction, or none, wrote. Key and value are valid during the call only. It reads in the same way as Consume but
// belongs to no group, tries nothing again, and grants nothing.
func (s *Source) Scan(ctx context.Context, number int, from, until int64, visit func(offset int64, key, value []byte) error) error {
	p := &partition{Source: s, number: number, next: from, until: until, maxBytes: s.fetchBytes()}
	defer p.disconnect()
	if err := p.connect(ctx); err != nil {
		return fmt.Errorf("partition %d: %w", number, err)
	}
	var inflated bytes.Buffer
	for p.next < until {
		f, err := p.conn.fetch(ctx, p.next, p.maxBytes, fetchWait)
		if err == nil && f.code != 0 {
			err = f.code
		}
		if err != nil {
			return fmt.Errorf("partition %d at offset %d: %w", number, p.next, err)
		}
		before := p.next
		hidden := newHidden(f.aborted)
		for records := f.records; len(records) > 0 && p.next < until; {
			var b batch
			if b, records, err = readBatch(records); errors.Is(err, errTruncated) {
				break
			} else if err != nil {
				return fmt.Errorf("partition %d: %w", number, err)
			}
			if b.last < p.next {
				continue
			}
			if !hidden.hides(&b) {
				if err := b.visit(&inflated, p.next, until, visit); err != nil {
					return fmt.Errorf("partition %d: %w", number, err)
				}
			}
			p.next = b.last + 1
		}
		if p.next == before && len(f.records) > 0 {
			p.maxBytes *= 4
		}
	}
	return nil
}

// visit hands the records of a batch from one offset up to another to fn.
func (b *batch) visit(inflated *bytes.Buffer, from, until int64, fn func(offset int64, key, value []byte) error) error {
	data, err := b.inflate(inflated)
	if err != nil {
		return err
	}
	var rec record
	for range b.count {
		if data, err = readRecord(data, &rec); err != nil {
			return fmt.Errorf("batch at offset %d: %w", b.base, err)
		}
		if offset := b.base + rec.delta; offset >= from && offset < until {
			if err := fn(offset, rec.key, rec.value); err != nil {
				return err
			}
		}
	}
	return nil
}
