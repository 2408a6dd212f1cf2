package source

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding/dense"
)

// doses is a gate that admits a few whenever somebody waits, until it has no more: then it is closed.
type doses struct {
	mu   sync.Mutex
	list []int
	left int
}

func (d *doses) Admit(most int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(most, d.left)
	d.left -= n
	return n
}

func (d *doses) Return(int) {}

func (d *doses) Wait(ctx context.Context) error {
	d.mu.Lock()
	if len(d.list) > 0 {
		d.left, d.list = d.list[0], d.list[1:]
		d.mu.Unlock()
		return nil
	}
	d.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// Who stands at a closed gate has nothing in hand, or it would be granted in the middle of a pause when the run is
// stopped or the group changes.
func TestWhoStandsAtAClosedGateHandsEverythingOver(t *testing.T) {
	b := startScripted(t, serveLog(t, batchOf(users(0, 100)...)))
	b.end.Store(100)
	s := newSource(t, []string{b.addr})
	r := read(t, s, 0, 0, 100, func(c *dense.Config) { c.Gate = &doses{list: []int{10, 5, 3}} })
	require.Eventually(t, func() bool { return r.position().Next == 18 }, patience, time.Millisecond, "%+v", r.position())
	require.True(t, r.position().Held)
	granted := len(r.ids())
	r.cancel()
	p, err := r.end()
	require.NoError(t, err)
	require.EqualValues(t, 18, p.Next)
	require.False(t, p.Held)
	require.Len(t, r.ids(), granted)
	require.EqualValues(t, 18, s.breaker.consumed, "a record counts once against the rejected ones, however often it stands")
}
