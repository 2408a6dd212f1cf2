package engine

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/granter/granter/grant"
)

// target is where a session ends.
type target struct {
	ends   grant.Offsets // by partition: where it ends or, when it follows, where the topic ended at the start of the run
	follow bool          // it goes on beyond that
}

// finishing is the order to finish that a run is to heed, and whether its session does. Orders come from the steering,
// sessions ask.
type finishing struct {
	mu      sync.Mutex
	wanted  *grant.Finish   // nil: the run ends as it was started to
	changed context.Context //nolint:containedctx // ends when the session that goes on heeds another order than the wanted one
	change  context.CancelFunc
}

// want takes the order that holds now, and reports whether it is another one.
func (f *finishing) want(order *grant.Finish) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if order == f.wanted || order != nil && f.wanted != nil && maps.Equal(order.Ends, f.wanted.Ends) && order.Topic == f.wanted.Topic {
		return false
	}
	f.wanted = order
	if f.change != nil {
		f.change()
	}
	return true
}

// heed returns the order for a session that begins, and a context that ends when there is another one.
func (f *finishing) heed() (*grant.Finish, context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.change != nil {
		f.change()
	}
	f.changed, f.change = context.WithCancel(context.Background())
	return f.wanted, f.changed
}

// errFinishing ends a session, and begins another one, because an order to finish came or was taken back.
var errFinishing = errors.New("ordered to finish")

// heedFinish sets where the session that begins ends. The context that it returns ends when that is no longer so.
func (r *Run) heedFinish() context.Context {
	order, changed := r.finishing.heed()
	if order != nil && !order.Of(r.topic) {
		r.Log.Warn("the order to finish is not heeded: it was given for the topic that was there before", "ordered_for", order.Topic, "topic", r.topic)
		order = nil
	}
	r.follows, r.ends = r.Follow && order == nil, r.found
	if order != nil {
		r.ends = order.Ends
	}
	r.bounded = order != nil
	return changed
}

// aim makes the run end where an order to finish says or, when none holds, where it would end by itself. It may be called
// at any time.
func (r *Run) aim(order *grant.Finish) {
	switch {
	case !r.finishing.want(order):
	case order == nil:
		r.Log.Warn("the order to finish was taken back: this run ends as it was started to")
	default:
		r.Log.Warn("ordered to finish: this run ends when everything that was in the topic then is granted", "order", order.By(r.Campaign.StartsAt.Location()))
	}
}
