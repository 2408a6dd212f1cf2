package grant

import (
	"context"
	"maps"
	"math"
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

// startOffsets returns where to start each assigned partition: at the smaller of what the ledger and Kafka say, since
// either may have lost its latest word. What only Kafka has the ledger has lost. What only the ledger has may be of
// another topic: Kafka forgets the offsets of a topic that is deleted, so one that was made again, or that another
// cluster took over, is read from its first record; that grants nobody twice. What retention removed below the ledger's
// checkpoint has been granted, and is no gap.
func startOffsets(committed, checkpoint, firsts map[int]int64) map[int]int64 {
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
