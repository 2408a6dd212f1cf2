package engine

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/granter/granter/grant"
)

// target is where a session ends.
type target struct {
	ends    grant.Offsets // by partition: where it ends or, when it follows, where the topic ended at the start of the run
	follow  bool          // it goes on beyond that
	ordered bool          // operators ordered it: a partition that is not in ends has nothing to grant
}

// until returns where to stop each partition: where operators ordered, or where it ended at the start of the run or when it was
// first seen. ends are where partitions end now.
func (t target) until(starts, ends grant.Offsets, log *slog.Logger) grant.Offsets {
	out := make(grant.Offsets, len(starts))
	for partition := range starts {
		if _, known := t.ends[partition]; !known && !t.ordered {
			for p, end := range ends {
				if _, known := t.ends[p]; !known {
					log.Info("the topic has grown", "partition", p, "records", end)
					t.ends[p] = end
				}
			}
		}
		out[partition] = t.ends[partition]
		if t.follow {
			out[partition] = -1
		}
	}
	return out
}

// targets says where each session of a run ends: where operators ordered or, when no such order is in force, where the run was
// started to end. Orders come at any time, from the steering; sessions ask when they begin.
type targets struct {
	follow bool // the run was started to follow
	zone   *time.Location
	log    *slog.Logger

	mu      sync.Mutex
	topic   grant.TopicID
	found   grant.Offsets   // where the topic ended at the start; a partition that came later, when it was first seen
	order   *grant.Finish   // in force; nil: none
	changed context.Context //nolint:containedctx // ends when the target of the last session is no longer right
	change  context.CancelFunc
}

// find says where the topic ended when the run started, and what that counts in.
func (t *targets) find(topic grant.TopicID, ends grant.Offsets) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.topic, t.found = topic, ends
}

// finish takes the order to finish that is in force; nil: there is none.
func (t *targets) finish(order *grant.Finish) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if order == t.order ||
		order != nil && t.order != nil && maps.Equal(order.Ends, t.order.Ends) && order.Topic == t.order.Topic {
		return
	}
	t.order = order
	if t.change != nil {
		t.change()
	}
	if order == nil {
		t.log.Warn("the order to finish was taken back: this run ends as it was started to")
		return
	}
	t.log.Warn("ordered to finish: this run ends when everything that was in the topic then is granted",
		"order", order.By(t.zone))
}

// next returns the target of a session that begins, and a context that ends when there is another one.
func (t *targets) next() (target, context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.change != nil {
		t.change()
	}
	t.changed, t.change = context.WithCancel(context.Background())
	order := t.order
	if order != nil && !order.Of(t.topic) {
		t.log.Warn("the order to finish is ignored: it was given for the topic that was there before",
			"ordered_for", order.Topic, "topic", t.topic)
		order = nil
	}
	if order != nil {
		return target{ends: order.Ends, ordered: true}, t.changed
	}
	return target{ends: t.found, follow: t.follow}, t.changed
}
