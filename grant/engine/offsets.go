package engine

import (
	"context"
	"errors"
	"maps"
	"math"
	"time"

	"github.com/granter/granter/grant"
)

// committing is a generation that knows what has been committed since it began. Without that, a session after a loss
// would go back to the generation's beginning, which retention may have removed.
type committing struct {
	grant.Generation

	committed grant.Offsets
	partial   bool
}

// Committed returns what has been committed. A partial pass commits nothing, so that Kafka never knows better than the
// ledger.
func (c *committing) Committed() grant.Offsets {
	if !c.partial {
		return c.committed
	}
	out := grant.Offsets{}
	for partition := range c.committed {
		out[partition] = math.MaxInt64
	}
	return out
}

// Commit commits what is new.
func (c *committing) Commit(next grant.Offsets) error {
	if c.partial || maps.Equal(next, c.committed) {
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
func (r *Run) beginAtCheckpoint(ctx context.Context, assigned grant.Offsets) (grant.Checkpoint, error) {
	leave := r.newTopic
	r.newTopic = nil
	for {
		checkpoint, err := r.Ledger.Begin(ctx, r.topic)
		if err == nil {
			err = r.Source.Intact(ctx, checkpoint.Only(assigned))
		}
		if err == nil && checkpoint.Topic == (grant.TopicID{}) && r.topic != (grant.TopicID{}) && len(checkpoint.Next) > 0 {
			r.Log.Info("the checkpoint does not say of which topic it is, as those of older versions: it is taken for this one's", "topic", r.topic)
		}
		if leave == nil || !errors.Is(err, grant.ErrTopicChanged) {
			return checkpoint, err
		}
		if err := leave(ctx, err); err != nil {
			return checkpoint, err
		}
		leave = nil
		r.Log.Warn("BEGINNING ANEW AT THE TOPIC'S FIRST RECORD, as told by --new-topic", "reason", err)
		lost, _ := errors.AsType[*grant.TruncatedError](err)
		if err := r.Ledger.BeginAnew(ctx, r.topic, lost); err != nil {
			return checkpoint, err
		}
	}
}

// watchEvery is how often a run looks whether its topic is still the one that it reads. Fetches notice by themselves; a
// run that is paused, or that has nothing assigned, does not fetch.
const watchEvery = 2 * time.Second

// watchTopic returns an error once Kafka has another topic than the one that this run reads.
func (r *Run) watchTopic(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := r.checkTopic(ctx); err != nil {
			return err
		}
	}
}

// checkTopic returns an error if Kafka has another topic than the one that this run reads, and none if Kafka does not say.
func (r *Run) checkTopic(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, watchEvery/2)
	defer stop()
	if _, err := r.Source.Bind(ctx); errors.Is(err, grant.ErrTopicChanged) {
		return err
	}
	return nil
}
