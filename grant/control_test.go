package grant

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The campaign of these tests starts at noon and ends a day later.
var (
	noon  = time.Date(2022, 11, 5, 12, 0, 0, 0, time.UTC)
	gifts = &Campaign{Name: "gifts", StartsAt: noon, EndsAt: noon.Add(24 * time.Hour)}
)

// at returns a moment, in hours from noon.
func at(hours float64) *time.Time {
	t := noon.Add(time.Duration(hours * float64(time.Hour)))
	return &t
}

func TestValidateSaysEverythingThatIsWrongWithAnOrder(t *testing.T) {
	valid := func() *Order { return &Order{Action: ActionPause, Who: "jiyoon@ops", Via: "cli", Why: "latency"} }
	for _, test := range []struct {
		name   string
		change func(*Order)
		want   []string // what the error says; empty: it is valid
	}{
		{"an order", func(*Order) {}, nil},
		{"no action", func(o *Order) { o.Action = "" }, []string{`action "": want pause, resume`}},
		{"an action that nobody knows", func(o *Order) { o.Action = "Pause" }, []string{`action "Pause"`}},
		{"throttle 0 lifts the limit", func(o *Order) { o.Action = ActionThrottle }, nil},
		{"throttle 1", func(o *Order) { o.Action, o.Throttle = ActionThrottle, 1 }, nil},
		{"throttle −1", func(o *Order) { o.Action, o.Throttle = ActionThrottle, -1 }, []string{"throttle -1: want users per second"}},
		{"nobody", func(o *Order) { o.Who = "" }, []string{"who orders it is missing"}},
		{"a blank name", func(o *Order) { o.Who = " \t" }, []string{"who orders it is missing"}},
		{"no reason", func(o *Order) { o.Why = "" }, []string{"say why"}},
		{"a blank reason", func(o *Order) { o.Why = strings.Repeat(" ", 600) }, []string{"say why"}},
		{"a reason of 500 characters", func(o *Order) { o.Why = strings.Repeat("x", 500) }, nil},
		{"501 characters", func(o *Order) { o.Why = strings.Repeat("x", 501) }, []string{"the reason has 501 characters: 500 at most"}},
		{"500 of three bytes", func(o *Order) { o.Why = strings.Repeat("한", 500) }, nil},
		{"501 of four bytes", func(o *Order) { o.Why = strings.Repeat("🙏", 501) }, []string{"501 characters"}},
		{"several lines", func(o *Order) { o.Why = "one\r\n\ttwo\n" }, nil},
		{"a zero byte", func(o *Order) { o.Why = "a\x00b" }, []string{"control character"}},
		{"an escape", func(o *Order) { o.Why = "\x1b[31mred" }, []string{"control character"}},
		{"what JSON makes of half a character", func(o *Order) { o.Why = "a\ufffd" }, []string{"damaged"}},
		{"half a character", func(o *Order) { o.Why = "한"[:2] }, []string{"no UTF-8"}},
		{"spaces count, since they are stored", func(o *Order) { o.Why = "x" + strings.Repeat(" ", 500) }, []string{"501 characters"}},
		{"everything", func(o *Order) { *o = Order{Action: ActionThrottle, Throttle: -5} }, []string{"throttle -5", "who orders it", "say why"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := valid()
			test.change(o)
			err := o.Validate()
			if test.want == nil {
				require.NoError(t, err)
			}
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	for _, action := range []Action{
		ActionPause, ActionResume, ActionThrottle, ActionAbort, ActionFinish, ActionPostpone, ActionStartEarly, ActionForce, ActionNewTopic,
	} {
		o := valid()
		o.Action = action
		require.NoError(t, o.Validate(), action)
	}
}

// with returns a control that is changed.
func with(c Control, change func(*Control)) Control {
	change(&c)
	return c
}

func TestApply(t *testing.T) {
	ends := Offsets{0: 10, 1: 0}
	by, before := &Given{At: noon, Who: "minji@ops", Why: "OPS-1"}, &Given{At: noon.Add(-time.Hour), Who: "jihoon@ops", Why: "OPS-0"}
	finish := func(version int64, by *Given, ends Offsets) *Finish {
		return &Finish{Given: *by, Version: version, Ends: ends}
	}
	paused := Control{Version: 7, Paused: true, PausedBy: before, Throttle: 5, ThrottledBy: before}
	aborted := paused
	aborted.Abort, aborted.AbortedBy, aborted.Finish = 7, before, finish(3, before, ends)
	unchanged := map[string]bool{
		"pause again": true, "resume what is not paused": true, "throttle to the same": true, "finish again where it finishes": true,
		"abort again: the first holds, and replicas of 0c10d32 see another": true,
	}
	for _, test := range []struct {
		name   string
		before Control
		order  Order
		after  Control
	}{
		{"pause", Control{}, Order{Action: ActionPause}, Control{Version: 1, Paused: true, PausedBy: by}},
		{"pause again", paused, Order{Action: ActionPause}, with(paused, func(c *Control) { c.Version = 8 })},
		{"resume", paused, Order{Action: ActionResume}, Control{Version: 8, Resumed: 8, Throttle: 5, ThrottledBy: before}},
		{"resume what is not paused", Control{Version: 1}, Order{Action: ActionResume}, Control{Version: 2, Resumed: 2}},
		{"throttle", Control{Version: 1}, Order{Action: ActionThrottle, Throttle: 9}, Control{Version: 2, Throttle: 9, ThrottledBy: by}},
		{"throttle to the same", paused, Order{Action: ActionThrottle, Throttle: 5}, with(paused, func(c *Control) { c.Version = 8 })},
		{"no throttle any more", paused, Order{Action: ActionThrottle}, Control{Version: 8, Paused: true, PausedBy: before}},
		{"a throttle that comes with another order is none", Control{}, Order{Action: ActionPause, Throttle: 9}, Control{Version: 1, Paused: true, PausedBy: by}},
		{"abort", paused, Order{Action: ActionAbort}, with(paused, func(c *Control) { c.Version, c.Abort, c.AbortedBy = 8, 8, by })},
		{"abort again: the first holds, and replicas of 0c10d32 see another", aborted, Order{Action: ActionAbort}, with(aborted, func(c *Control) { c.Version, c.Abort = 8, 8 })},
		{"abort what 0c10d32 aborted", Control{Version: 8, Abort: 8, AbortedBy: &Given{}}, Order{Action: ActionAbort}, Control{Version: 9, Abort: 9, AbortedBy: by}},
		{"another order lifts no abort", aborted, Order{Action: ActionThrottle, Throttle: 9}, with(aborted, func(c *Control) { c.Version, c.Throttle, c.ThrottledBy = 8, 9, by })},
		{
			"resume after an abort lifts a pause, too, but lets the campaign finish", aborted, Order{Action: ActionResume},
			Control{Version: 8, Resumed: 8, Throttle: 5, ThrottledBy: before, Finish: aborted.Finish},
		},
		{
			"resume after a pause lets the campaign finish",
			Control{Version: 7, Paused: true, PausedBy: before, Finish: finish(3, before, ends)}, Order{Action: ActionResume},
			Control{Version: 8, Resumed: 8, Finish: finish(3, before, ends)},
		},
		{"finish", Control{Version: 3}, Order{Action: ActionFinish, Ends: ends}, Control{Version: 4, Finish: finish(4, by, ends)}},
		{"finish again where it finishes", Control{Version: 4, Finish: finish(4, before, ends)}, Order{Action: ActionFinish, Ends: ends}, Control{Version: 5, Finish: finish(4, before, ends)}},
		{
			"finish again, further on", Control{Version: 4, Finish: finish(4, before, ends)},
			Order{Action: ActionFinish, Ends: Offsets{0: 11}}, Control{Version: 5, Finish: finish(5, by, Offsets{0: 11})},
		},
		{"resume what is to finish and goes on", Control{Version: 4, Finish: finish(4, before, ends)}, Order{Action: ActionResume}, Control{Version: 5, Resumed: 5}},
		{"start early changes nothing", paused, Order{Action: ActionStartEarly}, paused},
		{"force changes nothing", paused, Order{Action: ActionForce}, paused},
		{"a new topic changes nothing", paused, Order{Action: ActionNewTopic}, paused},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.order.Who, test.order.Why = by.Who, by.Why
			after, err := test.before.Apply(&test.order, gifts, noon)
			require.NoError(t, err)
			require.Equal(t, test.after, after)
			act := HistoryEntry{Action: test.order.Action, Before: &test.before, After: &after}
			require.Equal(t, unchanged[test.name], act.Unchanged())
		})
	}

	refused, err := paused.Apply(&Order{Action: ActionFinish}, gifts, noon)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "where the topic ends is not known")
	require.Equal(t, paused, refused)
}

func TestPostponing(t *testing.T) {
	const tick = 1.0 / 3600 // a second, in hours
	endless := &Campaign{StartsAt: noon}
	for _, test := range []struct {
		name     string
		campaign *Campaign
		now      float64 // all times are hours from noon
		before   *time.Time
		to       *time.Time // nil: back to the spec's
		refused  string     // empty: it is done
	}{
		{"to a later hour", gifts, -1, nil, at(3), ""},
		{"a second before the start", gifts, -tick, nil, at(3), ""},
		{"at the start", gifts, 0, nil, at(3), "the campaign started at 2022-11-05T12:00:00Z: pause it"},
		{"after the start", gifts, 1, nil, at(3), "the campaign started at"},
		{"to the start of the spec", gifts, -1, nil, at(0), ""},
		{"to a second before it", gifts, -1, nil, at(-tick), "is before the spec's starts_at, 2022-11-05T12:00:00Z: run --now starts early"},
		{"to a second before the end", gifts, -1, nil, at(24 - tick), ""},
		{"to the end", gifts, -1, nil, at(24), "2022-11-06T12:00:00Z is not before ends_at, 2022-11-06T12:00:00Z"},
		{"without an end, to any time", endless, -1, nil, at(24 * 365), ""},

		{"again, to a later hour", gifts, 2, at(3), at(5), ""},
		{"again, to an earlier hour that is to come", gifts, 2, at(5), at(3), ""},
		{"a second before the postponed start", gifts, 3 - tick, at(3), at(5), ""},
		{"at the postponed start", gifts, 3, at(3), at(5), "the campaign started at 2022-11-05T15:00:00Z"},
		{"to the next second", gifts, 2, at(5), at(2 + tick), ""},
		{"to now", gifts, 2, at(5), at(2), "2022-11-05T14:00:00Z has passed: postpone to a moment that is to come"},
		{"to an hour that has passed", gifts, 2, at(5), at(1), "2022-11-05T13:00:00Z has passed"},

		{"back to the spec's start", gifts, -1, at(5), nil, ""},
		{"back to the spec's start, a second before it", gifts, -tick, at(5), nil, ""},
		{"back to the spec's start, which is now", gifts, 0, at(5), nil, "2022-11-05T12:00:00Z has passed"},
		{"back to the spec's start, which has passed", gifts, 1, at(5), nil, "2022-11-05T12:00:00Z has passed"},
		{"back, although it is not postponed", gifts, -1, nil, nil, "it is not postponed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := Control{Version: 4, Paused: true, StartsAt: test.before}
			after, err := before.Apply(&Order{Action: ActionPostpone, StartsAt: test.to}, test.campaign, *at(test.now))
			if test.refused != "" {
				require.ErrorIs(t, err, ErrRefused)
				require.ErrorContains(t, err, test.refused)
				require.Equal(t, before, after)
				return
			}
			require.NoError(t, err)
			require.Equal(t, Control{Version: 5, Paused: true, StartsAt: test.to}, after)
			want := test.campaign.StartsAt
			if test.to != nil {
				want = *test.to
			}
			require.Equal(t, want, after.Start(test.campaign))
		})
	}
}

// Whatever is ordered in whatever order: a version is counted up by one, or, when nothing was done, everything stays.
func TestVersionsGrowByOneAndApplyLeavesItsReceiverAlone(t *testing.T) {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(-50, 50).Draw(t, "hours")) * time.Hour)
	})
	orders := rapid.Custom(func(t *rapid.T) Order {
		return Order{
			Action: rapid.SampledFrom([]Action{
				ActionPause, ActionResume, ActionThrottle, ActionAbort, ActionFinish, ActionPostpone, ActionStartEarly, ActionForce, ActionNewTopic,
			}).Draw(t, "action"),
			Throttle: rapid.Int64Range(0, 1<<40).Draw(t, "throttle"),
			StartsAt: rapid.Ptr(moment, true).Draw(t, "starts at"),
			Ends:     rapid.MapOfN(rapid.IntRange(0, 3), rapid.Int64Range(0, 99), 0, 3).Draw(t, "ends"),
		}
	})
	text := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return string(b)
	}
	rapid.Check(t, func(t *rapid.T) {
		var control Control
		for _, o := range rapid.SliceOfN(orders, 1, 30).Draw(t, "orders") {
			before, asked := text(control), text(o)
			after, err := control.Apply(&o, gifts, moment.Draw(t, "now"))
			require.Equal(t, before, text(control), "the receiver")
			require.Equal(t, asked, text(o), "the order")
			switch {
			case err != nil:
				require.ErrorIs(t, err, ErrRefused)
				require.Equal(t, before, text(after))
			case o.Action == ActionStartEarly || o.Action == ActionForce || o.Action == ActionNewTopic:
				require.Equal(t, before, text(after))
			default:
				require.Equal(t, control.Version+1, after.Version)
			}
			require.LessOrEqual(t, max(after.Abort, after.Resumed), after.Version)
			require.Equal(t, after.Abort > 0, after.AbortedBy != nil)
			require.Equal(t, after.Paused, after.PausedBy != nil)
			require.Equal(t, after.Throttle > 0, after.ThrottledBy != nil)
			if after.Finish != nil {
				require.LessOrEqual(t, after.Finish.Version, after.Version)
			}
			control = after
		}
	})
}

func TestAControlSurvivesItsJSON(t *testing.T) {
	for _, c := range []Control{
		{},
		{
			Version: 1 << 53, Paused: true, Throttle: 1 << 60, StartsAt: at(3.123456789), Abort: 2,
			Finish:  &Finish{Version: 9, Ends: Offsets{0: 1 << 60, 31: 0}, Given: Given{At: noon, Who: "minji", Why: "over"}},
			Resumed: 7, PausedBy: &Given{}, ThrottledBy: &Given{noon, noon.Add(time.Hour), "minji", "slow"}, AbortedBy: &Given{At: noon, Who: "jihoon", Why: "wrong"},
		},
	} {
		text, err := json.Marshal(c)
		require.NoError(t, err)
		var read Control
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, c, read)
	}
}

// What stops a run weighs more than what slows it down: a replica shows its first cause.
func TestCausesThatStopComeBeforeThoseThatSlow(t *testing.T) {
	causes := Causes()
	stops := 0
	seen := map[Cause]bool{}
	for i, cause := range causes {
		require.False(t, seen[cause], "%s is there twice", cause)
		seen[cause] = true
		if cause.Stops() {
			stops++
			require.Equal(t, stops, i+1, "%s stops, and comes after one that does not", cause)
		}
	}
	require.Equal(t, CauseTransaction, causes[stops])
	require.False(t, Cause("").Stops())
}

// What 0c10d32 stored is read, and what it does not say is taken as the more careful of what it may mean.
func TestAControlOf0c10d32IsRead(t *testing.T) {
	ends := Offsets{0: 4}
	for _, test := range []struct {
		text string
		want Control
	}{
		{`{"version":7,"paused":true,"throttle":5}`, Control{Version: 7, Paused: true, Throttle: 5}},
		{`{"version":7,"paused":false,"throttle":0,"abort":7}`, Control{Version: 7, Abort: 7, AbortedBy: &Given{}}},
		{`{"version":9,"paused":false,"throttle":0,"abort":7}`, Control{Version: 9, Abort: 7, AbortedBy: &Given{}}},
		{`{"version":7,"paused":false,"throttle":0,"finish":{"version":7,"ends":{"0":4}}}`, Control{Version: 7, Finish: &Finish{Version: 7, Ends: ends}}},
		{`{"version":9,"paused":false,"throttle":0,"finish":{"version":7,"ends":{"0":4}}}`, Control{Version: 9}},
	} {
		c, err := ReadControl([]byte(test.text))
		require.NoError(t, err)
		require.Equal(t, test.want, c, test.text)
	}
	_, err := ReadControl([]byte(`{"version":0}`))
	require.ErrorContains(t, err, "no order has made this")
	require.Contains(t, (&Given{}).By(time.UTC), "granter history says")
	require.Equal(t, "by minji at 2022-11-05T12:00:00Z: over", (&Given{At: noon, Who: "minji", Why: "over"}).By(time.UTC))
}

// Of what Redis lost and what it still has, the more careful holds: the lower limit, the later start, either pause.
func TestAfterALossTheMoreCarefulHolds(t *testing.T) {
	by := &Given{At: noon, Who: "minji@ops", Why: "OPS-1"}
	end := func(offset int64) *Finish { return &Finish{Given: *by, Ends: Offsets{0: offset}} }
	for _, test := range []struct {
		name                string
		before, found, want Control
	}{
		{"nothing", Control{}, Control{}, Control{}},
		{"the limit before was lower", Control{Throttle: 100}, Control{Throttle: 200}, Control{Throttle: 100}},
		{"the limit before was higher", Control{Throttle: 200}, Control{Throttle: 100}, Control{Throttle: 100}},
		{"there was no limit before", Control{}, Control{Throttle: 100}, Control{Throttle: 100}},
		{"the limit is lost", Control{Throttle: 100}, Control{}, Control{Throttle: 100}},
		{"the pause is lost", Control{Paused: true}, Control{}, Control{Paused: true}},
		{"a resume is lost", Control{}, Control{Paused: true}, Control{Paused: true}},
		{"the abort is lost", Control{Abort: 4, AbortedBy: by}, Control{}, Control{Abort: 4, AbortedBy: by}},
		{"an abort that was lifted is found", Control{}, Control{Abort: 2, AbortedBy: by}, Control{Abort: 2, AbortedBy: by}},
		{"the finish is lost", Control{Finish: end(40)}, Control{}, Control{Finish: end(40)}},
		{"another finish is found", Control{Finish: end(40)}, Control{Finish: end(30)}, Control{Finish: end(30)}},
		{"a later finish is found", Control{Finish: end(40)}, Control{Finish: end(50)}, Control{Finish: end(40)}},
		{"the start before was later", Control{StartsAt: at(2)}, Control{StartsAt: at(1)}, Control{StartsAt: at(2)}},
		{"the start before was earlier", Control{StartsAt: at(1)}, Control{StartsAt: at(2)}, Control{StartsAt: at(2)}},
		{"the postponement is lost", Control{StartsAt: at(1)}, Control{}, Control{StartsAt: at(1)}},
		{"the postponement had been taken back", Control{}, Control{StartsAt: at(1)}, Control{StartsAt: at(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.before.Version, test.found.Version, test.want.Version = 9, 3, 3
			require.Equal(t, &test.want, test.found.WithLost(&test.before, gifts))
		})
	}
}
