package vote

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant/claims"
)

func assembly() *claims.Council {
	return &claims.Council{
		From:         100,
		Affiliations: []claims.Affiliation{"consumers", "academia", "company"},
		Quorum:       3,
		Present:      2,
		Majority:     claims.MoreThanHalf,
		Chair:        []claims.Affiliation{"academia"},
		AtMost:       claims.AtMostAssessed,
		Objections:   claims.Approver,
	}
}

// seats are n members, of all affiliations in turn.
func seats(c *claims.Council, n int) []Seat {
	out := make([]Seat, n)
	for i := range out {
		out[i] = Seat{Name: fmt.Sprint("m", i), Affiliation: c.Affiliations[i%len(c.Affiliations)]}
	}
	return out
}

func nobody(*Seat) string { return "" }

func TestACouncilDecidesByMajority(t *testing.T) {
	for _, test := range []struct {
		name     string
		majority claims.Majority
		there    int
		choices  []Choice
		carried  bool
	}{
		{"all are for it", claims.MoreThanHalf, 3, []Choice{For, For, For}, true},
		{"more than half", claims.MoreThanHalf, 5, []Choice{For, For, For, Against, Against}, true},
		{"a tie", claims.MoreThanHalf, 4, []Choice{For, For, Against, Against}, false},
		{"who abstains is there", claims.MoreThanHalf, 4, []Choice{For, For, Abstain, Abstain}, false},
		{"who does not vote is there", claims.MoreThanHalf, 4, []Choice{For, For}, false},
		{"two thirds", claims.TwoThirds, 3, []Choice{For, For, Against}, true},
		{"less than two thirds", claims.TwoThirds, 5, []Choice{For, For, For, Against, Against}, false},
		{"no quorum", claims.MoreThanHalf, 2, []Choice{For, For}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := assembly()
			c.Majority = test.majority
			there := seats(c, test.there)
			item := &Item{}
			for i, choice := range test.choices {
				item.Vote(Ballot{Member: there[i].Name, Choice: Against})
				item.Vote(Ballot{Member: there[i].Name, Choice: choice}) // the last one counts
			}
			o := Count(c, there, item, nobody)
			require.Equal(t, test.carried, o.Carried, o.Says(c))
			require.Len(t, o.Ballots, test.there)
		})
	}
}

func TestTooFewAffiliationsAreNoQuorum(t *testing.T) {
	c := assembly()
	item := &Item{}
	there := seats(c, 9)
	for i := range there {
		there[i].Affiliation = "company"
		item.Vote(Ballot{Member: there[i].Name, Choice: For})
	}
	o := Count(c, there, item, nobody)
	require.False(t, o.Quorum)
	require.Equal(t, "no quorum: 9 members of 1 affiliations may vote, and 3 of 2 are needed", o.Says(c))
	there[8].Affiliation = "consumers"
	o = Count(c, there, item, nobody)
	require.True(t, o.Carried)
}

func TestWhatARecusalChanges(t *testing.T) {
	c := assembly()
	there := seats(c, 3)
	item := &Item{}
	for i := range there {
		item.Vote(Ballot{Member: there[i].Name, Choice: For})
	}
	require.True(t, Count(c, there, item, nobody).Carried)
	o := Count(c, there, item, func(s *Seat) string {
		if s.Name == "m1" {
			return "it is the member's own"
		}
		return ""
	})
	require.False(t, o.Quorum, "whom the rules recuse counts neither as a vote nor for the quorum")
	require.Equal(t, []Recusal{{Member: "m1", Why: "it is the member's own", Rule: true}}, o.Recused)
	item.Recuse(Recusal{Member: "m0", Why: "a friend"})
	item.Recuse(Recusal{Member: "m0", Why: "again"})
	o = Count(c, there, item, nobody)
	require.False(t, o.Quorum)
	require.Equal(t, 2, o.For)
	require.Equal(t, []Recusal{{Member: "m0", Why: "a friend"}}, o.Recused)
}

// Whatever members do, nothing is decided that most of those who may decide did not want.
func TestACouncilNeverDecidesAgainstItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := assembly()
		c.Quorum, c.Present = rapid.IntRange(1, 6).Draw(t, "quorum"), rapid.IntRange(1, 3).Draw(t, "affiliations")
		c.Majority = rapid.SampledFrom([]claims.Majority{claims.MoreThanHalf, claims.TwoThirds}).Draw(t, "majority")
		all := seats(c, 8)
		there := slices.DeleteFunc(slices.Clone(all), func(Seat) bool { return rapid.Bool().Draw(t, "away") })
		own := map[string]bool{}
		for _, s := range all {
			own[s.Name] = rapid.IntRange(0, 4).Draw(t, "own") == 0
		}
		barred := func(s *Seat) string {
			if own[s.Name] {
				return "own"
			}
			return ""
		}
		item := &Item{}
		last, off := map[string]Choice{}, map[string]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			name := rapid.SampledFrom(all).Draw(t, "who").Name
			choice := rapid.SampledFrom(append(Choices(), "")).Draw(t, "choice")
			if choice == "" {
				item.Recuse(Recusal{Member: name, Why: "a friend"})
				off[name] = true
			} else if !off[name] {
				item.Vote(Ballot{Member: name, Choice: choice})
				last[name] = choice
			}
		}
		o := Count(c, there, item, barred)
		mayVote, votes, affiliations := 0, map[Choice]int{}, map[claims.Affiliation]bool{}
		for _, s := range there {
			if !off[s.Name] && !own[s.Name] {
				mayVote++
				votes[last[s.Name]]++
				affiliations[s.Affiliation] = true
			}
		}
		require.Len(t, o.Ballots, mayVote)
		require.Equal(
			t,
			[]int{votes[For], votes[Against], votes[Abstain], votes[""]},
			[]int{o.For, o.Against, o.Abstained, o.Silent},
		)
		require.Equal(t, mayVote >= c.Quorum && len(affiliations) >= c.Present, o.Quorum)
		if o.Carried {
			require.True(t, o.Quorum)
			require.Greater(t, o.For, len(o.Ballots)-o.For, "a tie carries nothing")
			require.True(t, c.Majority == claims.MoreThanHalf || 3*o.For >= 2*len(o.Ballots))
		}
		require.Equal(t, len(there), len(o.Ballots)+len(o.Recused), "everybody who is there is accounted for")
	})
}

func TestWhatCanBeMoved(t *testing.T) {
	const council, objection = claims.BeforeCouncil, claims.ObjectionBeforeCouncil
	p := &claims.Programme{Name: "outage-2022"}
	a := &claims.Assessment{SalesLoss: 5_000_000, Assessed: 1_000_000}
	require.ErrorContains(t, (&Motion{Action: claims.Approve, Amount: 1}).Check(p, council, a, -1), "has no council")
	p.Council, p.Cap = assembly(), 900_000
	require.Equal(t, []claims.Action{claims.Approve, claims.Decline}, Motions(claims.BeforeCouncil))
	require.Equal(t, []claims.Action{claims.Uphold, claims.PartlyUphold, claims.Reject}, Motions(claims.ObjectionBeforeCouncil))
	require.Empty(t, Motions(claims.InReview))
	for _, test := range []struct {
		motion Motion
		at     claims.State
		left   claims.Won
		says   string // empty: it is possible
	}{
		{Motion{Action: claims.Approve, Amount: 900_000}, council, -1, ""},
		{Motion{Action: claims.Approve, Amount: 900_001}, council, -1, "more than the 900000 that one claim is paid at most"},
		{Motion{Action: claims.Approve, Amount: 1_000_001}, council, -1, "more than the assessed loss, 1000000 won"},
		{Motion{Action: claims.Approve, Amount: 500_001}, council, 500_000, "more than the 500000 that nobody has been promised"},
		{Motion{Action: claims.Approve, Amount: 1}, council, 0, "that nobody has been promised"},
		{Motion{Action: claims.Approve}, council, -1, "say how much"},
		{Motion{Action: claims.Approve, Amount: -5}, council, -1, "say how much"},
		{Motion{Action: claims.Decline, Declined: claims.ReasonNoLoss}, council, 0, ""},
		{Motion{Action: claims.Decline}, council, -1, "say the reason that the owner is told"},
		{Motion{Action: claims.Decline, Declined: "x"}, council, -1, "one of no_loss"},
		{Motion{Action: claims.Decline, Declined: claims.ReasonNoLoss, Amount: 1}, council, -1, "part of a motion to pay only"},
		{
			Motion{Action: claims.Approve, Amount: 1, Declined: claims.ReasonNoLoss},
			council, -1,
			"part of a motion to decline only",
		},
		{Motion{Action: claims.Reject}, objection, -1, ""},
		{Motion{Action: claims.Uphold, Amount: 900_000}, objection, -1, ""},
		{Motion{Action: claims.Approve, Amount: 1}, objection, -1, "possible are uphold, partly_uphold, reject"},
		{Motion{Action: claims.Approve, Amount: 1}, claims.InReview, -1, "nothing that the council decides"},
		{Motion{Action: claims.TakeBack}, council, -1, "nothing that the council decides"},
	} {
		err := test.motion.Check(p, test.at, a, test.left)
		if test.says == "" {
			require.NoError(t, err, test)
			continue
		}
		require.ErrorIs(t, err, claims.ErrIllegal, test)
		require.ErrorContains(t, err, test.says)
	}
	require.ErrorContains(t, (&Motion{Action: claims.Approve, Amount: 1}).Check(p, council, nil, -1), "has not been assessed")
	p.Council.AtMost, p.Cap = claims.AtMostSales, 0
	require.NoError(t, (&Motion{Action: claims.Approve, Amount: 5_000_000}).Check(p, council, a, -1))
	require.ErrorContains(
		t,
		(&Motion{Action: claims.Approve, Amount: 5_000_001}).Check(p, council, a, -1),
		"more than the sales loss",
	)
	require.False(t, (*claims.Council)(nil).Decides(a))
	require.True(t, p.Council.Decides(&claims.Assessment{Assessed: 100}))
	require.False(t, p.Council.Decides(&claims.Assessment{Assessed: 99}))
}
