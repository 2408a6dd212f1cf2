package desk

import "sync"

const (
	// A page follows the status once, and asks one thing at a time; one person has a few pages open, and a wallboard or two.
	maxListenersEach = 16
	maxUnderWayEach  = 8

	// Of all that the desk does at once, a quarter is kept for operators.
	maxListeners       = 256
	maxListenersOthers = maxListeners * 3 / 4
	maxUnderWayOthers  = 48 // each may need a connection to Redis, of which there are 80
)

// share bounds how much of something each principal has at once, and how much all who may order nothing have together.
type share struct {
	each, others, all int

	mu    sync.Mutex
	has   map[string]int // by name
	given int
	lent  int // of given, to those who may order nothing
}

func newShare(each, others, all int) *share {
	return &share{each: each, others: others, all: all, has: map[string]int{}}
}

// take takes one, or says whether that fails because of the principal's own: then waiting for others does not help.
func (s *share) take(who Principal) (ok, own bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	operator := who.Role.may(toOrder()...)
	switch {
	case s.has[who.Name] >= s.each:
		return false, true
	case s.given >= s.all || !operator && s.lent >= s.others:
		return false, false
	}
	s.has[who.Name]++
	s.given++
	if !operator {
		s.lent++
	}
	return true, false
}

// giveBack gives one back that take took for the same principal.
func (s *share) giveBack(who Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has[who.Name]--; s.has[who.Name] == 0 {
		delete(s.has, who.Name)
	}
	s.given--
	if !who.Role.may(toOrder()...) {
		s.lent--
	}
}
