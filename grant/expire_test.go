package grant

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOrdersForATime(t *testing.T) {
	give := func(c Control, action Action, throttle int64, limit time.Duration, at time.Time) Control {
		t.Helper()
		o := Order{Action: action, Throttle: throttle, For: limit, Who: "minji@ops", Why: "OPS-1"}
		require.NoError(t, o.Validate())
		next, err := c.Apply(&o, gifts, at)
		require.NoError(t, err)
		return next
	}
	end := noon.Add(2 * time.Hour)
	paused := give(Control{}, ActionPause, 0, 2*time.Hour, noon)
	by := &Given{At: noon, Until: end, Who: "minji@ops", Why: "OPS-1"}
	require.Equal(t, Control{Version: 1, Paused: true, PausedBy: by}, paused)
	require.Equal(t, "paused by minji@ops at 2022-11-05T12:00:00Z until 2022-11-05T14:00:00Z: OPS-1",
		paused.Standing(time.UTC)[0].Says)
	require.Equal(t, paused, paused.InForce(end.Add(-1)))
	require.Equal(t, Control{Version: 2}, paused.InForce(end))
	require.Equal(t, &HistoryEntry{
		At: end, Action: ActionExpire, Who: "granter", Via: "clock", Why: "the pause that minji@ops ordered for 2h0m0s is over",
		Before: &paused, After: &Control{Version: 2},
	}, paused.Expired(end.Add(time.Minute)), "the same, whenever it is noticed")
	require.False(t, paused.Expired(end).Unchanged())

	later := noon.Add(time.Hour)
	longer := give(paused, ActionPause, 0, 3*time.Hour, later)
	require.Equal(t, later.Add(3*time.Hour), longer.PausedBy.Until, "the later order replaces")
	require.Equal(t, noon.Add(90*time.Minute), give(paused, ActionPause, 0, 30*time.Minute, later).PausedBy.Until,
		"also by an earlier end")
	require.Zero(t, give(paused, ActionPause, 0, 0, later).PausedBy.Until, "or by none")
	forGood := give(Control{}, ActionPause, 0, 0, noon)
	require.Equal(t, later.Add(time.Second), give(forGood, ActionPause, 0, time.Second, later).PausedBy.Until)
	require.False(t, give(paused, ActionResume, 0, 0, later).Paused)

	limited := give(Control{Throttle: 5000, ThrottledBy: &Given{At: noon}}, ActionThrottle, 100, time.Hour, noon)
	require.Equal(t, Control{Version: 2}, limited.InForce(noon.Add(time.Hour)), "what it replaced does not come back")
	require.Zero(t, give(limited, ActionThrottle, 100, 0, noon).ThrottledBy.Until,
		"the same limit without an end is another order")

	both := give(paused, ActionThrottle, 100, 90*time.Minute, noon)
	first := both.Expired(end)
	require.Equal(t, noon.Add(90*time.Minute), first.At, "the one that ended first")
	require.True(t, first.After.Paused)
	require.Zero(t, first.After.Throttle)
	require.Equal(t, end, first.After.Expired(end).At)
	require.Equal(t, Control{Version: 4}, both.InForce(end))
}

func TestWhatCannotEndByItselfIsRefused(t *testing.T) {
	for _, test := range []struct {
		order Order
		says  string
	}{
		{Order{Action: ActionAbort, For: time.Hour}, "only pause and throttle can end by themselves"},
		{Order{Action: ActionThrottle, For: time.Hour}, "the limit that is lifted does not come back"},
		{Order{Action: ActionPause, For: time.Millisecond}, "want a time such as 30m or 2h"},
		{Order{Action: ActionPause, For: -time.Hour}, "want a time such as 30m or 2h"},
		{Order{Action: ActionPause, For: 400 * 24 * time.Hour}, "to 366 days"},
	} {
		test.order.Who, test.order.Why = "minji", "OPS-1"
		require.ErrorContains(t, test.order.Validate(), test.says)
	}
}

// Redis loses orders, and finds itself with older ones: the careful side is kept, and what was to end ends all the same.
func TestOrdersForATimeThatAreLost(t *testing.T) {
	hours := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	pause := func(at, until time.Time) Control {
		return Control{Version: 3, Paused: true, PausedBy: &Given{At: at, Until: until, Who: "minji"}}
	}
	lost := pause(hours(1), hours(2))
	require.Equal(t, lost.PausedBy, (&Control{}).WithLost(&lost, gifts).PausedBy)
	forGood := pause(hours(0), time.Time{})
	require.Equal(t, lost.PausedBy, forGood.WithLost(&lost, gifts).PausedBy, "it had replaced the other")
	newer := pause(hours(3), hours(9))
	require.Equal(t, newer.PausedBy, newer.WithLost(&lost, gifts).PausedBy, "what was found may be newer")
	require.Equal(t, newer.PausedBy, newer.WithStop(&lost).PausedBy)
	old := Control{Paused: true} // of 0c10d32
	require.Equal(t, lost.PausedBy, old.WithStop(&lost).PausedBy)
	require.Nil(t, old.WithStop(&old).PausedBy)
}

func TestWhoeverNoticesAnEndRecordsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(label string) time.Duration {
			return time.Duration(rapid.IntRange(1, 100).Draw(t, label)) * time.Second
		}
		var c Control
		for _, o := range []Order{
			{Action: ActionPause, For: seconds("pause")}, {Action: ActionThrottle, Throttle: 7, For: seconds("throttle")},
		} {
			var err error
			c, err = c.Apply(&o, gifts, noon)
			require.NoError(t, err)
		}
		soon := noon.Add(seconds("soon"))
		late := soon.Add(seconds("late"))
		direct, steps := c.InForce(late), c.InForce(soon)
		steps = steps.InForce(late)
		require.Equal(t, direct, steps)
		if early := c.Expired(soon); early != nil {
			a, err := json.Marshal(early)
			require.NoError(t, err)
			b, err := json.Marshal(c.Expired(late))
			require.NoError(t, err)
			require.JSONEq(t, string(a), string(b))
		}
	})
}
