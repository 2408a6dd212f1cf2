package engine

import (
	"cmp"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// board is where orders are, in memory: for all replicas of a world, by the world's clock.
type board struct {
	campaign *grant.Campaign

	mu      sync.Mutex
	control grant.Control
	err     error         // of every call
	takeErr error         // of Take
	ahead   time.Duration // its clock

	expireErr error // of Expire
	ended     []grant.HistoryEntry

	at    time.Time // of the budget
	left  float64
	rate  int64
	takes int
}

func newBoard() *board {
	return &board{campaign: &grant.Campaign{Name: "c", StartsAt: time.Now().Add(-time.Hour)}}
}

// orders is an option for a run.
func (b *board) orders(r *Run) { r.Orders, b.campaign = b, r.Campaign }

// order carries out an order.
func (b *board) order(t *testing.T, o grant.Order) grant.Control {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	next, err := b.control.Apply(&o, b.campaign, time.Now())
	require.NoError(t, err)
	b.control = next
	return next
}

// change changes the board as only failures do.
func (b *board) change(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
}

func (b *board) Control(context.Context) (grant.Control, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now().Add(b.ahead)
	return b.control.InForce(now), now, b.err
}

// Expire records ends in the board's own trail.
func (b *board) Expire(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && b.expireErr == nil {
		entry := b.control.Expired(time.Now().Add(b.ahead))
		if entry == nil {
			return nil
		}
		b.control, b.ended = *entry.After, append(b.ended, *entry)
	}
	return cmp.Or(b.err, b.expireErr)
}

// Take is the budget of the real ledger: it fills at the rate, up to half a second's worth.
func (b *board) Take(_ context.Context, want, rate int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takes++
	if err := cmp.Or(b.err, b.takeErr); err != nil {
		return 0, err
	}
	now := time.Now()
	if b.at.IsZero() {
		b.at = now
	}
	slower := float64(rate)
	if b.rate > 0 {
		slower = float64(min(rate, b.rate))
	}
	b.left = min(b.left+now.Sub(b.at).Seconds()*slower, max(slower/2, 1))
	b.rate, b.at = rate, now
	got := min(want, int64(b.left))
	b.left -= float64(got)
	return got, nil
}
