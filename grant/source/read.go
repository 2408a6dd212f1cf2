package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/registry"
)

// Decoder returns what takes a user ID from a record of a topic, as a run would read it; with a reason, a record holds none.
func Decoder(topic grant.Input) (func(*Parts) (id uint64, reason Reason), error) {
	if !topic.Format.Schemas() {
		return newDecoder(topic, nil)
	}
	if registry.Reads(&topic) {
		return nil, errOfRegistry(&topic)
	}
	by, err := newSchemas(&topic, registry.Access{})
	if err != nil {
		return nil, err
	}
	return newDecoder(topic, by)
}

// MemberDecoder returns what makes decoders of a topic whose IDs are not dense, each for one goroutine: they take the bytes by
// which the ledger knows a user from a record, as a run would read it, valid until the next call; with a reason, a record holds
// none.
func MemberDecoder(topic *grant.Input) (func() func(*Parts) (member []byte, reason Reason), error) {
	var by *schemas
	if topic.Format.Schemas() {
		if registry.Reads(topic) {
			return nil, errOfRegistry(topic)
		}
		var err error
		if by, err = newSchemas(topic, registry.Access{}); err != nil {
			return nil, err
		}
	}
	return func() func(*Parts) ([]byte, Reason) { return newMemberDecoder(topic, by).members() }, nil
}

func errOfRegistry(topic *grant.Input) error {
	return fmt.Errorf("the schemas of %s are in a registry: they are asked for by whoever reads the topic", topic.Topic)
}

// Members makes a decoder of the topic as MemberDecoder does, by what Learn has learned.
func (s *Source) Members() func(*Parts) (member []byte, reason Reason) {
	return newMemberDecoder(&s.cfg.Topic, s.schemas).members()
}

func (d *memberDecoder) members() func(*Parts) ([]byte, Reason) {
	return func(p *Parts) ([]byte, Reason) {
		_, reason := d.decode(p)
		return d.member, reason.answered()
	}
}

// Read hands the records of a partition from one offset up to, not including, another to visit: those that a committed
// transaction, or none, wrote. The parts are valid during the call only. It reads in the same way as Consume but belongs to
// no group, and grants nothing. What may pass is tried again from where it was, until Config.RetryFor has gone by without a
// record. It returns the offset that it came to, which is before until when an open transaction holds the
// records from there on back. A *grant.GapError says that retention removed records before they were read.
func (s *Source) Read(ctx context.Context, number int, from, until int64,
	visit func(offset int64, parts *Parts) error,
) (next int64, err error) {
	if s.schemas != nil {
		known := visit
		visit = func(offset int64, parts *Parts) error {
			if err := s.Learn(ctx, parts); err != nil {
				return err
			}
			return known(offset, parts)
		}
	}
	return s.read(ctx, number, from, until, func(p *partition, b *batch, next int64) error {
		return b.visit(&p.inflated, p.header, next, p.until, visit)
	})
}

// read hands the batches of a partition that have records from one offset up to another to each, as Read does.
func (s *Source) read(ctx context.Context, number int, from, until int64,
	each func(p *partition, b *batch, next int64) error,
) (next int64, err error) {
	p := &partition{Source: s, number: number, next: from, until: until, epoch: -1}
	defer p.disconnect()
	pause, failing := pauses(), time.Time{}
	for p.next < until {
		before := p.next
		held, err := p.read(ctx, each)
		switch {
		case held:
			return p.next, nil
		case err == nil && p.next > before:
			failing = time.Time{}
			pause.Reset()
			continue
		case ctx.Err() != nil:
			return p.next, context.Cause(ctx)
		case failing.IsZero():
			failing = time.Now()
		}
		if err == nil { // a leader that does not know yet how far its partition is committed
			err = kafka.OffsetNotAvailable
		}
		if _, retry := Classify(err); !retry || errors.As(err, new(visitError)) || time.Since(failing) > s.cfg.RetryFor {
			return p.next, fmt.Errorf("partition %d at offset %d: %w", number, p.next, err)
		}
		p.disconnect()
		wait(ctx, pause.NextBackOff())
	}
	return p.next, nil
}

// visitError is an error of whoever reads: fetching again does not help.
type visitError struct{ error }

func (e visitError) Unwrap() error { return e.error }

// read fetches once and hands over what came. held says that an open transaction holds the next record back.
func (p *partition) read(ctx context.Context, each func(p *partition, b *batch, next int64) error) (held bool, err error) {
	before := p.next
	f, err := p.once(ctx, func(b *batch, next int64) error { return each(p, b, next) })
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return false, p.gone(ctx, err)
	}
	return err == nil && p.next == before && f.end() <= p.next && f.highest > p.next, err
}

// once fetches once, and hands each batch that is visible to each.
func (p *partition) once(ctx context.Context, each func(b *batch, next int64) error) (f fetched, err error) {
	f, err = p.fetch(ctx)
	if err == nil && f.code != 0 {
		err = f.code
	}
	if err != nil {
		return f, err
	}
	before := p.next
	p.next, err = f.visible(p.next, p.until, func(b *batch, next int64, hidden bool) (int64, error) {
		if hidden {
			return next, nil
		}
		return next, each(b, next)
	})
	if err == nil {
		err = p.makeRoom(before, f)
	}
	return f, err
}

// visit hands the records of a batch from one offset up to another to fn.
func (b *batch) visit(inflated *bytes.Buffer, header string, from, until int64,
	fn func(offset int64, parts *Parts) error,
) error {
	list, err := b.open(inflated, header)
	if err != nil {
		return err
	}
	var rec record
	for list.next(&rec) {
		if offset := b.base + rec.delta; offset >= from && offset < until {
			if err := fn(offset, &rec.Parts); err != nil {
				return visitError{err}
			}
		}
	}
	return list.err
}

// gone says whether the partition begins behind the position by now.
func (p *partition) gone(ctx context.Context, outOfRange error) error {
	bounds, err := p.listBounds(ctx, p.number)
	if err != nil {
		return err
	}
	if first := bounds.Firsts[p.number]; first > p.next {
		return &grant.GapError{Gaps: []grant.Gap{{Partition: p.number, From: p.next, To: first}}}
	}
	return outOfRange
}

// Committed returns what Kafka has for a consumer group, by partition, of the topic that it has now; nothing, if the group has
// committed nothing.
func (s *Source) Committed(ctx context.Context, group string, id grant.TopicID) (grant.Offsets, error) {
	committed := grant.Offsets{}
	name := s.cfg.Topic.Topic
	err := s.retry(ctx, "reading what the group committed", func() error {
		t, err := s.topic(ctx)
		if err != nil {
			return err
		}
		req := &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{}}
		for _, p := range t.Partitions {
			req.Topics[name] = append(req.Topics[name], p.ID)
		}
		resp, err := s.client.OffsetFetch(ctx, req)
		if err == nil {
			err = resp.Error
		}
		if errors.Is(err, kafka.GroupIdNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range resp.Topics[name] {
			if p.Error != nil {
				return p.Error
			}
			of, known := CommittedFor(p.Metadata)
			if p.CommittedOffset >= 0 && (!known || id.Continues(of)) {
				committed[p.Partition] = p.CommittedOffset
			}
		}
		return nil
	})
	return committed, err
}
