package source

import (
	"bytes"
	"context"
	"fmt"
)

// Scan hands the records of a partition from one offset up to, not including, another to visit: those that a committed
// transaction, or none, wrote. Key and value are valid during the call only. It reads in the same way as Consume but
// belongs to no group, tries nothing again, and grants nothing.
func (s *Source) Scan(ctx context.Context, number int, from, until int64,
	visit func(offset int64, key, value []byte) error) error {
	p := &partition{Source: s, number: number, next: from, until: until}
	defer p.disconnect()
	for p.next < until {
		f, err := p.fetch(ctx)
		if err == nil && f.code != 0 {
			err = f.code
		}
		before := p.next
		if err == nil {
			p.next, err = f.visible(p.next, until, func(b *batch, next int64, hidden bool) (int64, error) {
				if hidden {
					return next, nil
				}
				return next, b.visit(&p.inflated, next, until, visit)
			})
		}
		if err == nil {
			err = p.makeRoom(before, f)
		}
		if err != nil {
			return fmt.Errorf("partition %d at offset %d: %w", number, p.next, err)
		}
	}
	return nil
}

// visit hands the records of a batch from one offset up to another to fn.
func (b *batch) visit(inflated *bytes.Buffer, from, until int64, fn func(offset int64, key, value []byte) error) error {
	list, err := b.open(inflated)
	if err != nil {
		return err
	}
	var rec record
	for list.next(&rec) {
		if offset := b.base + rec.delta; offset >= from && offset < until {
			if err := fn(offset, rec.key, rec.value); err != nil {
				return err
			}
		}
	}
	return list.err
}
