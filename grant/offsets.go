package grant

import (
	"context"
	"errors"
	"maps"
	"math"
	"time"
)

// committing is a generation that knows what has been committed since it began. Without that, a session after a loss
// would go back to the generation's beginning, which retention may have removed.
type committing struct {
	Generation

	committed map[int]int64
	partial   bool
}

// Committed returns what has been committed. A partial pass commits nothing, so that Kafka never knows better than the
// ledger.
func (c *committing) Committed() map[int]int64 {
	if !c.partial {
		return c.committed
	}
	out := map[int]int64{}
	for partition := range c.committed {
		out[partition] = math.MaxInt64
	}
	return out
}

// Commit commits what is new.
func (c *committing) Commit(next map[int]int64) error {
	if c.partial || maps.Equal(next, c.committed) {
		return nil
	}
	err := c.Generation.Commit(next)
	if err == nil {
		c.committed = next
	}
	return err
}

// reached reports whether a checkpoint is at or beyond all the given offsets.
func reached(checkpoint, ends map[int]int64) bool {
	for partition, end := range ends {
		if checkpoint[partition] < end {
			return false
		}
	}
	return true
}

// StartOffsets returns where to start each assigned partition: at the smaller of what the ledger and Kafka say, since
// either may have lost its latest word. What only Kafka has the ledger has lost. What only the ledger has may, where
// brokers have no topic IDs, be of another topic: Kafka forgets the offsets of a topic that is deleted, so one that was
// made again is read from its first record; that grants nobody twice. What retention removed below the ledger's checkpoint
// has been granted, and is no gap.
func StartOffsets(committed, checkpoint, firsts map[int]int64) map[int]int64 {
	starts := make(map[int]int64, len(committed))
	for partition, offset := range committed {
		trusted := checkpoint[partition]
		starts[partition] = max(min(trusted, max(offset, 0)), min(trusted, firsts[partition]))
	}
	return starts
}

// until returns where to stop each partition: where operators ordered, or where it ended at the start of the run or when
// it was first seen.
func (r *Run) until(ctx context.Context, starts map[int]int64) (map[int]int64, error) {
	out := make(map[int]int64, len(starts))
	for partition := range starts {
		if _, known := r.ends[partition]; !known && !r.bounded {
			ends, err := r.Source.Ends(ctx)
			if err != nil {
				return nil, err
			}
			for p, end := range ends {
				if _, known := r.ends[p]; !known {
					r.Log.Info("the topic has grown", "partition", p, "records", end)
					r.ends[p] = end
				}
			}
		}
		out[partition] = r.ends[partition]
		if r.follows {
			out[partition] = -1
		}
	}
	return out, nil
}

// begin starts a session of the ledger, at a checkpoint whose topic Kafka still has, and has all of it. If it has not, the
// run ends, unless it is the first time and its operator said that the topic is a new one.
func (r *Run) begin(ctx context.Context, assigned map[int]int64) (Checkpoint, error) {
	leave := r.NewTopic
	r.NewTopic = nil
	for {
		checkpoint, err := r.Ledger.Begin(ctx, r.topic)
		if err == nil {
			err = r.Source.Intact(ctx, checkpoint.only(assigned))
		}
		if err == nil && checkpoint.Topic == (TopicID{}) && r.topic != (TopicID{}) && len(checkpoint.Next) > 0 {
			r.Log.Info("the checkpoint does not say of which topic it is, as those of older versions: it is taken for this one's", "topic", r.topic)
		}
		if leave == nil || !errors.Is(err, ErrTopicChanged) {
			return checkpoint, err
		}
		if err := leave(ctx, err); err != nil {
			return checkpoint, err
		}
		leave = nil
		r.Log.Warn("BEGINNING ANEW AT THE TOPIC'S FIRST RECORD, as told by --new-topic", "reason", err)
		lost, _ := errors.AsType[*TruncatedError](err)
		if err := r.Ledger.BeginAnew(ctx, r.topic, lost); err != nil {
			return checkpoint, err
		}
	}
}

// only returns what a checkpoint says of some partitions.
func (c Checkpoint) only(partitions map[int]int64) Checkpoint {
	out := Checkpoint{Topic: c.Topic, Next: map[int]int64{}, Epochs: map[int]int32{}}
	for partition := range partitions {
		if next, ok := c.Next[partition]; ok {
			out.Next[partition], out.Epochs[partition] = next, c.Epoch(partition)
		}
	}
	return out
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
	if _, err := r.Source.Bind(ctx); errors.Is(err, ErrTopicChanged) {
		return err
	}
	return nil
}
