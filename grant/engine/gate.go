package engine

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Budget is what all replicas together may grant under a limit.
type Budget interface {
	// Take returns how many users, from 0 to want, may be granted now, when all replicas together grant rate users per
	// second. What it returns is taken: a repeated call takes more.
	Take(ctx context.Context, want, rate int64) (int64, error)
}

const (
	refillEvery = 20 * time.Millisecond
	// A gate keeps this much in stock: more than comes between two refills on a busy machine, and little enough that a
	// replica with nothing to do takes nothing away from the others.
	stockFor = 60 * time.Millisecond
	// What comes back may fill it up to this: as much as a budget saves up.
	returnedFor = 500 * time.Millisecond
	takeFor     = time.Second // a budget that does not answer keeps the gate closed; it is asked again
)

// Gate implements sharding.Gate: it holds the lanes of one replica back while the run is paused or slowed down. It begins
// closed. It is safe for concurrent use.
type Gate struct {
	budget   Budget
	free     atomic.Bool // open and without any limit: the usual case costs one load for each block
	admitted atomic.Int64

	mu      sync.Mutex
	open    bool
	shared  int64   // users per second of all replicas; 0: no limit
	own     float64 // users per second of this replica; 0: no limit
	stock   int     // users that may be admitted
	out     int     // users that were admitted from the stock and not returned
	owed    float64 // what own has earned and nobody has taken yet
	changed chan struct{}
	failed  error     // of the last Take
	failing time.Time // since when each Take has failed
}

// NewGate makes a gate that takes from a budget while there is a shared limit.
func NewGate(budget Budget) *Gate {
	return &Gate{budget: budget, changed: make(chan struct{})}
}

// Set opens or closes the gate, and sets its limits: users per second of all replicas, and of this one. 0 is no limit.
func (g *Gate) Set(open bool, shared int64, own float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == open && g.shared == shared && g.own == own {
		return
	}
	if shared != g.shared || own == 0 {
		g.stock, g.out, g.owed = 0, 0, 0
	}
	g.open, g.shared, g.own = open, shared, own
	g.free.Store(open && shared == 0 && own == 0)
	g.wake()
}

// wake lets everybody who waits ask again. It is called with the lock held.
func (g *Gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// Admit implements sharding.Gate.
func (g *Gate) Admit(most int) int {
	if g.free.Load() {
		g.admitted.Add(int64(most))
		return most
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.open:
		return 0
	case g.shared > 0 || g.own > 0:
		most = min(most, (g.stock+3)/4) // some is left for the other lanes
		g.stock -= most
		g.out += most
	}
	g.admitted.Add(int64(most))
	return most
}

// Return implements sharding.Gate.
func (g *Gate) Return(unused int) {
	g.admitted.Add(-int64(unused))
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared == 0 && g.own == 0 {
		return
	}
	unused = min(unused, g.out) // what was admitted before the limit does not count
	g.out -= unused
	// A long stretch of duplicates must not save up for a rush afterwards.
	if g.stock = min(g.stock+unused, max(g.stock, worth(g.slower(), returnedFor))); g.open {
		g.wake()
	}
}

// slower returns the lower one of the limits, in users per second; 0: there is none. It is called with the lock held.
func (g *Gate) slower() float64 {
	if g.shared > 0 && (g.own == 0 || float64(g.shared) < g.own) {
		return float64(g.shared)
	}
	return g.own
}

// worth returns how many users a rate is in a time, rounded up.
func worth(rate float64, d time.Duration) int { return int(math.Ceil(rate * d.Seconds())) }

// Wait implements sharding.Gate.
func (g *Gate) Wait(ctx context.Context) error {
	g.mu.Lock()
	changed := g.changed
	ready := g.open && (g.shared == 0 && g.own == 0 || g.stock > 0)
	g.mu.Unlock()
	if ready {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Admitted returns how many users have been let through so far.
func (g *Gate) Admitted() int64 { return g.admitted.Load() }

// Failed returns why the budget gave nothing the last time it was asked, and since when that is so; nil when it answered.
func (g *Gate) Failed() (since time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failing, g.failed
}

// Refill keeps the gate in stock until the context ends.
func (g *Gate) Refill(ctx context.Context) {
	tick := time.NewTicker(refillEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case now := <-tick.C:
			g.refill(ctx, now.Sub(last))
			last = now
		case <-ctx.Done():
			return
		}
	}
}

// refill takes what is missing in stock, and no more than both limits allow.
func (g *Gate) refill(ctx context.Context, since time.Duration) {
	g.mu.Lock()
	shared, own := g.shared, g.own
	if !g.open || shared == 0 && own == 0 {
		g.failed = nil // it is not asked any more
		g.mu.Unlock()
		return
	}
	want := int64(worth(g.slower(), stockFor) - g.stock)
	if own > 0 {
		g.owed = min(g.owed+own*since.Seconds(), max(own/2, 1))
		want = min(want, int64(g.owed))
	}
	if want <= 0 {
		g.failed = nil
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	got := want
	var err error
	if shared > 0 {
		ctx, cancel := context.WithTimeout(ctx, takeFor)
		defer cancel()
		got, err = g.budget.Take(ctx, want, shared)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && g.failed == nil {
		g.failing = time.Now()
	}
	g.failed = err
	if shared != g.shared || own == 0 != (g.own == 0) {
		return // it was taken from a budget that no longer counts
	}
	if own > 0 {
		g.owed -= float64(got)
	}
	if g.stock += int(got); got > 0 {
		g.wake()
	}
}
