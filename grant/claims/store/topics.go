package store

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant"
)

// Position says how far a partition of a topic is taken in.
type Position struct {
	Topic     string
	Identity  grant.TopicID
	Partition int
	Next      int64 // the first offset that is not taken in
	Epoch     int32 // leader epoch of the last record before it; -1: not known
}

// Positions returns how far a topic is taken in, and fails with an *grant.OtherTopicError when that was another topic of the
// name.
func (s *Store) Positions(ctx context.Context, topic string, now grant.TopicID) (grant.Checkpoint, error) {
	out := grant.Checkpoint{Topic: now, Next: grant.Offsets{}, Epochs: map[int]int32{}}
	rows, err := s.db.QueryContext(ctx, "SELECT part, identity, following, epoch FROM offsets WHERE topic = $1", topic)
	if err != nil {
		return out, err
	}
	return out, each(rows, func(scan func(...any) error) error {
		var part int
		var identity string
		var next int64
		var epoch int32
		if err := scan(&part, &identity, &next, &epoch); err != nil {
			return err
		}
		was, err := grant.ParseTopicID(identity)
		if err != nil {
			return err
		}
		if !now.Continues(was) {
			return &grant.OtherTopicError{Name: topic, Whose: "the database of claims", Now: now, Before: was}
		}
		out.Next[part], out.Epochs[part] = next, epoch
		return nil
	})
}

// ForgetPositions makes a topic be read from its first record again. What was taken in is not taken in twice.
func (s *Store) ForgetPositions(ctx context.Context, topic string) error {
	_, err := s.db.ExecContext(ctx, "DELETE FROM offsets WHERE topic = $1", topic)
	return err
}

// Advance says how far a topic is taken in, when all of that is committed.
func (s *Store) Advance(ctx context.Context, at []Position) error {
	return s.begin(ctx, func(c *commit) error {
		c.advance(at)
		return nil
	})
}

// advance never goes back: of two processes that have read the same, the slower one is behind.
func (c *commit) advance(at []Position) {
	if len(at) == 0 {
		return
	}
	rows := newRows("INSERT INTO offsets (topic, part, identity, following, epoch) VALUES",
		"ON CONFLICT (topic, part) DO UPDATE SET "+
			"epoch = CASE WHEN excluded.following >= offsets.following THEN excluded.epoch ELSE offsets.epoch END, "+
			"following = CASE WHEN excluded.following >= offsets.following THEN excluded.following ELSE offsets.following END "+
			"WHERE offsets.identity = excluded.identity", 5)
	for _, p := range at {
		rows.add(p.Topic, p.Partition, p.Identity.String(), p.Next, int64(p.Epoch))
	}
	topic := at[0].Topic
	c.later(statement{
		rows: rows, want: int64(len(at)),
		said: func(err error) error { return fmt.Errorf("topic %s: %w", topic, err) },
		less: func() error {
			return fmt.Errorf("topic %s: %w: another process reads the one that is there now", topic, grant.ErrTopicChanged)
		},
	})
}
