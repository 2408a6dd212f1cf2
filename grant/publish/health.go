package publish

import (
	"context"
	"sync"
	"time"

	"github.com/granter/granter/grant"
)

// State is how a subscriber is served.
type State string

// The states of a subscriber.
const (
	StateWaiting State = "waiting" // another process publishes to it, or nothing is known yet
	StateSending State = "sending"
	StateCurrent State = "current" // it has everything
	StateFailing State = "failing" // it does not take what is sent, which is tried again
)

// Health is how a subscriber is served by this process, and what it has got from it.
type Health struct {
	Subscriber string    `json:"subscriber"`
	State      State     `json:"state"`
	Since      time.Time `json:"since"`
	Error      string    `json:"error,omitempty"` // of the last attempt; only while it fails
	Events     int64     `json:"events"`          // that were acknowledged, of this process

	last   time.Time // when some were; zero: none
	Behind int64     `json:"behind_entries"` // of the journals, when they were looked at last
}

// Health returns how the subscriber is served.
func (p *Publisher) Health() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health
}

// says notes the state; it is logged when it changes.
func (p *Publisher) says(s State, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.health.Error = ""; err != nil {
		p.health.Error = err.Error()
	}
	if p.health.State == s {
		return
	}
	switch {
	case s == StateFailing:
		p.Log.Error("the subscriber does not take events; it is tried again, and loses nothing",
			"subscriber", p.Name, "error", err)
	case p.health.State == StateFailing:
		p.Log.Info("the subscriber takes events again",
			"subscriber", p.Name, "for", time.Since(p.health.Since).Round(time.Second).String())
	}
	p.health.State, p.health.Since = s, time.Now().UTC()
	select {
	case p.changed <- struct{}{}:
	default: // that one is to be told is known already
	}
	if p.Metrics != nil {
		failing := 0.0
		if s == StateFailing {
			failing = 1
		}
		p.Metrics.Failing.WithLabelValues(p.Name).Set(failing)
	}
}

// lag notes how many entries the subscriber does not have yet.
func (p *Publisher) lag(entries int64) {
	p.mu.Lock()
	p.health.Behind = entries
	p.mu.Unlock()
	if p.Metrics != nil {
		p.Metrics.Behind.WithLabelValues(p.Name).Set(float64(entries))
	}
	if entries > 0 {
		p.mu.Lock()
		failing := p.health.State == StateFailing
		p.mu.Unlock()
		if !failing {
			p.says(StateSending, nil)
		}
	}
}

// delivered counts events that were acknowledged.
func (p *Publisher) delivered(pieces []piece) {
	n := int64(count(pieces))
	p.says(StateSending, nil)
	p.mu.Lock()
	p.health.Events += n
	p.health.last = time.Now().UTC()
	p.mu.Unlock()
	if p.Metrics != nil {
		p.Metrics.Events.WithLabelValues(p.Name).Add(float64(n))
	}
}

// tell says in the ledger how the subscriber is served, for whoever looks there, while this process leads, and once more at the
// end.
func (p *Publisher) tell(ctx context.Context) {
	tick := time.NewTicker(grant.SubscriberEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.note(ctx, "")
		case <-p.changed:
			p.note(ctx, "")
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			p.note(last, grant.SubscriberStopped)
			cancel()
			return
		}
	}
}

// telling tells until what it returns is called.
func (p *Publisher) telling(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { p.tell(ctx) })
	return func() { cancel(); work.Wait() }
}

// note says once how the subscriber is served; ended: by nobody any more.
func (p *Publisher) note(ctx context.Context, ended grant.SubscriberState) {
	h := p.Health()
	if h.State == StateWaiting { // another process leads, and says it
		return
	}
	s := grant.Subscriber{
		Name: p.Name, State: grant.SubscriberState(h.State), Since: h.Since, Error: h.Error, Behind: h.Behind, Events: h.Events,
	}
	if !h.last.IsZero() {
		s.Last = &h.last
	}
	if ended != "" && h.State != StateFailing { // that it failed is worth more
		s.State, s.Since = ended, time.Now().UTC()
	}
	now, err := p.coordination.Now(ctx)
	if s.At = now.UTC(); err == nil {
		err = p.coordination.Tell(ctx, s)
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Warn("how the subscriber is served could not be noted", "subscriber", p.Name, "error", err)
	}
}
