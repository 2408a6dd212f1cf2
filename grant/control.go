package grant

import (
	"errors"
	"fmt"
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
	Abort    int64      `json:"abort,omitempty"`     // version of the last abort: runs that began before it stop
	Finish   *Finish    `json:"finish,omitempty"`    // the last order to finish
}

// Finish tells runs that began before it where the topic ends for them.
type Finish struct {
	Version int64         `json:"version"`
	Ends    map[int]int64 `json:"ends"` // partition → offset
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
	out := *c
	out.Paused = c.Paused || before.Paused
	if c.Throttle == 0 || before.Throttle > 0 && before.Throttle < c.Throttle {
		out.Throttle = before.Throttle
	}
	if before.Start(campaign).After(c.Start(campaign)) {
		out.StartsAt = before.StartsAt
	}
	return &out
}

// finish returns the version of the last order to finish; 0: there was none.
func (c *Control) finish() int64 {
	if c.Finish == nil {
		return 0
	}
	return c.Finish.Version
}

// Action is what somebody did.
type Action string

// The actions. All but the last two are orders, which change the Control.
const (
	ActionPause      Action = "pause"
	ActionResume     Action = "resume"
	ActionThrottle   Action = "throttle"
	ActionAbort      Action = "abort"
	ActionFinish     Action = "finish"
	ActionPostpone   Action = "postpone"
	ActionStartEarly Action = "start-early" // run --now before starts_at
	ActionForce      Action = "force"       // run --force although preflight failed
)

// Order is what an operator wants. Its zero value orders nothing.
type Order struct {
	Action   Action        `json:"action"`
	Throttle int64         `json:"throttle,omitempty"`  // ActionThrottle: users per second; 0 lifts the limit
	StartsAt *time.Time    `json:"starts_at,omitempty"` // ActionPostpone: the new start; nil goes back to the spec's
	Ends     map[int]int64 `json:"ends,omitempty"`      // ActionFinish: where each partition ends
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
	case ActionPause, ActionResume, ActionAbort, ActionFinish, ActionPostpone, ActionStartEarly, ActionForce:
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
// order could do.
func (c *Control) Apply(o *Order, campaign *Campaign, now time.Time) (Control, error) {
	next := *c
	next.Version++
	refuse := func(format string, args ...any) (Control, error) {
		return *c, fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
	}
	switch o.Action {
	case ActionPause: // also when it is paused: after a loss replicas may know better than Redis
		next.Paused = true
	case ActionResume:
		next.Paused = false
	case ActionThrottle:
		next.Throttle = o.Throttle
	case ActionAbort:
		next.Abort = next.Version
	case ActionFinish:
		if len(o.Ends) == 0 {
			return refuse("where the topic ends is not known")
		}
		next.Finish = &Finish{Version: next.Version, Ends: o.Ends}
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
	case ActionStartEarly, ActionForce:
		next.Version = c.Version // recorded, but nothing for replicas to obey
	}
	return next, nil
}

// Cause says why a run goes slower than it could, or stands.
type Cause string

// The causes, the weightiest first.
const (
	CauseUnavailable Cause = "ledger_unavailable" // Redis refuses or does not answer
	CauseOperator    Cause = "operator_pause"
	CauseCritical    Cause = "critical" // a measurement passed --pause-at
	CausePreflight   Cause = "preflight"
	CauseSchedule    Cause = "schedule"    // before the start
	CauseLatency     Cause = "latency"     // of Redis, above --slow-at
	CauseMemory      Cause = "memory"      // of Redis
	CauseReplicaLag  Cause = "replica_lag" // of Redis's replicas
	CauseQuery       Cause = "query"       // the operator's Prometheus query returned something
	CauseThrottle    Cause = "operator_throttle"
)

// Causes are all causes, the weightiest first.
func Causes() []Cause {
	return []Cause{
		CauseUnavailable, CauseOperator, CauseCritical, CausePreflight, CauseSchedule,
		CauseLatency, CauseMemory, CauseReplicaLag, CauseQuery, CauseThrottle,
	}
}

// Stops reports whether nothing is granted while the cause lasts.
func (c Cause) Stops() bool {
	switch c {
	case CauseUnavailable, CauseOperator, CauseCritical, CausePreflight, CauseSchedule:
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
