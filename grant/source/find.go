package source

import (
	"bytes"
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

// Decode returns the user ID that a record of this topic holds, as a run would read it; with a reason, it holds none.
func (s *Source) Decode(key, value []byte) (grant.UserID, Reason) {
	id, reason := s.decode(key, value)
	return grant.NumberID(id), reason
}

// Find hands those records of a partition from one offset up to, not including, another to found that match says yes to. It
// reads as Read does, what a committed transaction or none wrote, tries nothing again, and grants nothing. Key and value
// that match sees are valid during the call only. read is told how many records were looked at, now and then.
func (s *Source) Find(ctx context.Context, number int, from, until int64, match func(key, value []byte) bool,
	found func(Record) error, read func(records int64),
) error {
	p := &partition{Source: s, number: number, next: from, until: until, epoch: -1}
	defer p.disconnect()
	for p.next < until {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		_, err := p.once(ctx, func(b *batch, next int64) error {
			looked, err := b.find(&p.inflated, number, next, until, match, found)
			read(looked)
			return err
		})
		if err != nil {
			return fmt.Errorf("partition %d at offset %d: %w", number, p.next, err)
		}
	}
	return nil
}

// find hands the records of a batch from one offset up to another that match to found, and returns how many it looked at.
func (b *batch) find(inflated *bytes.Buffer, number int, from, until int64, match func(key, value []byte) bool,
	found func(Record) error,
) (looked int64, err error) {
	list, err := b.open(inflated)
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
		if !match(rec.key, rec.value) {
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
	cfg.Topic = grant.Input{Topic: s.cfg.Topic.DeadLetterTopic(), Format: grant.FormatDecimal}
	cfg.Pass = grant.Pass{Private: true}
	return New(cfg)
}

// NoTopic reports whether an error says that there is no such topic.
func NoTopic(err error) bool { return errors.Is(err, kafka.UnknownTopicOrPartition) }
