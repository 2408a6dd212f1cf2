package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/granter/granter/grant"
)

// Orders is where operators' orders are, for all replicas.
type Orders interface {
	Budget
	// Control returns what has been ordered, and the time by the clock that all replicas go by. It makes one attempt.
	Control(ctx context.Context) (grant.Control, time.Time, error)
}

const (
	steerEvery   = 200 * time.Millisecond // so that every order is obeyed within a second, also when a call takes a while
	steerFor     = 2 * time.Second        // how long the orders are waited for
	measureEvery = time.Second
	reportEvery  = time.Second

	// How feedback changes a replica's own limit, once a second: down fast, up slowly, as TCP does.
	slowDown, speedUp = 0.7, 1.3
	slowest           = 100 // users per second
)

// steering makes a run obey: it reads the orders, looks at the measurements, and opens, narrows or closes the gate.
type steering struct {
	run  *Run
	gate *Gate

	control   atomic.Pointer[grant.Control]
	lost      *grant.Control // what was found after Redis lost orders; nil: it did not
	begun     atomic.Bool    // the run no longer stands by
	scheduled atomic.Bool    // the run began because its start had come, and waits again if it is postponed after all
	told      chan struct{}  // asks for the run's record to be stored

	limit      float64 // that feedback sets; 0: none
	measured   grant.Measurement
	latency    time.Duration // the worst since the last report
	ahead      atomic.Int64  // clock of the orders minus this one's, in nanoseconds
	failing    time.Time     // since when the orders cannot be read
	failure    error
	admitted   int64
	admittedAt time.Time
	since      map[grant.Cause]time.Time

	mu      sync.Mutex
	blocked map[grant.Cause]string // what the run itself waits for before it reads anything, and details
	early   time.Time              // until when the ledger refuses because it is before the start
	earlier string                 // what it said
}

// now is the time by the clock of the orders, which all replicas go by.
func (s *steering) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// tooEarly says that the ledger refuses because it is before the start.
func (s *steering) tooEarly(left time.Duration, refusal error) {
	if left < steerEvery {
		return // clocks are never the same
	}
	s.mu.Lock()
	s.early, s.earlier = time.Now().Add(left), refusal.Error()
	s.mu.Unlock()
	s.apply()
}

// start reads the orders for the first time, since nobody may be granted anything before that, and then steers until stop
// is called.
func (s *steering) start(ctx context.Context) (stop func(), err error) {
	s.since, s.blocked, s.told = map[grant.Cause]time.Time{}, map[grant.Cause]string{}, make(chan struct{}, 1)
	s.control.Store(&grant.Control{})
	if s.run.Orders == nil {
		s.gate.Set(true, 0, 0)
		return func() {}, nil
	}
	for s.look(ctx) != nil {
		final, known := errors.AsType[interface {
			error
			Temporary() bool
		}](s.failure)
		if known && !final.Temporary() || time.Since(s.failing) > s.run.RetryFor {
			return nil, s.failure
		}
		select {
		case <-time.After(steerEvery):
		case <-s.run.draining.Done():
			return nil, context.Cause(s.run.draining)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.apply()
	s.obey()
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { s.gate.Refill(ctx) })
	work.Go(func() { s.steer(ctx) })
	work.Go(func() { s.report(ctx) })
	work.Go(func() { s.run.survey.run(ctx) })
	if s.run.Measure != nil {
		work.Go(func() { s.measure(ctx) })
	}
	if s.run.Count != nil {
		work.Go(func() { s.run.survey.runCount(ctx) })
	}
	return func() { cancel(); work.Wait() }, nil
}

// steer reads the orders and obeys, again and again.
func (s *steering) steer(ctx context.Context) {
	tick := time.NewTicker(steerEvery)
	defer tick.Stop()
	reported := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		before := s.control.Load().Version
		s.look(ctx) //nolint:errcheck // s.failure has it, and apply shows it
		s.apply()
		s.obey()
		s.giveUp()
		if now := time.Now(); s.control.Load().Version != before || now.Sub(reported) >= reportEvery {
			reported = now
			select {
			case s.told <- struct{}{}:
			default:
			}
			s.mu.Lock()
			s.latency = 0
			s.mu.Unlock()
		}
	}
}

// report stores the run's record when it is asked to. It may take as long as Redis refuses, so no order waits for it.
func (s *steering) report(ctx context.Context) {
	for {
		select {
		case <-s.told:
			s.run.report(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look reads the orders once.
func (s *steering) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, steerFor)
	defer cancel()
	began := time.Now()
	control, now, err := s.run.Orders.Control(ctx)
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	s.latency = max(s.latency, took)
	if err != nil {
		if s.failing.IsZero() {
			s.failing = began
		}
		return err
	}
	s.failing = time.Time{}
	s.ahead.Store(int64(now.Sub(began.Add(took / 2))))
	s.control.Store(s.known(&control))
	return nil
}

// known returns the orders to obey when some were found. A Redis that lost a pause must not make anybody go on, so what
// it lost stays in force until somebody orders something; what somebody ordered before the loss was noticed counts, too.
// A pause or an abort that it lost ends by an order to resume only. It is called with the lock held.
func (s *steering) known(found *grant.Control) *grant.Control {
	old := s.control.Load()
	lost := s.lost
	s.lost = found
	switch {
	case found.Version < old.Version, lost != nil && found.Version == lost.Version:
		if lost == nil || lost.Version != found.Version {
			s.run.Log.Error("Redis lost orders of operators; the ones before the loss are obeyed until there is a new one",
				"found", found.Version, "obeyed", old.Version)
		}
		return found.WithLost(old, s.run.Campaign)
	case lost != nil && found.Resumed == lost.Resumed:
		return found.WithStop(old)
	}
	s.lost = nil
	return found
}

// obey carries out the orders that end a run.
func (s *steering) obey() {
	c := s.control.Load()
	if by := c.AbortedBy; by != nil && (s.begun.Load() || !s.run.StandBy) {
		s.run.drain(&AbortedError{Order: *by, Zone: s.run.Campaign.StartsAt.Location()})
	}
	s.run.aim(c.Finish)
}

// giveUp ends a run that has begun when for as long as it tries anything again its orders cannot be read, or the budget of
// a limit cannot be used. Nobody could stop it, or it would stand for ever: a key that is broken does not mend itself.
func (s *steering) giveUp() {
	s.mu.Lock()
	since, err, what := s.failing, s.failure, "the orders of operators cannot be read"
	s.mu.Unlock()
	if err == nil {
		what = "the budget that replicas share under a limit cannot be used"
		if since, err = s.gate.Failed(); errors.Is(err, context.Canceled) {
			return
		}
	}
	if err != nil && s.begun.Load() && time.Since(since) > s.run.RetryFor {
		s.run.drain(fmt.Errorf("%s for %s, and the run ends with a checkpoint: %w", what, s.run.RetryFor, err))
	}
}

// block says that the run itself waits for something; an empty detail says that it does no longer.
func (s *steering) block(cause grant.Cause, detail string) {
	s.mu.Lock()
	if detail == "" {
		delete(s.blocked, cause)
	} else {
		s.blocked[cause] = detail
	}
	s.mu.Unlock()
	s.apply()
}

// apply sets the gate by what is known, and tells the monitor why.
func (s *steering) apply() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.control.Load()
	causes := map[grant.Cause]string{}
	add := func(list []grant.Hold) {
		for _, h := range list {
			causes[h.Cause] = h.Detail
		}
	}
	add(s.measured.Slow)
	add(s.measured.Stop)
	maps.Copy(causes, s.blocked)
	for _, order := range c.Standing(s.run.Campaign.StartsAt.Location()) {
		switch order.Action {
		case grant.ActionPause:
			causes[grant.CauseOperator] = order.Says
		case grant.ActionThrottle:
			causes[grant.CauseThrottle] = order.Says
		default: // holds nobody who has begun
		}
	}
	if s.failure != nil && time.Since(s.failing) > time.Second {
		causes[grant.CauseUnavailable] = s.failure.Error()
	} else if _, err := s.gate.Failed(); err != nil && !errors.Is(err, context.Canceled) {
		causes[grant.CauseUnavailable] = err.Error()
	}
	now := time.Now()
	began := map[grant.Cause]time.Time{}
	for _, h := range s.run.Monitor.observed() {
		if _, known := causes[h.Cause]; !known {
			causes[h.Cause], began[h.Cause] = h.Detail, h.Since
		}
	}
	early := now.Before(s.early)
	if early {
		causes[grant.CauseSchedule] = s.earlier
	}
	if s.scheduled.Load() {
		start := c.Start(s.run.Campaign)
		s.run.Ledger.NotBefore(start)
		if start.After(s.now()) { // it was postponed in the last moment
			early = true
			causes[grant.CauseSchedule] = "the campaign starts at " + start.Format(time.RFC3339)
		}
	}
	s.gate.Set(!c.Paused && !early && len(s.measured.Stop) == 0, c.Throttle, s.limit)

	for cause, since := range s.since {
		if _, still := causes[cause]; !still {
			s.run.Log.Info("no longer held", "cause", cause, "for", now.Sub(since).Round(time.Millisecond).String())
			delete(s.since, cause)
		}
	}
	var holds []grant.Hold
	for _, cause := range grant.Causes() {
		detail, in := causes[cause]
		if !in {
			continue
		}
		if s.since[cause].IsZero() {
			s.since[cause] = cmp.Or(began[cause], now)
			s.run.Log.Warn("held", "cause", cause, "detail", detail)
		}
		holds = append(holds, grant.Hold{Cause: cause, Detail: detail, Since: s.since[cause].UTC()})
	}
	health := s.measured.Redis
	health.LatencySeconds, health.ClockAhead = s.latency.Seconds(), time.Duration(s.ahead.Load()).Seconds()
	s.run.Monitor.steer(c, steered{control: c.Version, holds: holds, limit: s.limit, redis: health})
}

// measure asks how the servers are, and sets this replica's own limit by it.
func (s *steering) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	s.admittedAt = time.Now()
	for {
		s.mu.Lock()
		latency := s.latency
		s.mu.Unlock()
		m := s.run.Measure(ctx, latency)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.measured = m
		s.mu.Unlock()
		s.feedBack(&m)
		s.apply()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// feedBack changes the limit of this replica: less while anything is above its limit, more when nothing is, and none when
// it no longer binds.
func (s *steering) feedBack(m *grant.Measurement) {
	admitted, now := s.gate.Admitted(), time.Now()
	rate := float64(admitted-s.admitted) / max(now.Sub(s.admittedAt), time.Millisecond).Seconds() // measuring may take long
	s.admitted, s.admittedAt = admitted, now
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(m.Slow) > 0 && s.limit == 0:
		s.limit = max(rate*slowDown, slowest)
	case len(m.Slow) > 0:
		s.limit = max(min(s.limit, max(rate, slowest))*slowDown, slowest)
	case s.limit == 0 || m.Unsure || len(m.Stop) > 0:
	case rate < s.limit/2:
		s.limit = 0
	default:
		s.limit = math.Ceil(s.limit * speedUp)
	}
}
