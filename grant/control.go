package grant

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Control is what operators have ordered. It is kept beside the ledger; every replica reads it several times a second,
// obeys, and says in its record which version it obeys.
type Control struct {
	Version  int64      `json:"version"`             // counts orders; 0: nobody has ordered anything
	Paused   bool       `json:"paused"`              // nobody is granted anything until resume
	Throttle int64      `json:"throttle"`            // users per second, of all replicas together; 0: no limit
	StartsAt *time.Time `json:"starts_at,omitempty"` // the postponed start; nil: the spec's
	Abort    int64      `json:"abort,omitempty"`     // version of the abort that holds: replicas of 0c10d32 end by it
	Finish   *Finish    `json:"finish,omitempty"`    // where the campaign ends, until resume; nil: where the topic ends
	Resumed  int64      `json:"resumed,omitempty"`   // version of the last resume

	PausedBy    *Given `json:"paused_by,omitempty"`    // nil: not paused, or by 0c10d32
	ThrottledBy *Given `json:"throttled_by,omitempty"` // nil: no limit, or by 0c10d32
	AbortedBy   *Given `json:"aborted_by,omitempty"`   // nil: not aborted. No run grants anybody until resume
}

// Finish tells all runs, also those that begin later, where the topic ends for them.
type Finish struct {
	Given

	Version int64   `json:"version"`
	Ends    Offsets `json:"ends"`           // partition → offset; one that is not in it has nothing to grant
	Topic   TopicID `json:"topic,omitzero"` // what those offsets count in; zero: not known, as of 0c10d32
}

// Of reports whether an order to finish may be one for a topic: its offsets mean nothing in one that was made again.
func (f *Finish) Of(t TopicID) bool { return !f.Topic.Known() || !t.Known() || f.Topic == t }

// Given says when an order was given that holds, by whom and why. It is empty for one of 0c10d32.
type Given struct {
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"` // when it ends by itself; zero: it does not
	Who   string    `json:"who,omitempty"`
	Why   string    `json:"why,omitempty"`
}

// By puts it into words, with the time in a zone.
func (g *Given) By(zone *time.Location) string {
	if g == nil || g.Who == "" {
		return "by an operator: granter history says by whom and why"
	}
	until := ""
	if g.ends() {
		until = " until " + g.Until.In(zone).Format(time.RFC3339)
	}
	return fmt.Sprintf("by %s at %s%s: %s", g.Who, g.At.In(zone).Format(time.RFC3339), until, g.Why)
}

// Standing is an order that is in force, in words for people.
type Standing struct {
	Action Action `json:"action"`
	Says   string `json:"says"` // such as "paused by minji@ops at 2022-11-05T09:00:00+09:00: complaints"
}

// Standing returns the orders that are in force, the weightiest first. Times are in a zone.
func (c *Control) Standing(zone *time.Location) []Standing {
	out := []Standing{}
	add := func(action Action, what string, by *Given) {
		out = append(out, Standing{action, what + " " + by.By(zone)})
	}
	if c.AbortedBy != nil {
		add(ActionAbort, "aborted", c.AbortedBy)
	}
	if c.Paused {
		add(ActionPause, "paused", c.PausedBy)
	}
	if c.Throttle > 0 {
		add(ActionThrottle, fmt.Sprintf("limited to %d users/s over all replicas", c.Throttle), c.ThrottledBy)
	}
	if c.Finish != nil {
		add(ActionFinish, "ordered to finish", &c.Finish.Given)
	}
	return out
}

// ReadControl reads a control, also one that 0c10d32 stored. There abort and finish were for runs that had begun before;
// now they hold until resume. Of the two ways to take an abort that is not known to be lifted the careful one is that it
// holds. A finish of that kind holds while it is the last order only: later ones were given to runs that it was not for,
// and to end those with success would leave users out silently.
func ReadControl(text []byte) (c Control, err error) {
	if err = json.Unmarshal(text, &c); err == nil && c.Version < 1 {
		err = errors.New("no order has made this")
	}
	if err != nil {
		return Control{}, err
	}
	if c.Abort > 0 && c.AbortedBy == nil {
		c.AbortedBy = &Given{}
	}
	if c.Finish != nil && c.Finish.Who == "" && c.Finish.Version != c.Version {
		c.Finish = nil
	}
	return c, nil
}

// Start returns when a campaign starts under this control.
func (c *Control) Start(campaign *Campaign) time.Time {
	if c.StartsAt != nil {
		return *c.StartsAt
	}
	return campaign.StartsAt
}

// WithLost returns what to obey when Redis has lost the last orders: of what was obeyed before and what was found, the
// more careful. What was found may also be newer than the loss.
func (c *Control) WithLost(before *Control, campaign *Campaign) *Control {
	out := *c.WithStop(before)
	if c.Throttle == 0 || before.Throttle > 0 && before.Throttle < c.Throttle {
		out.Throttle, out.ThrottledBy = before.Throttle, before.ThrottledBy
	}
	if before.Start(campaign).After(c.Start(campaign)) {
		out.StartsAt = before.StartsAt
	}
	out.Finish = c.Finish.nearer(before.Finish)
	return &out
}

// WithStop returns a control that stops if either does. Of two pauses the later order counts, as if none had been lost.
func (c *Control) WithStop(before *Control) *Control {
	out := *c
	if before.Paused {
		out.Paused = true
		out.PausedBy = before.PausedBy
		if c.Paused {
			out.PausedBy = c.PausedBy.later(before.PausedBy)
		}
	}
	if c.AbortedBy == nil {
		out.Abort, out.AbortedBy = before.Abort, before.AbortedBy
	}
	return &out
}

// nearer returns the order that ends each partition where the first of two does.
func (f *Finish) nearer(other *Finish) *Finish {
	if f == nil || other == nil {
		return cmp.Or(f, other)
	}
	out := *f
	out.Ends = f.Ends.Nearer(other.Ends)
	return &out
}

// Apply returns the control after an order that comes at a time. It fails with ErrRefused when there is nothing that the
// order could do. An order that changes nothing counts all the same: after a loss replicas may know better than Redis.
func (c *Control) Apply(o *Order, campaign *Campaign, now time.Time) (Control, error) {
	next := *c
	next.Version++
	given := &Given{At: now.UTC(), Who: o.Who, Why: o.Why}
	if o.For > 0 {
		given.Until = given.At.Add(o.For)
	}
	refuse := func(format string, args ...any) (Control, error) {
		return *c, fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
	}
	if o.If != nil && *o.If != c.Version {
		return *c, fmt.Errorf("%w: it was for version %d of the orders, and they are at %d", ErrChanged, *o.If, c.Version)
	}
	switch o.Action {
	case ActionPause:
		if !c.Paused || given.ends() || c.PausedBy.ends() {
			next.Paused, next.PausedBy = true, given
		}
	case ActionResume:
		next.resume()
	case ActionThrottle:
		if o.Throttle != c.Throttle || given.ends() || c.ThrottledBy.ends() {
			next.Throttle, next.ThrottledBy = o.Throttle, given
		}
		if o.Throttle == 0 {
			next.ThrottledBy = nil
		}
	case ActionAbort:
		next.Abort = next.Version
		if c.AbortedBy == nil || c.AbortedBy.Who == "" {
			next.AbortedBy = given
		}
	case ActionFinish:
		if len(o.Ends) == 0 {
			return refuse("where the topic ends is not known")
		}
		if c.Finish == nil || !maps.Equal(c.Finish.Ends, o.Ends) || c.Finish.Topic != o.Topic {
			next.Finish = &Finish{Given: *given, Version: next.Version, Ends: o.Ends, Topic: o.Topic}
		}
	case ActionPostpone:
		next.StartsAt = o.StartsAt
		switch start := c.Start(campaign); {
		case !now.Before(start):
			return refuse("the campaign started at %s: pause it", start.Format(time.RFC3339))
		case o.StartsAt == nil && c.StartsAt == nil:
			return refuse("it is not postponed")
		case o.StartsAt != nil && o.StartsAt.Before(campaign.StartsAt):
			return refuse("%s is before the spec's starts_at, %s: run --now starts early", o.StartsAt.Format(time.RFC3339), campaign.StartsAt.Format(time.RFC3339))
		case o.StartsAt != nil && !campaign.EndsAt.IsZero() && !o.StartsAt.Before(campaign.EndsAt):
			return refuse("%s is not before ends_at, %s", o.StartsAt.Format(time.RFC3339), campaign.EndsAt.Format(time.RFC3339))
		case !next.Start(campaign).After(now): // a slip of the pen must not start it at once
			return refuse("%s has passed: postpone to a moment that is to come", next.Start(campaign).Format(time.RFC3339))
		}
	case ActionStartEarly, ActionForce, ActionNewTopic, ActionExpire, ActionReplay, ActionAct, ActionExport, ActionImport,
		ActionRebuild, ActionReconcile, ActionTake, ActionPropose, ActionApprove, ActionReject, ActionPurge: // Notes
		next.Version = c.Version // recorded, but nothing for replicas to obey
	}
	return next, nil
}

// resume takes back what keeps users from being granted: a pause and an abort or, when there is neither, an order to
// finish. Who resumes a campaign that is to finish and was paused wants it to finish.
func (c *Control) resume() {
	c.Resumed = c.Version
	if !c.Paused && c.AbortedBy == nil {
		c.Finish = nil
	}
	c.Paused, c.PausedBy, c.Abort, c.AbortedBy = false, nil, 0, nil
}
