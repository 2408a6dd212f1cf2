package hooks

import (
	"context"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// subscriberPrefix is before the name of a hook where subscribers of events are told of, too.
const subscriberPrefix = "hook:"

// attempted notes what a call came to.
func (w *Watcher) attempted(hook string, err error) {
	now := time.Now().UTC()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.standingOf(hook)
	state := grant.SubscriberCurrent
	if s.Error = ""; err != nil {
		state, s.Error = grant.SubscriberFailing, err.Error()
		s.Failures++
	} else {
		s.Failures, s.Last = 0, &now
		s.Events++
	}
	if s.State != state {
		s.State, s.Since = state, now
	}
	w.news = true
}

// standingOf is how a hook takes what it is told.
func (w *Watcher) standingOf(hook string) *grant.Subscriber {
	s := w.standings[hook]
	if s == nil {
		s = &grant.Subscriber{Name: subscriberPrefix + hook, State: grant.SubscriberCurrent, Since: time.Now().UTC()}
		w.standings[hook] = s
	}
	return s
}

// note says in the ledger how each hook takes what it is told, for whoever looks there: when that has changed, and every few
// seconds, so that nobody takes a process that was killed for one that tells. ended: this one tells no longer.
func (w *Watcher) note(ctx context.Context, ended bool) {
	w.mu.Lock()
	if !ended && !w.news && time.Since(w.noted) < grant.SubscriberEvery {
		w.mu.Unlock()
		return
	}
	w.news, w.noted = false, time.Now()
	all := make([]grant.Subscriber, 0, len(w.callers))
	for _, c := range w.callers {
		s := *w.standingOf(c.Name)
		for i := range w.doc.Todo {
			if slices.Contains(w.doc.Todo[i].Hooks, c.Name) {
				s.Behind++
			}
		}
		if ended && s.State != grant.SubscriberFailing { // that it failed is worth more
			s.State, s.Since = grant.SubscriberStopped, w.noted.UTC()
		}
		all = append(all, s)
	}
	w.mu.Unlock()
	now, err := w.Board.Now(ctx)
	for i := range all {
		if all[i].At = now.UTC(); err == nil {
			err = w.Board.Tell(ctx, all[i])
		}
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("how hooks take what they are told could not be noted", "error", err)
	}
}

// restore takes over what whoever led before said of the hooks.
func (w *Watcher) restore(ctx context.Context) error {
	before, err := w.Board.Subscribers(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range before {
		for _, c := range w.callers {
			if s.Name != subscriberPrefix+c.Name {
				continue
			}
			if s.State != grant.SubscriberFailing && s.State != grant.SubscriberCurrent {
				s.State, s.Since = grant.SubscriberCurrent, time.Now().UTC()
			}
			w.standings[c.Name] = &s
		}
	}
	return nil
}
