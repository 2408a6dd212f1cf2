package grant

import (
	"fmt"
	"time"
)

// An order with an end is over at that moment by the clock of Redis, whether or not anybody is there to notice. So who reads
// a control asks what is InForce now; and the first who may write records the end, as an entry that is the same whoever
// makes it.

const (
	expiredBy  = "granter" // who ends an order whose time is over
	expiredVia = "clock"
)

// Expired returns the entry of the audit trail for the order whose end came first, of those that have ended at a time; nil:
// none has. What comes after it may have ended, too.
func (c *Control) Expired(now time.Time) *HistoryEntry {
	paused, throttled := c.PausedBy.endedBy(now), c.ThrottledBy.endedBy(now)
	if !paused && !throttled {
		return nil
	}
	before, after := *c, *c
	after.Version++
	ended, what := c.PausedBy, ActionPause
	if !paused || throttled && c.ThrottledBy.Until.Before(c.PausedBy.Until) {
		ended, what = c.ThrottledBy, ActionThrottle
		after.Throttle, after.ThrottledBy = 0, nil
	} else {
		after.Paused, after.PausedBy = false, nil
	}
	return &HistoryEntry{
		At: ended.Until, Action: ActionExpire, Who: expiredBy, Via: expiredVia, Before: &before, After: &after,
		Why: fmt.Sprintf("the %s that %s ordered for %s is over", what, ended.Who, ended.Until.Sub(ended.At).Round(time.Second)),
	}
}

// InForce returns what of a control holds at a time.
func (c *Control) InForce(now time.Time) Control {
	out := *c
	for entry := out.Expired(now); entry != nil; entry = out.Expired(now) {
		out = *entry.After
	}
	return out
}

func (g *Given) endedBy(now time.Time) bool { return g.ends() && !g.Until.After(now) }

// ends reports whether an order ends by itself.
func (g *Given) ends() bool { return g != nil && !g.Until.IsZero() }

// later returns which of two orders was given later. One that is not known, or of 0c10d32, was given before all others.
func (g *Given) later(other *Given) *Given {
	if g == nil || other != nil && other.At.After(g.At) {
		return other
	}
	return g
}
