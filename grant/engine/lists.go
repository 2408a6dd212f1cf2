package engine

import (
	"context"
	"time"

	"github.com/granter/granter/grant"
)

// lists are whom the spec excludes, as they are read again when a pause ends: whoever was listed meanwhile is withheld before
// anybody else is granted. The steering's lock guards it.
type lists struct {
	paused       bool
	resumed      int64 // version of the last resume that was seen
	due, settled int64 // how often they were to be read since the run began, and up to which of these that was done
	failure      error // of the last reading
	again        chan struct{}
}

// relist finds out whether the lists are to be read again, and returns what users wait for; empty: nothing. It is called with
// the lock held.
func (s *steering) relist(c *grant.Control) string {
	l := &s.lists
	if s.settle == nil || !s.begun {
		l.paused, l.resumed = c.Paused, c.Resumed
		return ""
	}
	if ended := l.paused && !c.Paused; ended || c.Resumed != l.resumed {
		l.due++
		select {
		case l.again <- struct{}{}:
		default:
		}
	}
	l.paused, l.resumed = c.Paused, c.Resumed
	switch {
	case l.settled == l.due:
		return ""
	case l.failure != nil:
		return "whom the spec excludes cannot be read, after a pause: " + l.failure.Error()
	}
	return "whom the spec excludes is read again, after a pause"
}

// runSettling reads the lists whenever a pause has ended, and again while that fails, until the context ends.
func (s *steering) runSettling(ctx context.Context) {
	for {
		select {
		case <-s.lists.again:
		case <-ctx.Done():
			return
		}
		for !s.settleOnce(ctx) {
			select {
			case <-time.After(recheckEvery):
			case <-s.lists.again:
			case <-ctx.Done():
				return
			}
		}
	}
}

// settleOnce reads the lists, and reports whether that succeeded.
func (s *steering) settleOnce(ctx context.Context) bool {
	s.mu.Lock()
	due := s.lists.due
	s.mu.Unlock()
	err := s.settle(ctx)
	if ctx.Err() != nil {
		return false
	}
	s.mu.Lock()
	if s.lists.failure = err; err == nil {
		s.lists.settled = due
	}
	s.mu.Unlock()
	s.decide()
	return err == nil
}
