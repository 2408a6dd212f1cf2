package claims

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoStateIsWithoutAnExit(t *testing.T) {
	for _, s := range States() {
		seen := map[State]bool{s: true}
		queue := []State{s}
		reached := false
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			reached = reached || at.Final()
			for _, step := range Transitions() {
				if step.From == at && !seen[step.To] {
					seen[step.To] = true
					queue = append(queue, step.To)
				}
			}
		}
		require.True(t, reached, "a claim in state %s can never end", s)
		if s == Withdrawn || s == Recouped || s == Rejected {
			require.Len(t, seen, 1, "%s is the end", s)
		}
	}
}

// Whatever way a claim goes, a second payment is sent only when the first came back, or for what an objection added.
func TestNoWayLeadsToTwoPaymentsOfOneDecision(t *testing.T) {
	type place struct {
		at  State
		out bool // the decision that holds has been paid, or the bank has the order
	}
	seen := map[place]bool{}
	var walk func(place, []Action)
	walk = func(p place, way []Action) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, step := range Transitions() {
			if step.From != p.at {
				continue
			}
			next, way := place{step.To, p.out}, append(slices.Clone(way), step.Action)
			switch step.Action {
			case Send:
				require.False(t, p.out, "paid twice: %v", way)
				next.out = true
			case Return, Uphold, PartlyUphold:
				next.out = false
			default:
			}
			walk(next, way)
		}
	}
	walk(place{at: Draft}, nil)
	require.True(t, seen[place{Paid, true}])
	require.False(t, seen[place{Paid, false}], "paid means that money went out")
	for _, s := range States() {
		require.True(t, seen[place{s, true}] || seen[place{s, false}], "no claim ever comes to %s", s)
	}
}

func TestEachStepIsInTheTableOnce(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, step := range Transitions() {
		key := [2]string{string(step.From), string(step.Action)}
		require.False(t, seen[key], "%v is twice in the table", key)
		seen[key] = true
		require.NotEmpty(t, step.By)
	}
}

func TestWhatIsNotInTheTableIsRefusedAndSaysWhatIs(t *testing.T) {
	for _, test := range []struct {
		from   State
		action Action
		by     Duty
		reason string
		want   string
	}{
		{Received, Send, Payer, "", "not possible: send_payment of a claim in state received: possible are check, withdraw"},
		{Withdrawn, HandIn, Owner, "", "not possible: hand_in of a claim in state withdrawn: nothing more can be done with it"},
		{Approved, Send, Approver, "",
			"not possible: send_payment of a claim in state approved is done by payer, not by approver"},
		{InReview, Approve, Approver, " ", "not possible: say why: approve of a claim needs a reason"},
		{InReview, Approve, Rules, "rules",
			"not possible: approve of a claim in state in_review is done by approver, not by rules"},
	} {
		at, err := test.from.Next(test.action, test.by, test.reason)
		require.ErrorIs(t, err, ErrIllegal)
		require.EqualError(t, err, test.want)
		require.Equal(t, test.from, at)
	}
	at, err := InReview.Next(Approve, Approver, "the documents show it")
	require.NoError(t, err)
	require.Equal(t, Approved, at)
}

// Nobody who may send money may also decide that it is owed.
func TestWhoDecidesDoesNotPay(t *testing.T) {
	for _, step := range Transitions() {
		if step.Action == Approve || step.Action == Uphold || step.Action == PartlyUphold {
			require.NotContains(t, step.By, Payer)
		}
		if step.Action == Send {
			require.Equal(t, []Duty{Payer}, step.By)
		}
		if step.Action == Settle {
			require.Equal(t, []Duty{Bank}, step.By, "paid is what the bank says")
		}
	}
}
