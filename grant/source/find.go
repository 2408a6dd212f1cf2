package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
)

// Record is one record of a topic as Kafka has it. Its memory is its own; nil and empty keys and values differ.
type Record struct {
	Partition int
	Offset    int64
	Time      time.Time // zero: it has none
	ByBroker  bool      // Time is when the broker took it (LogAppendTime), not what its producer said
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header is one header of a record. A value may be nil.
type Header struct {
	Key   string
	Value []byte
}

// Parts are what a record has that may hold the ID.
func (r *Record) Parts(in *grant.Input) *Parts {
	p := &Parts{Key: r.Key, Value: r.Value}
	name := in.From.Header()
	for i := range r.Headers {
		if h := &r.Headers[i]; name != "" && h.Key == name {
			if p.Header = h.Value; p.Header == nil {
				p.Header = []byte{}
			}
		}
	}
	return p
}

// fits returns a kind of which a record without a valid ID would hold one, the narrowest, and that ID.
func (s *Source) fits(p *Parts) (grant.IDs, grant.UserID) {
	if s.schemas != nil {
		return "", grant.UserID{} // a schema says what its field is, and the spec was read by it
	}
	for _, kind := range []grant.IDs{grant.IDsUUID, grant.IDsInt64, grant.IDsString} {
		in := s.cfg.Topic
		if in.IDs == kind {
			continue
		}
		if in.IDs, in.Normalise = kind, ""; in.Format != grant.FormatJSON {
			in.Format = grant.FormatText
		}
		d := newMemberDecoder(&in, nil)
		if _, reason := d.decode(p); reason == "" {
			return kind, d.form.ID(d.member)
		}
	}
	return "", grant.UserID{}
}

// Decode returns the user ID that a record of this topic holds, as a run would read it; with a reason, it holds none.
func (s *Source) Decode(p *Parts) (grant.UserID, Reason) {
	if s.cfg.Topic.Opaque() {
		d := newMemberDecoder(&s.cfg.Topic, s.schemas)
		_, reason := d.decode(p)
		if reason != "" {
			return grant.UserID{}, reason.answered()
		}
		return d.form.ID(d.member), ""
	}
	id, reason := s.Number(p)
	return grant.NumberID(id), reason
}

// Number is Decode of a topic whose IDs are dense.
func (s *Source) Number(p *Parts) (uint64, Reason) {
	id, reason := s.decode(p)
	return id, reason.answered()
}

// decoder returns one for a goroutine that needs no IDs: of those that are not dense it returns hashes.
func (s *Source) decoder() decoder {
	if s.cfg.Topic.Opaque() {
		return newMemberDecoder(&s.cfg.Topic, s.schemas).decode
	}
	return s.decode
}

// Find hands those records of a partition from one offset up to, not including, another to found that match says yes to. It
// reads as Read does, what a committed transaction or none wrote, tries nothing again, and grants nothing. The parts that
// match sees are valid during the call only. read is told how many records were looked at, now and then.
func (s *Source) Find(ctx context.Context, number int, from, until int64, match func(*Parts) bool,
	found func(Record) error, read func(records int64),
) error {
	p := &partition{Source: s, number: number, next: from, until: until, epoch: -1}
	defer p.disconnect()
	var unlearned error // why a schema is not known
	known := match
	if s.schemas != nil {
		known = func(p *Parts) bool {
			if unlearned == nil {
				unlearned = s.Learn(ctx, p)
			}
			return unlearned == nil && match(p)
		}
	}
	for p.next < until {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		_, err := p.once(ctx, func(b *batch, next int64) error {
			looked, err := b.find(&p.inflated, s.header, number, next, until, known, found)
			read(looked)
			return cmp.Or(err, unlearned)
		})
		if err != nil {
			return fmt.Errorf("partition %d at offset %d: %w", number, p.next, err)
		}
	}
	return nil
}

// find hands the records of a batch from one offset up to another that match to found, and returns how many it looked at.
func (b *batch) find(inflated *bytes.Buffer, header string, number int, from, until int64, match func(*Parts) bool,
	found func(Record) error,
) (looked int64, err error) {
	list, err := b.open(inflated, header)
	if err != nil {
		return 0, err
	}
	var rec record
	for {
		list.window = nil
		before := list.data
		if !list.next(&rec) {
			return looked, list.err
		}
		offset := b.base + rec.delta
		if offset < from || offset >= until {
			continue
		}
		looked++
		if !match(&rec.Parts) {
			continue
		}
		if list.window != nil { // the record ends in a window that was read for it
			before = list.window
		}
		whole, err := b.whole(before[:len(before)-len(list.data)])
		if err != nil {
			return looked, err
		}
		whole.Partition, whole.Offset = number, offset
		if err := found(whole); err != nil {
			return looked, err
		}
	}
}

// whole reads all of a record, which is in data from its length to its end: what readRecord passes over, too.
func (b *batch) whole(data []byte) (out Record, err error) {
	_, n := varint(data)
	body := data[n+1:] // behind length and attributes; readRecord has seen that both are there
	stamp, n := varint(body)
	body = body[n:]
	_, n = varint(body) // offset
	key, body, _ := field(body[n:])
	value, body, _ := field(body)
	out.Key, out.Value = bytes.Clone(key), bytes.Clone(value)
	switch {
	case b.attributes&attrLogAppend != 0 && b.newest > 0:
		out.Time, out.ByBroker = time.UnixMilli(b.newest).UTC(), true
	case b.oldest > 0:
		out.Time = time.UnixMilli(b.oldest + stamp).UTC()
	}
	count, n := varint(body)
	if n <= 0 || count < 0 || count > int64(len(body)) {
		return out, errRecord
	}
	body = body[n:]
	for range count {
		var name, value []byte
		if name, body, err = field(body); err == nil {
			value, body, err = field(body)
		}
		if err != nil {
			return out, err
		}
		out.Headers = append(out.Headers, Header{string(name), bytes.Clone(value)})
	}
	return out, nil
}

// Letters returns the source of this topic's dead letters, which holds what a run rejected, as it was, with the headers
// that say why. The caller closes it.
func (s *Source) Letters() (*Source, error) {
	cfg := s.cfg
	cfg.Topic = grant.Input{Topic: s.cfg.Topic.DeadLetterTopic(), Format: grant.FormatDecimal, From: s.cfg.Topic.From}
	cfg.Pass = grant.Pass{Private: true}
	return New(cfg)
}

// NoTopic reports whether an error says that there is no such topic.
func NoTopic(err error) bool { return errors.Is(err, kafka.UnknownTopicOrPartition) }
