package engine

import (
	"context"
	"errors"
	"maps"

	"github.com/granter/granter/grant"
)

// committing is a generation that knows what has been committed since it began. Without that, a session after a loss
// would go back to the generation's beginning, which retention may have removed.
type committing struct {
	grant.Generation

	committed grant.Offsets
	private   bool
}

// Committed returns what has been committed.
func (c *committing) Committed() grant.Offsets { return c.committed }

// Commit commits what is new, unless the pass is a private one.
func (c *committing) Commit(next grant.Offsets) error {
	if c.private || maps.Equal(next, c.committed) {
		return nil
	}
	err := c.Generation.Commit(next)
	if err == nil {
		c.committed = next
	}
	return err
}

// beginAtCheckpoint starts a session of the ledger, at a checkpoint whose topic Kafka still has, and has all of it. If it has not, the
// run ends, unless it is the first time and its operator said that the topic is a new one.
func (s *session) beginAtCheckpoint(ctx context.Context, assigned grant.Offsets) (grant.Checkpoint, error) {
	leave := s.newTopic
	for {
		checkpoint, err := s.ledger.Begin(ctx, s.topic)
		if err == nil {
			err = s.source.Intact(ctx, checkpoint.Only(assigned))
		}
		if err == nil && checkpoint.Topic == (grant.TopicID{}) && s.topic != (grant.TopicID{}) && len(checkpoint.Next) > 0 {
			s.log.Info("the checkpoint does not say of which topic it is, as those of older versions: it is taken for this one's", "topic", s.topic)
		}
		if leave == nil || !errors.Is(err, grant.ErrTopicChanged) {
			return checkpoint, err
		}
		if err := leave(ctx, err); err != nil {
			return checkpoint, err
		}
		leave = nil
		s.log.Warn("BEGINNING ANEW AT THE TOPIC'S FIRST RECORD, as told by --new-topic", "reason", err)
		lost, _ := errors.AsType[*grant.TruncatedError](err)
		if err := s.ledger.BeginAnew(ctx, s.topic, lost); err != nil {
			return checkpoint, err
		}
	}
}
