package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/granter/granter/grant"
)

// Letter is a rejected record, as the dead-letter topic has it.
type Letter struct {
	Partition int   // of the topic that it was rejected from
	Offset    int64 // there
	Topic     string
	TopicID   grant.TopicID // what the offset counts in; zero: it does not say, as before 0.2
	Campaign  string
	Run       grant.RunID
	Reason    Reason
	Whole     int    // size of key and value before they were cut; 0: they are whole
	Key       []byte // nil and empty differ
	Value     []byte
	Header    []byte // as Parts has it
}

// EachLetter hands every record that the dead-letter topic has now to visit, partition by partition. A record that no granter
// wrote comes as nil. A letter may come more than once: its topic, partition and offset name it. The first error of visit
// ends it. NoTopic says of an error that there is no such topic.
func (s *Source) EachLetter(ctx context.Context, visit func(*Letter) error) error {
	dead, err := s.Letters()
	if err != nil {
		return err
	}
	defer dead.Close() //nolint:errcheck // only idle connections are closed
	bounds, err := dead.Peek(ctx)
	if err != nil && !NoTopic(err) { // which would be tried again for long
		bounds, err = dead.Bounds(ctx)
	}
	if err != nil {
		return err
	}
	for _, number := range bounds.Partitions() {
		next, end := bounds.Firsts[number], bounds.Ends[number]
		err := dead.retry(ctx, "reading rejected records", func() error {
			return dead.Find(ctx, number, next, end, func(*Parts) bool { return true }, func(rec Record) error {
				letter, err := readLetter(&rec, &s.cfg.Topic)
				if err == nil {
					err = visit(letter)
				}
				if err != nil {
					return &permanent{err}
				}
				next = rec.Offset + 1
				return nil
			}, func(int64) {})
		})
		if broken, ok := errors.AsType[*permanent](err); ok {
			return broken.error
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readLetter makes a letter of a record; nil: no granter wrote it.
func readLetter(rec *Record, in *grant.Input) (*Letter, error) {
	l := Letter{Key: rec.Key, Value: rec.Value, Header: rec.Parts(in).Header}
	named := 0 // of topic, partition and offset
	for _, h := range rec.Headers {
		var err error
		switch text := string(h.Value); h.Key {
		case HeaderReason:
			l.Reason = Reason(text)
		case HeaderTopic:
			l.Topic = text
			named++
		case HeaderPartition:
			l.Partition, err = strconv.Atoi(text)
			named++
		case HeaderOffset:
			l.Offset, err = strconv.ParseInt(text, 10, 64)
			named++
		case HeaderTopicID:
			l.TopicID, err = grant.ParseTopicID(text)
		case HeaderCampaign:
			l.Campaign = text
		case HeaderRun:
			l.Run, err = grant.ParseRunID(text)
		case HeaderTruncated:
			l.Whole, err = strconv.Atoi(text)
		}
		if err != nil {
			return nil, fmt.Errorf("letter at partition %d, offset %d: header %s: %w", rec.Partition, rec.Offset, h.Key, err)
		}
	}
	if named != 3 || l.Reason == "" {
		return nil, nil
	}
	return &l, nil
}

// Original returns the record that a letter was made of; nil: the topic does not have it any more, or is another one.
func (s *Source) Original(ctx context.Context, l *Letter) (rec *Record, err error) {
	now, err := s.Identify(ctx)
	if err != nil || !now.Continues(l.TopicID) {
		return nil, err
	}
	bounds, err := s.Bounds(ctx)
	first, ok := bounds.Firsts[l.Partition]
	if err != nil || !ok || l.Offset < first || l.Offset >= bounds.Ends[l.Partition] {
		return nil, err
	}
	err = s.retry(ctx, "reading a record", func() error {
		return s.Find(ctx, l.Partition, l.Offset, l.Offset+1, func(*Parts) bool { return true }, func(r Record) error {
			rec = &r
			return nil
		}, func(int64) {})
	})
	return rec, err
}

// Parts are what the record had that may hold the ID.
func (l *Letter) Parts() *Parts { return &Parts{l.Key, l.Value, l.Header} }

// RestoreLetters writes the letters of the rejected records of a partition, from one offset up to another, that are lost; dry
// writes none. Each is told when it is on all in-sync replicas, and one may be written twice after an error. Prepare and Bind
// must have been called, but for a dry one.
func (s *Source) RestoreLetters(
	ctx context.Context,
	number int,
	from, until int64,
	lost func(offset int64) bool,
	dry bool,
	told func(offset int64, reason Reason),
) error {
	var held []deadLetter
	write := func() error {
		if !dry {
			left := held // write takes off what is there
			err := s.retry(ctx, "storing rejected records", func() error { return s.dead.write(ctx, number, &left) })
			if err != nil {
				return &permanent{err}
			}
		}
		for i := range held {
			told(held[i].offset, held[i].reason)
		}
		from, held = held[len(held)-1].offset+1, nil
		return nil
	}
	decode := s.decoder()
	isRejected := func(p *Parts) bool { _, reason := decode(p); return reason != "" }
	err := s.retry(ctx, "reading rejected records", func() error {
		held = nil
		return s.Find(ctx, number, from, until, isRejected, func(r Record) error {
			if !lost(r.Offset) {
				return nil
			}
			parts := r.Parts(&s.cfg.Topic)
			_, reason := decode(parts)
			held = append(held, newDeadLetter(r.Offset, parts, reason.answered()))
			if len(held) < letterCount {
				return nil
			}
			return write()
		}, func(int64) {})
	})
	if err == nil && len(held) > 0 {
		err = write()
	}
	if broken, ok := errors.AsType[*permanent](err); ok {
		return broken.error
	}
	return err
}
