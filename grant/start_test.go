package grant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhereAPassStarts is the one table of where reading begins, and of what is gone before that: run, preflight and status
// have no answers of their own.
func TestWhereAPassStarts(t *testing.T) {
	const p = 7
	canary := Pass{Name: "canary 1%", Group: "g-canary-1%", Private: true}
	accepting := func(gaps ...Gap) Pass { return Pass{AcceptGaps: gaps} }
	for _, c := range []struct {
		name                         string
		pass                         Pass
		committed, checkpoint, first int64
		from                         int64
		accepted, refused, needless  []Gap
	}{
		{name: "the same", committed: 30, checkpoint: 30, from: 30},
		{name: "the group was deleted, and nothing is gone: all of it is read again", committed: -1, checkpoint: 30},
		{name: "the group is behind", committed: 10, checkpoint: 30, from: 10},
		{name: "the ledger is behind", committed: 30, checkpoint: 10, from: 10},
		{name: "retention has passed Kafka's only: the ledger has granted what is gone", committed: 10, checkpoint: 30, first: 20, from: 20},
		{name: "retention has passed Kafka's and reached the ledger's", committed: 10, checkpoint: 30, first: 30, from: 30},
		{name: "Kafka has forgotten, and retention has removed what was granted", committed: -1, checkpoint: 30, first: 20, from: 20},
		{name: "retention has passed both", committed: 30, checkpoint: 30, first: 40, from: 30, refused: []Gap{{p, 30, 40}}},
		{name: "Kafka has forgotten, and retention has passed the ledger's", committed: -1, checkpoint: 30, first: 40, from: 30, refused: []Gap{{p, 30, 40}}},
		{name: "nothing is granted and something is gone", committed: -1, first: 5, refused: []Gap{{p, 0, 5}}},

		{name: "accepted as it is", pass: accepting(Gap{p, 0, 5}), committed: -1, first: 5, from: 5, accepted: []Gap{{p, 0, 5}}},
		{name: "everything is gone", pass: accepting(Gap{p, 30, 100}), checkpoint: 30, first: 100, from: 100, accepted: []Gap{{p, 30, 100}}},
		{
			name: "more was accepted than is gone: it may go, too", pass: accepting(Gap{p, 0, 50}), committed: -1, first: 30, from: 30,
			accepted: []Gap{{p, 0, 30}}, needless: []Gap{{p, 30, 50}},
		},
		{name: "what was accepted is behind by now", pass: accepting(Gap{p, 0, 50}), committed: 60, checkpoint: 60, first: 50, from: 60},
		{
			name: "what was accepted is granted in part", pass: accepting(Gap{p, 20, 40}), committed: 25, checkpoint: 25, first: 40, from: 40,
			accepted: []Gap{{p, 25, 40}},
		},
		{
			name: "more is gone than was accepted: a later loss is not hidden", pass: accepting(Gap{p, 0, 50}), committed: 30, checkpoint: 30, first: 60,
			from: 30, refused: []Gap{{p, 30, 60}},
		},
		{name: "the first part was not accepted", pass: accepting(Gap{p, 10, 50}), committed: -1, first: 50, refused: []Gap{{p, 0, 50}}},
		{name: "of another partition", pass: accepting(Gap{6, 0, 50}), committed: -1, first: 50, refused: []Gap{{p, 0, 50}}},
		{
			name: "accepted in two parts", pass: accepting(Gap{p, 20, 50}, Gap{6, 0, 99}, Gap{p, 0, 20}), committed: -1, first: 50, from: 50,
			accepted: []Gap{{p, 0, 50}},
		},
		{name: "between two parts", pass: accepting(Gap{p, 0, 20}, Gap{p, 21, 50}), committed: -1, first: 50, refused: []Gap{{p, 0, 50}}},
		{
			name: "named ahead of any loss, beyond the end", pass: accepting(Gap{p, 0, 1 << 60}), committed: 30, checkpoint: 30, from: 30,
			needless: []Gap{{p, 30, 100}},
		},

		{name: "a canary's own checkpoint counts alone", pass: canary, committed: -1, checkpoint: 30, from: 30},
		{name: "and retention may have passed it", pass: canary, committed: 90, checkpoint: 30, first: 40, from: 30, refused: []Gap{{p, 30, 40}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			has := Bounds{Firsts: Offsets{p: c.first, 6: 0}, Ends: Offsets{p: 100, 6: 0}}
			got := c.pass.Start(Offsets{p: c.checkpoint}, Offsets{p: c.committed}, has)
			require.Equal(t, Start{From: Offsets{p: c.from}, Accepted: c.accepted, Refused: c.refused}, got)
			require.Equal(t, c.needless, c.pass.Needless(&got, has))
			if c.refused == nil {
				require.NoError(t, got.Err())
			} else {
				require.ErrorContains(t, got.Err(), "--accept-gap "+c.refused[0].String())
				again := c.pass
				again.AcceptGaps = append(again.AcceptGaps, c.refused...)
				start := again.Start(Offsets{p: c.checkpoint}, Offsets{p: c.committed}, has)
				require.NoError(t, start.Err(), "the message says what to do")
			}
		})
	}
}

func TestWhatKafkaHasForTheGroupMayNotBeKnown(t *testing.T) {
	has := Bounds{Firsts: Offsets{0: 0, 1: 20}, Ends: Offsets{0: 50, 1: 50}}
	got := Pass{}.Start(Offsets{0: 30}, nil, has)
	require.Equal(t, Start{From: Offsets{0: 30, 1: 0}, Refused: []Gap{{1, 0, 20}}}, got, "of all partitions, by the ledger's word")
}

func TestAGapErrorNamesEveryGap(t *testing.T) {
	err := &GapError{Gaps: []Gap{{0, 0, 100}, {1, 240, 250}}}
	require.EqualError(t, err, "offsets 0 to 99 of partition 0, offsets 240 to 249 of partition 1 are gone (retention or record deletion) before "+
		"they were granted: restore them, or publish their users again and then continue without these 110 records by "+
		"--accept-gap 0:0-100 --accept-gap 1:240-250")
}

func TestAGapIsReadAsItIsWritten(t *testing.T) {
	for _, good := range []Gap{{0, 0, 1}, {31, 5, 1 << 60}} {
		got, err := ParseGap(good.String())
		require.NoError(t, err)
		require.Equal(t, good, got)
	}
	for _, bad := range []string{"", "0", "0:1", "0:1-1", "0:2-1", "0:1-2x", "0:01-2", "x:1-2", "0:1-2-3"} {
		_, err := ParseGap(bad)
		require.ErrorContains(t, err, "want PARTITION:FROM-TO", bad)
	}
}

func TestAPassOfSomeUsersLeavesEverybodysAlone(t *testing.T) {
	all := Pass{Group: "granter-c", AcceptGaps: []Gap{{0, 0, 1}}}
	some := all.Some("only 2 users", "only-0123", func(id uint64) bool { return id < 2 })
	require.Equal(t, "only", some.Kind())
	require.Equal(t, "granter-c-only-0123", some.Group)
	require.Equal(t, "only-0123", some.Key)
	require.True(t, some.Private)
	require.True(t, some.Includes(1))
	require.Equal(t, all.AcceptGaps, some.AcceptGaps)
	require.Empty(t, all.Kind())
	require.Nil(t, all.Includes)
	require.False(t, all.Private)
}

func TestOffsets(t *testing.T) {
	o := Offsets{0: 5, 1: 0}
	require.True(t, o.Reached(Offsets{0: 5, 2: 0}))
	require.False(t, o.Reached(Offsets{0: 5, 2: 1}), "what is not known is at its beginning")
	require.Equal(t, Offsets{0: 3}, o.Nearer(Offsets{0: 3, 7: 1}))
	require.Nil(t, Offsets(nil).Clone())

	has := Bounds{Firsts: Offsets{0: 10, 1: 0}, Ends: Offsets{0: 50, 1: 0}}
	require.EqualValues(t, 40, has.Records())
	require.EqualValues(t, 20, has.From(Offsets{0: 30, 9: 1}))
	require.EqualValues(t, 40, has.From(Offsets{0: 3}), "what is gone is no record")
	require.Zero(t, has.From(Offsets{0: 60}))
	require.Equal(t, []int{0, 1}, has.Partitions())
	require.EqualValues(t, 15, has.Until(Offsets{0: 25}).Records(), "and nothing of the other")
}
