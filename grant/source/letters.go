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
			return dead.Find(ctx, number, next, end, func(_, _ []byte) bool { return true }, func(rec Record) error {
				letter, err := readLetter(&rec)
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
func readLetter(rec *Record) (*Letter, error) {
	l := Letter{Key: rec.Key, Value: rec.Value}
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
		return s.Find(ctx, l.Partition, l.Offset, l.Offset+1, func(_, _ []byte) bool { return true }, func(r Record) error {
			rec = &r
			return nil
		}, func(int64) {})
	})
	return rec, err
}

// Holder is the part of a record that should hold the ID.
func Holder(in grant.Input, key, value []byte) []byte {
	if in.From == grant.FromKey {
		return key
	}
	return value
}
