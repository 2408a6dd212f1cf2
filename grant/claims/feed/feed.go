// Package feed takes a Kafka topic into the database of claims: what records come to and how far the topic is read are committed
// in one transaction, so each record counts once, whoever is killed. What comes to nothing is in the dead-letter topic before it
// counts as read.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/source"
)

// Refusal is why a record comes to nothing; an empty Reason: it came to something.
type Refusal struct {
	Reason   source.Reason
	Detail   string // in words
	Withhold bool   // its value may not be kept anywhere
	Failed   error  // nothing is known about the record: it is read again
}

// Observer is told what became of records, when that is committed. It is called by one goroutine.
type Observer interface {
	Taken(records int, refused map[source.Reason]int)
	// Behind says how many records of the assigned partitions are not taken in yet.
	Behind(records int64)
}

// Topic takes in what a topic holds. Several processes share its partitions.
type Topic[T any] struct {
	Name   string
	Source source.Reader
	Store  *store.Store
	Pass   grant.Pass // accepted gaps
	// Read makes something of a record, or says why it is nothing. It is called concurrently; the value is valid during the call.
	Read func(value []byte) (T, Refusal)
	// Commit takes in what records came to. It returns what is refused, for each record in order (nil: nothing), and is
	// idempotent. When it refuses nothing, it has committed the positions in the same transaction.
	Commit func(ctx context.Context, records []T, at []store.Position) ([]Refusal, error)

	Observer    Observer
	Log         *slog.Logger
	MaxRejected float64 // share of records that are malformed, beyond which it stops: it may be the wrong topic
	Once        bool    // end when everything that was there at the start is taken in
	Restart     bool    // begin at the first record, whatever was read before

	topic grant.TopicID
	ends  grant.Offsets // of Once
}

const (
	// batch is how many records are committed at once: the more, the less each costs; and others wait some tenths of a second.
	batch       = 2000
	queued      = 2 // batches of each partition, beside those that are being committed
	awaitOthers = 500 * time.Millisecond
)

// ErrStopped means that the context ended before the topic did.
var ErrStopped = errors.New("stopped; what was taken in is in the database")

// Run takes in until the context ends, which is ErrStopped, something fails for good, or, with Once, all is taken in.
func (t *Topic[T]) Run(ctx context.Context) error {
	err := t.run(ctx)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Cause(ctx))) {
		return ErrStopped
	}
	return err
}

func (t *Topic[T]) run(ctx context.Context) (err error) {
	if err := t.Source.Prepare(ctx); err != nil {
		return err
	}
	if t.topic, err = t.Source.Bind(ctx); err != nil {
		return err
	}
	if t.Restart {
		if err := t.Store.ForgetPositions(ctx, t.Name); err != nil {
			return err
		}
	}
	if t.Once {
		bounds, err := t.Source.Bounds(ctx)
		if err != nil {
			return err
		}
		t.ends = bounds.Ends
	}
	group, err := t.Source.Join()
	if err != nil {
		return err
	}
	defer func() {
		if left := group.Leave(); left != nil {
			t.Log.Warn("leaving the consumer group failed; others take over when the session times out", "error", left)
		}
	}()
	for done := false; err == nil && !done && ctx.Err() == nil; {
		done, err = t.generation(ctx, group)
	}
	return err
}

// generation works on one assignment of partitions until it ends, and reports whether all is taken in, by whichever process.
func (t *Topic[T]) generation(ctx context.Context, group grant.Group) (done bool, err error) {
	assigned, err := group.Next(ctx)
	if err != nil {
		return false, err
	}
	defer assigned.Release()
	s := &session[T]{Topic: t, assigned: assigned}
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	if err := s.run(ctx); err != nil {
		return false, err
	}
	for t.Once && ctx.Err() == nil && assigned.Context().Err() == nil {
		at, err := t.Store.Positions(ctx, t.Name, t.topic)
		if err != nil {
			return false, err
		}
		if at.Next.Reached(t.ends) {
			return true, nil
		}
		select { // others have the rest; if one dies, its partitions come to this one
		case <-time.After(awaitOthers):
		case <-assigned.Context().Done():
		case <-ctx.Done():
		}
	}
	return false, nil
}

// begin finds out where each partition starts and ends.
func (s *session[T]) begin(ctx context.Context) error {
	known, err := s.Store.Positions(ctx, s.Name, s.topic)
	if err != nil {
		return err
	}
	own := grant.Offsets{} // Kafka's are for its tools: the database is right, since it has what was read as well
	for partition := range s.assigned.Committed() {
		own[partition] = known.Next[partition]
	}
	if s.next, s.until, err = source.Resume(ctx, s.Source, known, own, s.Pass, s.ends, s.Log); err != nil {
		return err
	}
	s.Log.Info("partitions assigned", "topic", s.Name, "from", s.next)
	return nil
}

// tooMany fails if too many records are malformed.
func (s *session[T]) tooMany() error {
	if s.malformed == 0 || !source.TooMany(s.MaxRejected, s.malformed, s.consumed) {
		return nil
	}
	return fmt.Errorf(
		"%w: %d of %d cannot be read, and %s are tolerated: is %s the right topic? Its dead-letter topic has them, "+
			"with the reasons",
		source.ErrTooManyRejected,
		s.malformed,
		s.consumed,
		grant.Percent(s.MaxRejected),
		s.Name,
	)
}

// Input is how package source is told of a topic, and where records go that come to nothing: to its name and .rejected by
// default.
func Input(topic, deadLetters string) grant.Input {
	return grant.Input{Topic: topic, DeadLetters: deadLetters, Format: grant.FormatJSON, Path: "id", MaxRejected: 1}
}
