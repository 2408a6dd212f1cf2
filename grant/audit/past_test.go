package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// What stood in a user's way at a time is what the acts before it say, give or take what clocks are apart.
func TestThePastOfAUserSaysWhenItemsMightBeTaken(t *testing.T) {
	const minute = 60_000
	at := func(n int64) time.Time { return time.UnixMilli(n * minute).UTC() }
	act := func(kind grant.ActKind, minutes int64, set ...func(*grant.Act)) *grant.Act {
		a := &grant.Act{ID: string(kind), Kind: kind, At: at(minutes)}
		for _, fn := range set {
			fn(a)
		}
		return a
	}
	ofItem := func(name string) func(*grant.Act) { return func(a *grant.Act) { a.Item = name } }
	revokedLater := func(a *grant.Act) { a.Effective = at(30) }
	to := grant.NumberID(8)
	for name, c := range map[string]struct {
		since     int64 // minutes
		acts      []*grant.Act
		may, mayn []int64 // minutes
	}{
		"granted, and noted before": {10, []*grant.Act{act(grant.ActNote, 5)}, []int64{10, 99}, []int64{4, 9}},
		"granted by hand":           {0, []*grant.Act{act(grant.ActHand, 20)}, []int64{20, 99}, []int64{19}},
		"revoked":                   {10, []*grant.Act{act(grant.ActRevoke, 20)}, []int64{10, 20}, []int64{9, 21, 99}},
		"revoked from a time on": {
			10, []*grant.Act{act(grant.ActRevoke, 20, revokedLater)},
			[]int64{21, 30}, []int64{31},
		},
		"revoked and reinstated": {
			10, []*grant.Act{act(grant.ActRevoke, 20), act(grant.ActReinstate, 40)},
			[]int64{19, 41}, []int64{21, 39},
		},
		"recalled":              {10, []*grant.Act{act(grant.ActRecall, 20, ofItem("it"))}, []int64{19}, []int64{21}},
		"another item recalled": {10, []*grant.Act{act(grant.ActRecall, 20, ofItem("other"))}, []int64{19, 21}, nil},
		"everything recalled":   {10, []*grant.Act{act(grant.ActRecall, 20)}, []int64{19}, []int64{21}},
		"moved": {
			10, []*grant.Act{act(grant.ActMove, 20, func(a *grant.Act) { a.To = &to })},
			[]int64{19}, []int64{21},
		},
		"excluded and reinstated": {
			0, []*grant.Act{act(grant.ActExclude, 5), act(grant.ActReinstate, 20)},
			[]int64{20}, []int64{4, 6, 19},
		},
		"an act that cannot be done": {10, []*grant.Act{act(grant.ActReinstate, 20)}, []int64{10, 30}, []int64{9}},
		"repaired": {0, []*grant.Act{act(grant.ActHand, 20, func(a *grant.Act) { a.ID = byReconcile + "x" })},
			[]int64{1, 30}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var of page
			of.set(7)
			p := new(past)
			p.begin(&of)
			p.since[7], p.acts[7] = c.since*minute, c.acts
			for _, n := range c.may {
				require.True(t, might(moments(p.since[7], p.acts[7]), "it", n*minute), "at %d", n)
			}
			for _, n := range c.mayn {
				require.False(t, might(moments(p.since[7], p.acts[7]), "it", n*minute), "at %d", n)
			}
		})
	}
	require.Less(t, int64(clocksApart), int64(minute), "what this test takes for far apart")
}
