package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/granter/granter/grant"
)

const (
	steerEvery   = 200 * time.Millisecond // so that every order is obeyed within a second, also when a call takes a while
	measureEvery = time.Second
	reportEvery  = time.Second
)

// steering decides how a run goes: by the orders of operators, by what is measured, and by what the run waits for it opens,
// narrows or closes the gate, says what holds the run, and ends it. It is safe for concurrent use.
type steering struct {
	steeringInputs

	carryOut func(decision) // called with each decision, one at a time
	report   func()         // called once a second, and whenever other orders are obeyed

	mu        sync.Mutex
	begun     bool                   // the run no longer waits for its start
	scheduled bool                   // it began because its start had come, and waits again if that is postponed after all
	waits     map[grant.Cause]string // what it waits for before it reads anything, and details
	early     time.Time              // until when the ledger refuses because it is before the start
	refusal   string                 // what it said
	measured  grant.Measurement
	limit     ownLimit
	holds     holds
	lists     lists
}

// steeringInputs is what decisions are made by. Its fields are not changed.
type steeringInputs struct {
	campaign *grant.Campaign
	orders   *orderReader
	gate     *Gate
	observed func() []grant.Hold             // what others found to keep users waiting
	settle   func(ctx context.Context) error // reads again whom the spec excludes, after a pause; nil: nobody
	standBy  bool                            // an abort holds a run that has not begun, and does not end it
	retryFor time.Duration                   // how long orders or budget may fail
	log      *slog.Logger

	measure func(ctx context.Context, latency time.Duration) grant.Measurement // nil: no feedback
}

// decision is how a run goes until the next one.
type decision struct {
	control *grant.Control // what it obeys
	open    bool           // whether anybody may be granted anything
	limit   float64        // users per second of this replica; 0: none
	holds   []grant.Hold   // why it is slow or stopped, the weightiest first
	redis   grant.RedisHealth
	start   *time.Time // nobody may be granted anything before it; nil: as it was
	end     error      // why the run is to end; nil: it goes on
}

func newSteering(in steeringInputs, carryOut func(decision), report func()) *steering {
	return &steering{
		steeringInputs: in, carryOut: carryOut, report: report,
		waits: map[grant.Cause]string{}, limit: ownLimit{at: time.Now()}, lists: lists{again: make(chan struct{}, 1)},
		holds: holds{since: map[grant.Cause]time.Time{}, log: in.log},
	}
}

// waitForOrders reads the orders for the first time: nobody may be granted anything before they are known.
func (s *steering) waitForOrders(ctx context.Context) error {
	for {
		err := s.orders.read(ctx)
		if err == nil {
			s.decide()
			return nil
		}
		final, known := errors.AsType[interface {
			error
			Temporary() bool
		}](err)
		if since, _ := s.orders.failed(); known && !final.Temporary() || time.Since(since) > s.retryFor {
			return err
		}
		select {
		case <-time.After(steerEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run steers until the context ends.
func (s *steering) run(ctx context.Context) {
	tick := time.NewTicker(steerEvery)
	defer tick.Stop()
	reported := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		before := s.orders.control().Version
		s.orders.read(ctx) //nolint:errcheck // the decision shows it
		s.decide()
		if now := time.Now(); s.orders.control().Version != before || now.Sub(reported) >= reportEvery {
			reported = now
			s.report()
			s.orders.recordEnds(ctx)
			s.orders.resetLatency()
		}
	}
}

// runMeasurements asks how the servers are, and sets this replica's own limit by it, until the context ends.
func (s *steering) runMeasurements(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		m := s.measure(ctx, s.orders.latency())
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.measured = m
		s.limit.adjust(&m, s.gate.Admitted(), time.Now())
		s.mu.Unlock()
		s.decide()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// wait says that the run waits for something before it begins; an empty detail says that it does no longer.
func (s *steering) wait(cause grant.Cause, detail string) {
	s.mu.Lock()
	if detail == "" {
		delete(s.waits, cause)
	} else {
		s.waits[cause] = detail
	}
	s.mu.Unlock()
	s.decide()
}

// begin says that the run begins: because its start has come, or before it.
func (s *steering) begin(scheduled bool) {
	s.mu.Lock()
	s.begun, s.scheduled = true, scheduled
	s.mu.Unlock()
	s.wait(grant.CauseSchedule, "")
}

// tooEarly says that the ledger refuses because it is before the start.
func (s *steering) tooEarly(left time.Duration, refusal error) {
	if left < steerEvery {
		return // clocks are never the same
	}
	s.mu.Lock()
	s.early, s.refusal = time.Now().Add(left), refusal.Error()
	s.mu.Unlock()
	s.decide()
}

// decide makes a decision by what is known now, and has it carried out.
func (s *steering) decide() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	d := decision{control: s.orders.control(), limit: s.limit.rate, redis: s.measured.Redis, end: s.ends(now)}
	d.redis.LatencySeconds, d.redis.ClockAhead = s.orders.latency().Seconds(), s.orders.clockAhead().Seconds()
	causes := s.causes(d.control)
	early := now.Before(s.early)
	if early {
		causes[grant.CauseSchedule] = grant.Hold{Detail: s.refusal}
	}
	if s.scheduled {
		start := s.orders.start()
		d.start = &start
		if start.After(s.orders.now()) { // it was postponed in the last moment
			early = true
			causes[grant.CauseSchedule] = grant.Hold{Detail: startsAt(start)}
		}
	}
	if why := s.relist(d.control); why != "" {
		causes[grant.CausePreflight] = grant.Hold{Detail: why}
	}
	d.open = !d.control.Paused && !early && len(s.measured.Stop) == 0 && s.lists.settled == s.lists.due
	d.holds = s.holds.update(causes, now)
	s.carryOut(d)
}

// causes returns what keeps users waiting, apart from the start.
func (s *steering) causes(c *grant.Control) map[grant.Cause]grant.Hold {
	out := map[grant.Cause]grant.Hold{}
	for _, list := range [][]grant.Hold{s.measured.Slow, s.measured.Stop} {
		for _, h := range list {
			out[h.Cause] = grant.Hold{Detail: h.Detail}
		}
	}
	for cause, detail := range maps.All(s.waits) {
		out[cause] = grant.Hold{Detail: detail}
	}
	for _, order := range c.Standing(s.campaign.StartsAt.Location()) {
		switch order.Action {
		case grant.ActionPause:
			out[grant.CauseOperator] = grant.Hold{Detail: order.Says}
		case grant.ActionThrottle:
			out[grant.CauseThrottle] = grant.Hold{Detail: order.Says}
		default: // holds nobody who has begun
		}
	}
	for _, h := range s.observed() {
		out[h.Cause] = h
	}
	if _, err := s.gate.Failed(); err != nil && !errors.Is(err, context.Canceled) {
		out[grant.CauseUnavailable] = grant.Hold{Detail: err.Error()}
	}
	if since, err := s.orders.failed(); err != nil && time.Since(since) > time.Second {
		out[grant.CauseUnavailable] = grant.Hold{Detail: err.Error()}
	}
	return out
}

// ends returns why the run is to end, if it is: by an order; or because, for as long as it tries anything again, its orders
// cannot be read, or the budget of a limit cannot be used. Nobody could stop it then, or it would wait for ever: a key that
// is broken does not mend itself.
func (s *steering) ends(now time.Time) error {
	if by := s.orders.control().AbortedBy; by != nil && (s.begun || !s.standBy) {
		return &AbortedError{Order: *by, Zone: s.campaign.StartsAt.Location()}
	}
	what := "the orders of operators cannot be read"
	since, err := s.orders.failed()
	if err == nil {
		what = "the budget that replicas share under a limit cannot be used"
		if since, err = s.gate.Failed(); errors.Is(err, context.Canceled) {
			return nil
		}
	}
	if err == nil || !s.begun || now.Sub(since) <= s.retryFor {
		return nil
	}
	return fmt.Errorf("%s for %s, and the run ends with a checkpoint: %w", what, s.retryFor, err)
}

func startsAt(start time.Time) string { return "the campaign starts at " + start.Format(time.RFC3339) }
