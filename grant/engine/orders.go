package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/granter/granter/grant"
)

// Orders is where operators' orders are, for all replicas. Its methods are called concurrently.
type Orders interface {
	Budget
	// Control returns which orders are in force, and the time by the clock that all replicas go by. It makes one attempt. An
	// error that has a method Temporary which returns false does not pass by itself.
	Control(ctx context.Context) (grant.Control, time.Time, error)
	// Expire records which orders have come to their end, unless another replica has. It makes one attempt.
	Expire(ctx context.Context) error
}

// ordersFor is how long the orders are waited for.
const ordersFor = 2 * time.Second

// orderReader knows the orders that a run obeys, and the time by their clock.
type orderReader struct {
	source   Orders // nil: nobody gives any
	campaign *grant.Campaign
	log      *slog.Logger

	obeyed atomic.Pointer[grant.Control]
	ahead  atomic.Int64 // clock of the orders minus this one's, in nanoseconds

	mu      sync.Mutex
	lost    *grant.Control // what was found after Redis lost orders; nil: it did not
	settled int64          // version up to which ends of orders are recorded; the steering's alone
	failing time.Time      // since when they cannot be read
	failure error
	slowest time.Duration // answer since latency was last reset
}

func newOrderReader(source Orders, campaign *grant.Campaign, log *slog.Logger) *orderReader {
	o := &orderReader{source: source, campaign: campaign, log: log}
	o.obeyed.Store(&grant.Control{})
	return o
}

// control returns the orders to obey. It is not to be changed.
func (o *orderReader) control() *grant.Control { return o.obeyed.Load() }

// now is the time by the clock of the orders, which all replicas go by.
func (o *orderReader) now() time.Time { return time.Now().Add(o.clockAhead()) }

func (o *orderReader) clockAhead() time.Duration { return time.Duration(o.ahead.Load()) }

// start returns when the campaign starts.
func (o *orderReader) start() time.Time { return o.control().Start(o.campaign) }

// ended reports whether nobody may be granted anything any more.
func (o *orderReader) ended() bool {
	end := o.campaign.EndsAt
	return !end.IsZero() && !o.now().Before(end)
}

// failed returns why the orders could not be read, and since when that is so; nil when they were.
func (o *orderReader) failed() (since time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failing, o.failure
}

// latency returns how long the slowest answer took since the last reset.
func (o *orderReader) latency() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.slowest
}

func (o *orderReader) resetLatency() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.slowest = 0
}

// read reads the orders once.
func (o *orderReader) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ordersFor)
	defer cancel()
	began := time.Now()
	found, now, err := o.source.Control(ctx)
	took := time.Since(began)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failure = err
	o.slowest = max(o.slowest, took)
	if err != nil {
		if o.failing.IsZero() {
			o.failing = began
		}
		return err
	}
	o.failing = time.Time{}
	o.ahead.Store(int64(now.Sub(began.Add(took / 2))))
	obey := *o.inForce(&found)
	version := obey.Version // an order that Redis lost ends as it would have; nothing of that is to be recorded there
	obey = obey.InForce(now)
	obey.Version = version
	o.obeyed.Store(&obey)
	return nil
}

// recordEnds records which orders have come to their end. They are over whether or not that can be written down now: if
// not, it is tried again with the next call.
func (o *orderReader) recordEnds(ctx context.Context) {
	version := o.control().Version
	if version == o.settled {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ordersFor)
	defer cancel()
	if err := o.source.Expire(ctx); err != nil {
		o.log.Warn("that an order has come to its end could not be recorded", "error", err)
		return
	}
	o.settled = version
}

// inForce returns the orders to obey when some were found. A Redis that lost a pause must not make anybody go on, so what
// it lost stays in force until somebody orders something; what somebody ordered before the loss was noticed counts, too.
// A pause or an abort that it lost ends by an order to resume only. It is called with the lock held.
func (o *orderReader) inForce(found *grant.Control) *grant.Control {
	old := o.control()
	lost := o.lost
	o.lost = found
	switch {
	case found.Version < old.Version, lost != nil && found.Version == lost.Version:
		if lost == nil || lost.Version != found.Version {
			o.log.Error("Redis lost orders of operators; the ones before the loss are obeyed until there is a new one",
				"found", found.Version, "obeyed", old.Version)
		}
		return found.WithLost(old, o.campaign)
	case lost != nil && found.Resumed == lost.Resumed:
		return found.WithStop(old)
	}
	o.lost = nil
	return found
}
