package audit

import (
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
)

// part is a part of the topic: before the checkpoint, or from there on.
type part bool

const (
	below  part = false
	beyond part = true
)

// markTopic marks the users of some offsets.
func (a *audit) markTopic(ctx context.Context, from, until grant.Offsets, c *cells, part part) error {
	records := int64(0)
	for partition, end := range until {
		records += max(end-from[partition], 0)
	}
	m := c.markers(part, records)
	err := a.readTopic(ctx, from, until, part, func() marking {
		ids := make([]uint64, 0, blockUsers)
		return marking{
			one: func(parts *source.Parts) bool {
				id, malformed := a.Decode(parts)
				if malformed != "" {
					return false
				}
				if ids = append(ids, id); len(ids) == cap(ids) {
					m.add(ids)
					ids = ids[:0]
				}
				return true
			},
			many: m.add, blocks: a.blocks(), done: func() { m.add(ids) },
		}
	})
	if err == nil {
		m.done()
	}
	return err
}

// Blocks is a Topic that reads numbers many at a time: see source.ReadNumbers.
type Blocks interface {
	ReadNumbers(ctx context.Context, partition int, from, until int64, limit uint64, numbers func(ids []uint64),
		other func(offset int64, parts *source.Parts) error) (int64, error)
}

// blocks is the topic, if it can be read so; nil: it cannot, or each offset matters.
func (a *audit) blocks() Blocks {
	topic, can := a.Topic.(Blocks)
	if !can || a.Compacted || a.Learn != nil || !source.PlainNumbers(&a.Campaign.Input) {
		return nil
	}
	return topic
}

// marking is what marks the users of one partition.
type marking struct {
	one    func(*source.Parts) bool // of a record; it reports whether there is one
	many   func(ids []uint64)
	blocks Blocks // that hands over many; nil: they come one by one
	done   func()
}

// readTopic reads some offsets. For each partition open returns what marks its users.
func (a *audit) readTopic(ctx context.Context, from, until grant.Offsets, part part, open func() marking) error {
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(maxPartitions)
	for _, partition := range slices.Sorted(maps.Keys(until)) {
		if from[partition] < until[partition] {
			g.Go(func() error {
				into := open()
				defer into.done()
				return a.readPartition(reading, partition, from[partition], until[partition], part, &into)
			})
		}
	}
	return g.Wait()
}

// maxPartitions bounds how many partitions are read at the same time: each has memory for a fetch.
const maxPartitions = 64

// blockUsers are handed to a marker at once.
const blockUsers = 1024

func (a *audit) readPartition(
	ctx context.Context, partition int, next, until int64, part part, into *marking,
) error {
	var seen Partition
	defer func() { a.count(partition, &seen, part == beyond && (seen.Records > 0 || next < until)) }()
	malformed, holes := a.malformed(partition, part), a.holesOf(partition, next)
	visit := func(offset int64, parts *source.Parts) error {
		seen.Records++
		if a.Learn != nil {
			if err := a.Learn(ctx, parts); err != nil {
				return err
			}
		}
		if holes != nil {
			holes.before(offset)
		}
		if !into.one(parts) {
			seen.Malformed++
			malformed(offset)
		}
		return nil
	}
	read := func() (int64, error) { return a.Topic.Read(ctx, partition, next, until, visit) }
	if into.blocks != nil {
		limit := userid.Limit(a.Campaign.Input.MaxID)
		many := func(ids []uint64) {
			seen.Records += int64(len(ids))
			into.many(ids)
		}
		read = func() (int64, error) {
			return into.blocks.ReadNumbers(ctx, partition, next, until, limit, many, visit)
		}
	}
	for next < until {
		var err error
		next, err = read()
		gap, gone := errors.AsType[*grant.GapError](err)
		switch {
		case gone:
			a.gone(partition, gap.Gaps[0].From, gap.Gaps[0].To)
			if next = gap.Gaps[0].To; holes != nil {
				holes.expected = next
			}
		case err != nil:
			return err
		case next < until:
			a.heldBack(partition, next, until)
			return nil
		}
	}
	if holes != nil {
		holes.before(until)
	}
	return nil
}
