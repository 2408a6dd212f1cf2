package acts

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// ruled is a desk with a campaign whose rule lets one person act on so many users.
func ruled(t *testing.T, rule grant.Approval) *desk {
	t.Helper()
	d := newDesk(t)
	d.Campaign.Approval = &rule
	return d
}

func (d *desk) decide(id, who string, approve bool) (*grant.Proposal, *Report, error) {
	d.Helper()
	return d.Decide(d.Context(), id, grant.Decision{Approve: approve, Who: who, Via: "api", Why: "checked"})
}

// What one person may do alone is counted over all commands of a day, whatever the name looks like.
func TestSplittingACommandDoesNotGetAroundTheSecondPerson(t *testing.T) {
	d := ruled(t, grant.Approval{Above: 3})
	require.Equal(t, Success, d.run(d.act(grant.ActHand, "1"), rows(grant.NumberID(1), grant.NumberID(2))...).Overall)
	again := d.run(d.act(grant.ActHand, "1"), rows(grant.NumberID(1), grant.NumberID(2))...)
	require.Equal(t, Success, again.Overall, "what was done is not counted again")
	require.Equal(t, Proposed, d.run(d.act(grant.ActHand, "2"), rows(grant.NumberID(3), grant.NumberID(4))...).Overall)
	require.Equal(t, grant.PlaceNone, d.user(grant.NumberID(3)).Place)
	other := d.act(grant.ActRevoke, "3")
	other.Who = "Mira@host-2 (says Joe)"
	require.Equal(t, Success, d.run(other, rows(grant.NumberID(1))...).Overall, "one is left")
	require.Equal(
		t,
		Proposed,
		d.run(d.act(grant.ActReinstate, "4"), rows(grant.NumberID(1))...).Overall,
		"and none now, by any name of hers",
	)
	require.Equal(
		t,
		Success,
		d.run(
			d.act(grant.ActNote, "5"),
			rows(grant.NumberID(1), grant.NumberID(2), grant.NumberID(3), grant.NumberID(4), grant.NumberID(5))...).Overall,
		"notes do not count",
	)
	joe := d.act(grant.ActHand, "6")
	joe.Who = "joe"
	require.Equal(
		t,
		Success,
		d.run(joe, rows(grant.NumberID(5), grant.NumberID(6), grant.NumberID(7))...).Overall,
		"another person has a count of his own",
	)
	d.proven()
}

// Who looks like refused when it is counted cannot slip in when it is done.
func TestWhoWasNotCountedIsNotActedUpon(t *testing.T) {
	d := ruled(t, grant.Approval{Above: 1})
	d.run(d.act(grant.ActHand, "1"), rows(grant.NumberID(1))...)
	joe := d.act(grant.ActRevoke, "2")
	joe.Who = "joe"
	c, r, err := d.alone(t.Context(), &Command{Act: joe, Rows: rows(grant.NumberID(1), grant.NumberID(2), grant.NumberID(3))})
	require.NoError(t, err)
	require.Nil(t, r)
	ann := d.act(grant.ActHand, "3")
	ann.Who = "ann"
	d.run(ann, rows(grant.NumberID(2))...) // between the look and the act
	r, err = d.Doer.run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, map[Status]int{Done: 1, Refused: 2}, r.Counts)
	require.Nil(t, d.user(grant.NumberID(2)).State.Revoked)
}

func TestTwoPeopleDoItOnce(t *testing.T) {
	d := ruled(t, grant.Approval{Within: 48 * time.Hour})
	r := d.run(d.act(grant.ActHand, "late"), rows(grant.NumberID(1), grant.NumberID(2))...)
	require.Equal(t, Proposed, r.Overall)
	require.Equal(t, 48*time.Hour, r.Proposal.Until.Sub(r.Proposal.At))
	require.Equal(t, map[string]int{"done": 2}, r.Proposal.Expected)
	require.Equal(
		t,
		Proposed,
		d.run(d.act(grant.ActHand, "late"), rows(grant.NumberID(1), grant.NumberID(2))...).Overall,
		"the same again is the same proposal",
	)
	_, err := d.Doer.Run(
		t.Context(),
		&Command{Act: d.act(grant.ActHand, "late"), Rows: rows(grant.NumberID(1), grant.NumberID(2), grant.NumberID(3))},
	)
	require.ErrorContains(t, err, "was proposed with other users")
	_, err = d.Doer.Run(
		t.Context(),
		&Command{Act: d.act(grant.ActRevoke, "late"), Rows: rows(grant.NumberID(1), grant.NumberID(2))},
	)
	require.ErrorContains(t, err, "as another act")
	for _, self := range []string{"mira", "MIRA", "mira@elsewhere", "root@h (sudo from mira)"} {
		_, _, err = d.decide("late", self, true)
		require.ErrorIs(t, err, grant.ErrRefused)
		require.ErrorContains(t, err, "somebody else has to approve it")
	}
	_, _, err = d.decide("none", "joe", true)
	require.ErrorIs(t, err, grant.ErrNoProposal)

	var all errgroup.Group
	for _, who := range []string{"joe", "ann", "sam"} {
		all.Go(func() error {
			_, _, err := d.decide("late", who, true)
			if errors.Is(err, grant.ErrRefused) { // somebody else was faster
				return nil
			}
			return err
		})
	}
	require.NoError(t, all.Wait())
	history, err := d.trail.History(t.Context())
	require.NoError(t, err)
	lines := map[grant.Action]int{}
	for i := range history {
		lines[history[i].Action]++
	}
	require.Equal(t, map[grant.Action]int{grant.ActionPropose: 1, grant.ActionApprove: 1, grant.ActionAct: 1}, lines,
		"who approves what was just approved carries it out, too, and it is one thing that was done")
	require.Equal(t, grant.ActionPropose, history[0].Action)
	require.NotEmpty(t, d.user(grant.NumberID(1)).Settled.Act.Second)
	require.Equal(t, "mira", d.user(grant.NumberID(1)).Settled.Act.Who)
	p, r, err := d.Show(t.Context(), "late")
	require.NoError(t, err)
	require.Equal(t, grant.ProposalDone, p.State)
	require.Equal(t, 2, p.Result.Done)
	require.Equal(t, map[Status]int{Done: 2}, r.Counts, "what became of each can be looked at later")
	waiting, err := d.Pending(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, waiting)
	d.proven()
}

func TestWhatIsRejectedOrTooLateIsNotDone(t *testing.T) {
	d := ruled(t, grant.Approval{})
	d.run(d.act(grant.ActHand, "no"), rows(grant.NumberID(1))...)
	_, _, err := d.decide("no", "mira", false)
	require.NoError(t, err, "who proposed it may take it back")
	_, _, err = d.decide("no", "joe", true)
	require.ErrorContains(t, err, "decided already: rejected by mira")
	_, err = d.Doer.Run(t.Context(), &Command{Act: d.act(grant.ActHand, "no"), Rows: rows(grant.NumberID(1))})
	require.ErrorContains(t, err, "give it another name by --request")
	d.Campaign.Approval.Within = time.Millisecond
	d.run(d.act(grant.ActHand, "late"), rows(grant.NumberID(1))...)
	require.Eventually(t, func() bool {
		p, now, err := d.trail.Proposal(t.Context(), "late")
		return err == nil && p.StateAt(now) == grant.ProposalExpired
	}, 30*time.Second, time.Millisecond)
	_, _, err = d.decide("late", "joe", true)
	require.ErrorContains(t, err, "propose it again")
	require.Equal(t, grant.PlaceNone, d.user(grant.NumberID(1)).Place)
}

// What was approved and stopped half way is continued, by whoever approves it again; nobody is acted upon twice.
func TestWhatWasApprovedIsContinued(t *testing.T) {
	d := ruled(t, grant.Approval{Acts: []grant.ActKind{grant.ActExtend}})
	many := make([]Row, batch+1)
	for i := range many {
		many[i] = Row{User: grant.NumberID(uint64(i))}
	}
	d.run(d.act(grant.ActHand, "1"), many...)
	extend := d.act(grant.ActExtend, "2")
	extend.Until = time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	require.Equal(t, Proposed, d.run(extend, many...).Overall)
	d.ledger.left = 1
	p, r, err := d.decide("2", "joe", true)
	require.ErrorIs(t, err, errKilled)
	require.ErrorContains(t, err, "approve it again to continue")
	require.Equal(t, grant.ProposalApproved, p.State)
	require.Equal(t, 1, r.Counts[Untried])
	d.ledger.left = -1
	p, r, err = d.decide("2", "ann", true)
	require.NoError(t, err)
	require.Equal(t, "joe", p.Decided.Who, "who decided stays")
	require.Equal(t, map[Status]int{Done: batch + 1}, r.Counts)
	require.Len(t, d.user(grant.NumberID(7)).State.Acts, 1)
	d.proven()
}

func TestADryRunSaysThatItWouldTakeTwo(t *testing.T) {
	d := ruled(t, grant.Approval{Above: 1})
	r, err := d.Doer.Run(
		t.Context(),
		&Command{Act: d.act(grant.ActHand, "1"), Rows: rows(grant.NumberID(1), grant.NumberID(2)), Dry: true},
	)
	require.NoError(t, err)
	require.True(t, r.TakesTwo)
	require.True(t, r.DryRun)
	waiting, err := d.Pending(t.Context(), true)
	require.NoError(t, err)
	require.Empty(t, waiting)
	require.Equal(t, Success, d.run(d.act(grant.ActHand, "2"), rows(grant.NumberID(1))...).Overall, "asking is not counted")
}

// Moves, and reasons of their own, go through it as everything else does; and below the limit, who wants a second person
// gets one.
func TestAMoveIsProposed(t *testing.T) {
	d := newDesk(t)
	d.run(d.act(grant.ActHand, "1"), rows(grant.NumberID(5))...)
	to := grant.NumberID(9)
	r, err := d.Doer.Run(t.Context(), &Command{
		Act: d.act(grant.ActMove, "2"), Rows: []Row{{User: grant.NumberID(5), To: &to, Reason: "merged"}}, Propose: true,
	})
	require.NoError(t, err)
	require.Equal(t, Proposed, r.Overall)
	_, _, err = d.decide("2", "joe", true)
	require.NoError(t, err)
	require.Equal(t, to, *d.user(grant.NumberID(5)).State.MovedTo)
	require.Equal(t, grant.PlaceGranted, d.user(grant.NumberID(9)).Place)
	d.proven()
}

var _ Proposals = (*ledger.Coordination)(nil)

// Whatever people write, what is proposed is what is approved.
func TestTheLongestReasonsArePackedWhole(t *testing.T) {
	var all []Row
	for _, reason := range []string{strings.Repeat("<", grant.MaxWhy), strings.Repeat("🙏", grant.MaxWhy)} {
		for i := range batch {
			all = append(all, Row{User: grant.NumberID(grant.MaxUserID - uint64(i)), Reason: reason})
		}
	}
	pieces, err := pack(all)
	require.NoError(t, err)
	texts := make([]string, len(pieces))
	for i, piece := range pieces {
		texts[i] = string(piece)
	}
	back, err := unpack(texts)
	require.NoError(t, err)
	require.Equal(t, digestOf(all), digestOf(back))
}
