package grant

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
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

	Version int64         `json:"version"`
	Ends    map[int]int64 `json:"ends"`           // partition → offset; one that is not in it has nothing to grant
	Topic   TopicID       `json:"topic,omitzero"` // what those offsets count in; zero: not known, as of 0c10d32
}

// Of reports whether an order to finish may be one for a topic: its offsets mean nothing in one that was made again.
func (f *Finish) Of(t TopicID) bool { return !f.Topic.Known() || !t.Known() || f.Topic == t }

// Given says when an order was given that holds, by whom and why. It is empty for one of 0c10d32.
type Given struct {
	At  time.Time `json:"at,omitzero"`
	Who string    `json:"who,omitempty"`
	Why string    `json:"why,omitempty"`
}

// By puts it into words, with the time in a zone.
func (g *Given) By(zone *time.Location) string {
	if g == nil || g.Who == "" {
		return "by an operator: granter history says by whom and why"
	}
	return fmt.Sprintf("by %s at %s: %s", g.Who, g.At.In(zone).Format(time.RFC3339), g.Why)
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

// withLost returns what to obey when Redis has lost the last orders: of what was obeyed before and what was found, the
// more careful. What was found may also be newer than the loss.
func (c *Control) withLost(before *Control, campaign *Campaign) *Control {
	out := *c.withStop(before)
	if c.Throttle == 0 || before.Throttle > 0 && before.Throttle < c.Throttle {
		out.Throttle, out.ThrottledBy = before.Throttle, before.ThrottledBy
	}
	if before.Start(campaign).After(c.Start(campaign)) {
		out.StartsAt = before.StartsAt
	}
	out.Finish = c.Finish.nearer(before.Finish)
	return &out
}

// withStop returns a control that stops if either does.
func (c *Control) withStop(before *Control) *Control {
	out := *c
	if before.Paused && !c.Paused {
		out.Paused, out.PausedBy = true, before.PausedBy
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
	out.Ends = map[int]int64{}
	for p, end := range f.Ends {
		if limit, ok := other.Ends[p]; ok {
			out.Ends[p] = min(end, limit)
		}
	}
	return &out
}

// Action is what somebody did.
type Action string

// The actions. All but the last three are orders, which change the Control.
const (
	ActionPause      Action = "pause"
	ActionResume     Action = "resume"
	ActionThrottle   Action = "throttle"
	ActionAbort      Action = "abort"
	ActionFinish     Action = "finish"
	ActionPostpone   Action = "postpone"
	ActionStartEarly Action = "start-early" // run --now before starts_at
	ActionForce      Action = "force"       // run --force although preflight failed
	ActionNewTopic   Action = "new-topic"   // run --new-topic began anew at the first record of a topic
)

// Order is what an operator wants. Its zero value orders nothing.
type Order struct {
	Action   Action        `json:"action"`
	Throttle int64         `json:"throttle,omitempty"`  // ActionThrottle: users per second; 0 lifts the limit
	StartsAt *time.Time    `json:"starts_at,omitempty"` // ActionPostpone: the new start; nil goes back to the spec's
	Ends     map[int]int64 `json:"ends,omitempty"`      // ActionFinish: where each partition ends
	Topic    TopicID       `json:"topic,omitzero"`      // ActionFinish: what those offsets count in
	Who      string        `json:"who"`                 // a person, or the name of a token
	Via      string        `json:"via"`                 // how it came: "cli" or "api"
	Why      string        `json:"why"`
}

// Act is one entry of the audit trail: an order, what it changed, or that it was refused.
type Act struct {
	At      time.Time `json:"at"` // by the clock of Redis
	Action  Action    `json:"action"`
	Who     string    `json:"who"`
	Via     string    `json:"via"`
	Why     string    `json:"why,omitempty"`
	Before  *Control  `json:"before,omitempty"`
	After   *Control  `json:"after,omitempty"`
	Refused string    `json:"refused,omitempty"` // why nothing was done; empty: it was done
}

// ErrRefused means that an order cannot be carried out as things are. Nothing was changed.
var ErrRefused = errors.New("refused")

const maxWhy = 500 // bytes

// Validate reports what is wrong with an order in itself.
func (o *Order) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch o.Action {
	case ActionPause, ActionResume, ActionAbort, ActionFinish, ActionPostpone, ActionStartEarly, ActionForce, ActionNewTopic:
	case ActionThrottle:
		if o.Throttle < 0 {
			wrong("throttle %d: want users per second, or 0 for no limit", o.Throttle)
		}
	default:
		wrong("action %q: want pause, resume, throttle, abort, finish or postpone", o.Action)
	}
	if strings.TrimSpace(o.Who) == "" {
		wrong("who orders it is missing")
	}
	switch {
	case strings.TrimSpace(o.Why) == "":
		wrong("say why: the audit trail keeps it for those who ask tomorrow")
	case len(o.Why) > maxWhy: // spaces too: they are stored
		wrong("the reason has %d bytes: %d at most", len(o.Why), maxWhy)
	}
	return errors.Join(errs...)
}

// Apply returns the control after an order that comes at a time. It fails with ErrRefused when there is nothing that the
// order could do. An order that changes nothing counts all the same: after a loss replicas may know better than Redis.
func (c *Control) Apply(o *Order, campaign *Campaign, now time.Time) (Control, error) {
	next := *c
	next.Version++
	given := &Given{At: now.UTC(), Who: o.Who, Why: o.Why}
	refuse := func(format string, args ...any) (Control, error) {
		return *c, fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
	}
	switch o.Action {
	case ActionPause:
		if !c.Paused {
			next.Paused, next.PausedBy = true, given
		}
	case ActionResume:
		next.resume()
	case ActionThrottle:
		if o.Throttle != c.Throttle {
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
	case ActionStartEarly, ActionForce, ActionNewTopic:
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

// Unchanged reports whether an order was carried out and there was nothing for it to change.
func (a *Act) Unchanged() bool {
	if a.Refused != "" || a.Before == nil || a.After == nil || a.Action == ActionStartEarly || a.Action == ActionForce || a.Action == ActionNewTopic {
		return false
	}
	before, after := *a.Before, *a.After
	before.Version, before.Resumed, before.Abort = after.Version, after.Resumed, after.Abort
	return reflect.DeepEqual(before, after)
}

// Cause says why a run goes slower than it could, or stands.
type Cause string

// The causes, the weightiest first.
const (
	CauseUnavailable Cause = "ledger_unavailable" // Redis refuses or does not answer
	CauseAborted     Cause = "operator_abort"     // it stands by until resume
	CauseFinished    Cause = "operator_finish"    // it stands by: everything up to where it was ordered to finish is granted
	CauseOperator    Cause = "operator_pause"
	CauseCritical    Cause = "critical" // a measurement passed --pause-at
	CausePreflight   Cause = "preflight"
	CauseSchedule    Cause = "schedule"         // before the start
	CauseTransaction Cause = "open_transaction" // of a producer: what is behind it in its partitions waits, the others go on
	CauseLatency     Cause = "latency"          // of Redis, above --slow-at
	CauseMemory      Cause = "memory"           // of Redis
	CauseReplicaLag  Cause = "replica_lag"      // of Redis's replicas
	CauseQuery       Cause = "query"            // the operator's Prometheus query returned something
	CauseThrottle    Cause = "operator_throttle"
)

// Causes are all causes, the weightiest first.
func Causes() []Cause {
	return []Cause{
		CauseUnavailable, CauseAborted, CauseFinished, CauseOperator, CauseCritical, CausePreflight, CauseSchedule,
		CauseTransaction, CauseLatency, CauseMemory, CauseReplicaLag, CauseQuery, CauseThrottle,
	}
}

// Stops reports whether nothing is granted while the cause lasts.
func (c Cause) Stops() bool {
	switch c {
	case CauseUnavailable, CauseAborted, CauseFinished, CauseOperator, CauseCritical, CausePreflight, CauseSchedule:
		return true
	default:
		return false
	}
}

// Hold is a cause that is in force in one replica.
type Hold struct {
	Cause  Cause     `json:"cause"`
	Detail string    `json:"detail"` // for people: what was measured, and the limit
	Since  time.Time `json:"since"`
}
