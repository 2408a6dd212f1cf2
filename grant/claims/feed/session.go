package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/source"
)

// session takes in what the partitions of one assignment hold. It is used once.
type session[T any] struct {
	*Topic[T]

	assigned grant.Generation
	until    grant.Offsets // negative: without end

	// The committer's.
	next, told          grant.Offsets // taken in, and what Kafka was told of that
	toldAt, lookedAt    time.Time
	consumed, malformed int64
}

// part is what one fetch of a partition held, or some of it.
type part[T any] struct {
	partition int
	next      int64 // everything below is in this part or in one before
	epoch     int32
	records   []record[T]
}

// record keeps key and value of what was refused, or may be.
type record[T any] struct {
	offset     int64
	key, value []byte
	is         T
	refused    Refusal
}

// run takes in until the partitions end, the group changes, or ctx ends; what was read until then is taken in first.
func (s *session[T]) run(ctx context.Context) error {
	committing, stopCommitting := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopCommitting(nil)
	reading, stopReading := context.WithCancel(committing)
	defer stopReading()
	defer context.AfterFunc(ctx, stopReading)()
	defer context.AfterFunc(s.assigned.Context(), stopReading)()

	parts := make(chan *part[T], queued*max(1, len(s.next)))
	committed := make(chan error, 1)
	go func() {
		err := s.commitAll(committing, parts)
		if err != nil {
			stopCommitting(err) // and those who read
		}
		committed <- err
	}()
	readers, inner := errgroup.WithContext(reading)
	for partition, from := range maps.Clone(s.next) {
		in := &inbox[T]{session: s, partition: partition, to: parts}
		readers.Go(func() error { return s.Source.Follow(inner, partition, from, s.until[partition], in) })
	}
	readErr := readers.Wait()
	close(parts)
	commitErr := <-committed
	switch {
	case errors.Is(readErr, grant.ErrTopicChanged):
		return readErr // whatever else failed, failed because of that
	case commitErr != nil:
		return commitErr
	case reading.Err() != nil && readErr != nil && errors.Is(readErr, context.Canceled):
		return nil
	}
	return readErr
}

// inbox gathers the records of one partition.
type inbox[T any] struct {
	*session[T]

	partition int
	open      []record[T]
	to        chan<- *part[T]
}

// Add implements source.Sink.
func (in *inbox[T]) Add(offset int64, parts *source.Parts) error {
	key, value := parts.Key, parts.Value
	r := record[T]{offset: offset, key: bytes.Clone(key), value: bytes.Clone(value)}
	r.is, r.refused = in.Read(value)
	if err := r.refused.Failed; err != nil {
		return fmt.Errorf("reading partition %d, offset %d: %w", in.partition, offset, err)
	}
	in.open = append(in.open, r)
	return nil
}

// Mark implements source.Sink. It waits while those before are being committed, so that memory is bounded.
func (in *inbox[T]) Mark(ctx context.Context, next int64, _ bool) error {
	p := &part[T]{partition: in.partition, next: next, epoch: in.Source.Epoch(in.partition, next), records: in.open}
	in.open = nil
	select {
	case in.to <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// commitAll commits parts, some at once where many wait.
func (s *session[T]) commitAll(ctx context.Context, parts <-chan *part[T]) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case first, open := <-parts:
			if !open {
				return s.tell(ctx, true)
			}
			list, n := []*part[T]{first}, len(first.records)
			for more := true; more && n < batch; {
				select {
				case p, open := <-parts:
					if more = open; open {
						list = append(list, p)
						n += len(p.records)
					}
				default:
					more = false
				}
			}
			if err := s.commit(ctx, list); err != nil {
				return err
			}
		case <-tick.C:
		}
		if err := s.tell(ctx, false); err != nil {
			return err
		}
	}
}

// commit takes in what some parts hold, in pieces of bounded size, and then moves the positions.
func (s *session[T]) commit(ctx context.Context, list []*part[T]) error {
	for _, p := range merged(list) {
		if err := s.commitPiece(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// merged cuts parts into pieces of at most batch records. A position belongs to the piece with the last record before it.
func merged[T any](list []*part[T]) (pieces [][]*part[T]) {
	var piece []*part[T]
	n := 0
	for _, p := range list {
		for len(p.records)+n > batch {
			cut := batch - n
			if cut > 0 {
				head := &part[T]{
					partition: p.partition,
					next:      p.records[cut-1].offset + 1,
					epoch:     p.epoch,
					records:   p.records[:cut],
				}
				piece = append(piece, head)
				p = &part[T]{partition: p.partition, next: p.next, epoch: p.epoch, records: p.records[cut:]}
			}
			pieces, piece, n = append(pieces, piece), nil, 0
		}
		piece = append(piece, p)
		n += len(p.records)
	}
	if len(piece) > 0 {
		pieces = append(pieces, piece)
	}
	return pieces
}

func (s *session[T]) commitPiece(ctx context.Context, piece []*part[T]) error {
	var good []*record[T]
	var values []T
	clean := true
	next := map[int]store.Position{}
	for _, p := range piece {
		for i := range p.records {
			r := &p.records[i]
			if r.refused.Reason != "" {
				s.malformed++
				clean = false
				continue
			}
			good = append(good, r)
			values = append(values, r.is)
		}
		s.consumed += int64(len(p.records))
		next[p.partition] = store.Position{
			Topic:     s.Name,
			Identity:  s.topic,
			Partition: p.partition,
			Next:      p.next,
			Epoch:     p.epoch,
		}
	}
	at := make([]store.Position, 0, len(next))
	var with []store.Position
	for _, position := range next {
		at = append(at, position)
	}
	if clean {
		with = at
	}
	refused, err := s.Commit(ctx, values, with)
	if err != nil {
		return err
	}
	taken := len(values)
	for i := range refused {
		if good[i].refused = refused[i]; refused[i].Reason != "" {
			clean = false
			taken--
		}
	}
	reasons, err := s.reject(ctx, piece)
	if err != nil {
		return err
	}
	if !clean {
		if err := s.Store.Advance(ctx, at); err != nil {
			return err
		}
	}
	for _, position := range at {
		s.next[position.Partition] = position.Next
	}
	s.Observer.Taken(taken, reasons)
	return s.tooMany()
}

// reject puts what came to nothing into the dead-letter topic.
func (s *session[T]) reject(ctx context.Context, piece []*part[T]) (map[source.Reason]int, error) {
	reasons := map[source.Reason]int{}
	for _, p := range piece {
		var rejects []source.Reject
		for i := range p.records {
			r := &p.records[i]
			if r.refused.Reason == "" {
				continue
			}
			reasons[r.refused.Reason]++
			reject := source.Reject{
				Offset: r.offset,
				Reason: r.refused.Reason,
				Detail: r.refused.Detail,
				Key:    r.key,
				Value:  r.value,
			}
			if r.refused.Withhold || resident.In(string(r.key), true) {
				reject.Key = nil
			}
			if r.refused.Withhold {
				reject.Value = nil
			}
			rejects = append(rejects, reject)
		}
		if len(rejects) == 0 {
			continue
		}
		if err := s.Source.Reject(ctx, p.partition, rejects); err != nil {
			return nil, fmt.Errorf("storing rejected records of topic %s, partition %d: %w", s.Name, p.partition, err)
		}
	}
	return reasons, nil
}

// tell tells Kafka's tools how far the topic is read, now and then, and the observer how much is left.
func (s *session[T]) tell(ctx context.Context, last bool) error {
	if !last && time.Since(s.toldAt) < awaitOthers {
		return nil
	}
	s.toldAt = time.Now()
	if !maps.Equal(s.next, s.told) {
		switch err := s.assigned.Commit(maps.Clone(s.next)); {
		case errors.Is(err, grant.ErrTopicChanged):
			return err
		case err != nil && s.assigned.Context().Err() == nil:
			s.Log.Warn("committing offsets to Kafka failed; the database has them", "error", err)
		case err == nil:
			s.told = maps.Clone(s.next)
		}
	}
	if !last && time.Since(s.lookedAt) < 2*time.Second {
		return nil
	}
	s.lookedAt = time.Now()
	bounds, err := s.Source.Peek(ctx)
	if err != nil {
		return nil //nolint:nilerr // reading says what is wrong with Kafka
	}
	var behind int64
	for partition, at := range s.next {
		behind += max(bounds.Ends[partition]-at, 0)
	}
	s.Observer.Behind(behind)
	return nil
}
