package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Every replica goes on by itself when a pause for a time is over, and the end is recorded once, also when it cannot be
// recorded at first.
func TestAPauseForATimeEndsByItself(t *testing.T) {
	for _, refused := range []error{nil, errors.New("read only")} {
		inWorld(t, long(), func(t *testing.T, w *world) {
			b := newBoard()
			p, other := w.start(b.orders), w.start(b.orders)
			within(time.Minute)
			b.change(func() { b.expireErr = refused })
			b.order(t, grant.Order{Action: grant.ActionPause, For: 10 * time.Minute, Who: "minji"})
			within(time.Second)
			before := w.store.has()
			within(10*time.Minute - 3*time.Second)
			require.Equal(t, before, w.store.has())
			require.Equal(t, []grant.Cause{grant.CauseOperator}, p.causes())
			within(3 * time.Second)
			require.Empty(t, p.causes())
			require.Empty(t, other.causes())
			require.Equal(t, refused == nil, len(b.trail()) == 1)
			within(time.Second)
			b.change(func() { b.expireErr = nil })
			require.NoError(t, p.wait())
			require.NoError(t, other.wait())
			w.requireAllGranted()
			require.Len(t, b.trail(), 1)
			require.Equal(t, grant.ActionExpire, b.trail()[0].Action)
		})
	}
}

func TestAnEndThatPassedWhileNobodyRanIsRecordedByWhoStarts(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionPause, For: time.Hour, Who: "minji"})
		within(2 * time.Hour)
		p := w.start(b.orders, follow)
		within(time.Minute)
		w.requireAllGranted()
		require.Len(t, b.trail(), 1)
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}

// A pause for a time that Redis lost holds until its end, and not beyond.
func TestALostPauseForATimeHoldsUntilItsEnd(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 50})
		p := w.start(b.orders)
		within(time.Minute)
		b.order(t, grant.Order{Action: grant.ActionPause, For: 10 * time.Minute, Who: "minji"})
		within(time.Second)
		b.change(func() { b.control = grant.Control{} })
		within(5 * time.Minute)
		before := w.store.has()
		b.order(t, grant.Order{Action: grant.ActionThrottle, Throttle: 1000})
		within(4 * time.Minute)
		require.Equal(t, before, w.store.has())
		require.Equal(t, []grant.Cause{grant.CauseOperator, grant.CauseThrottle}, p.causes())
		within(time.Minute)
		require.Equal(t, []grant.Cause{grant.CauseThrottle}, p.causes())
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Empty(t, b.trail(), "what Redis does not know of has no end there")
	})
}

// trail returns the ends that were recorded.
func (b *board) trail() []grant.HistoryEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}
