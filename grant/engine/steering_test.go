package engine

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// steered by hand: what was decided last is in the decision.
func steerByHand(t *testing.T, b *board, standBy bool) (*steering, *decision) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	last := &decision{}
	s := newSteering(steeringInputs{
		campaign: b.campaign, orders: newOrderReader(b, b.campaign, log), gate: NewGate(b),
		observed: func() []grant.Hold { return nil }, standBy: standBy, retryFor: time.Minute, log: log,
	}, func(d decision) { *last = d }, func() {})
	require.NoError(t, s.waitForOrders(t.Context()))
	return s, last
}

func causes(d *decision) []grant.Cause {
	var out []grant.Cause
	for _, h := range d.holds {
		out = append(out, h.Cause)
	}
	return out
}

// What is decided follows from what is known, in any order in which it came to be known.
func TestADecisionFollowsFromWhatIsKnown(t *testing.T) {
	abort, pause := grant.Order{Action: grant.ActionAbort}, grant.Order{Action: grant.ActionPause}
	limit := grant.Order{Action: grant.ActionThrottle, Throttle: 5}
	critical := grant.Measurement{Stop: []grant.Hold{{Cause: grant.CauseCritical, Detail: "memory"}}}
	stopped := []grant.Cause{grant.CauseCritical, grant.CauseThrottle}
	for name, c := range map[string]struct {
		orders   []grant.Order
		measured grant.Measurement
		waits    grant.Cause
		refused  bool // by the ledger, as too early
		begun    bool
		standBy  bool

		open  bool
		holds []grant.Cause
		ends  error
	}{
		"nothing holds it": {begun: true, open: true},
		"paused":           {orders: []grant.Order{pause}, begun: true, holds: []grant.Cause{grant.CauseOperator}},
		"limited":          {orders: []grant.Order{limit}, begun: true, open: true, holds: []grant.Cause{grant.CauseThrottle}},
		"limited, and critical": {
			orders: []grant.Order{limit}, measured: critical, begun: true, holds: stopped,
		},
		"preflight fails": {
			waits: grant.CausePreflight, open: true, holds: []grant.Cause{grant.CausePreflight},
		},
		"the ledger says that it is too early": {refused: true, begun: true, holds: []grant.Cause{grant.CauseSchedule}},
		"aborted":                              {orders: []grant.Order{abort}, begun: true, open: true, ends: ErrAborted},
		"aborted before it began":              {orders: []grant.Order{abort}, open: true, ends: ErrAborted},
		"aborted before it began: stands by":   {orders: []grant.Order{abort}, standBy: true, open: true},
		"aborted after it began": {
			orders: []grant.Order{abort}, standBy: true, begun: true, open: true, ends: ErrAborted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard()
				for _, o := range c.orders {
					b.order(t, o)
				}
				s, last := steerByHand(t, b, c.standBy)
				s.measured = c.measured
				if c.waits != "" {
					s.wait(c.waits, "it fails")
				}
				if c.begun {
					s.begin(true)
				}
				if c.refused {
					s.tooEarly(time.Hour, errors.New("too early"))
				}
				s.decide()
				require.Equal(t, c.open, last.open)
				require.Equal(t, c.holds, causes(last))
				require.ErrorIs(t, last.end, c.ends)
			})
		})
	}
}

// Orders that cannot be read end a run that has begun, after the time for which everything is tried again.
func TestOrdersThatCannotBeReadAreShownThenEndTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		s, last := steerByHand(t, b, false)
		broken := errors.New("the key is broken")
		b.err = broken
		require.ErrorIs(t, s.orders.read(t.Context()), broken)
		time.Sleep(2 * time.Second)
		s.decide()
		require.Equal(t, []grant.Cause{grant.CauseUnavailable}, causes(last))
		time.Sleep(time.Minute)
		s.decide()
		require.NoError(t, last.end, "one that waits goes on waiting")
		s.begin(true)
		require.ErrorIs(t, last.end, broken)
		b.err = nil
		require.NoError(t, s.orders.read(t.Context()))
		s.decide()
		require.NoError(t, last.end)
		require.Empty(t, last.holds)
	})
}
