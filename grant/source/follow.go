package source

import (
	"context"
	"errors"
	"slices"
)

// Sink takes in the records of a partition.
type Sink interface {
	// Add is given one record; its parts are valid during the call only. An error ends the reading.
	Add(offset int64, parts *Parts) error
	// Mark says that everything below an offset was added, and whether there is nothing more at the moment. It may wait, which
	// stops the reading meanwhile. An error ends it.
	Mark(ctx context.Context, next int64, idle bool) error
}

// Follow hands the records of a partition from an offset on to a sink, until it reaches the offset until (never, if that is
// negative) or the context is cancelled, which is no error. It reads as Consume does, but decodes nothing and rejects nothing:
// the sink says by Reject what it cannot use, before it lets anybody believe that it is settled.
func (s *Source) Follow(ctx context.Context, number int, from, until int64, to Sink) error {
	p := &partition{Source: s, number: number, next: from, until: until, sink: to, epoch: s.epochs.begin(number, from)}
	return p.consume(ctx, p.pour)
}

// mark says to the lane, or to the sink, how far the partition is read.
func (p *partition) mark(ctx context.Context, next int64, idle bool) error {
	if p.sink != nil {
		return p.sink.Mark(ctx, next, idle)
	}
	return p.lane.Mark(ctx, next, idle)
}

// enter notes the leader epoch of a batch that is read from an offset on.
func (p *partition) enter(b *batch, next int64) {
	if b.epoch != p.epoch {
		p.epoch = b.epoch
		p.epochs.set(p.number, max(b.base, next), b.epoch)
	}
}

// pour hands what came to the sink.
func (p *partition) pour(ctx context.Context, f fetched) error {
	next, failed := f.visible(p.next, p.until, func(b *batch, next int64, hidden bool) (int64, error) {
		p.enter(b, next)
		if hidden {
			return next, nil
		}
		end := b.last + 1
		if p.until >= 0 {
			end = min(end, p.until)
		}
		return next, b.visit(&p.inflated, p.header, next, end, func(offset int64, parts *Parts) error {
			if err := p.sink.Add(offset, parts); err != nil {
				return err
			}
			next = offset + 1
			return nil
		})
	})
	if broken, ok := errors.AsType[visitError](failed); ok {
		return &permanent{broken.error}
	}
	if err := p.sink.Mark(ctx, next, next >= f.end() || next == p.until); err != nil {
		return &permanent{err}
	}
	p.next = next
	return failed
}

// Reject is a record that its reader could not use.
type Reject struct {
	Offset     int64
	Reason     Reason
	Detail     string // what is wrong, in words; may be empty
	Key, Value []byte // nil and empty differ
}

// Reject returns when records of a partition are in the dead-letter topic, on all in-sync replicas, in order. What may pass is
// tried again until Config.RetryFor is up; a record may then be there twice: topic, partition and offset in its headers name
// it.
func (s *Source) Reject(ctx context.Context, partition int, rejects []Reject) error {
	letters := make([]deadLetter, 0, len(rejects))
	for i := range rejects {
		r := &rejects[i]
		l := newDeadLetter(r.Offset, &Parts{Key: r.Key, Value: r.Value}, r.Reason)
		l.detail = r.Detail
		letters = append(letters, l)
	}
	left := slices.Clone(letters)
	return s.retry(ctx, "storing rejected records", func() error { return s.dead.write(ctx, partition, &left) })
}
