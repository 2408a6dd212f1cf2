package acts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func (d *desk) why() (out []string) {
	d.Helper()
	entries, err := d.trail.History(d.Context())
	require.NoError(d, err)
	for i := range entries {
		out = append(out, entries[i].Why)
	}
	return out
}

// An erasure takes the reason out of the journal and the trail, and leaves a line of its own; killed in the middle, the same
// again does the rest.
func TestAnErasureIsRecordedAndContinued(t *testing.T) {
	d := newDesk(t)
	user := grant.NumberID(3)
	d.run(d.act(grant.ActHand, "1"), rows(user)...)
	d.run(d.act(grant.ActRevoke, "2"), rows(user)...)
	d.run(d.act(grant.ActNote, "3"), rows(user, grant.NumberID(4))...)
	erase := d.act(grant.ActErase, "4")
	erase.Reason = "request 88"

	r, err := d.Doer.Run(t.Context(), &Command{Act: erase, Rows: rows(user), Dry: true})
	require.NoError(t, err)
	require.Equal(t, Success, r.Overall)
	require.Equal(t, 2, r.Erased.Lines)
	require.Equal(t, "ticket 7", d.user(user).State.Revoked.Reason)
	d.ledger.left = 0
	_, err = d.Doer.Run(t.Context(), &Command{Act: erase, Rows: rows(user)})
	require.ErrorIs(t, err, errKilled)
	d.ledger.left = -1
	require.Equal(t, Success, d.run(erase, rows(user)...).Overall)
	require.Empty(t, d.user(user).State.Revoked.Reason)
	require.Empty(t, d.user(user).State.Notes)
	require.Len(t, d.user(grant.NumberID(4)).State.Notes, 1)
	require.Equal(t, []string{"", "", "ticket 7", "request 88", "request 88"}, d.why(), "that of a list stays")
	d.proven()

	_, err = d.Doer.Run(t.Context(), &Command{Act: d.act(grant.ActErase, "5"), Rows: rows(user, grant.NumberID(4))})
	require.ErrorContains(t, err, "about one user")
	require.Equal(t, Unchanged, d.run(d.act(grant.ActErase, "6"), rows(user)...).Results[0].Status)
}

// What waits for a second person, or is not at its end, is decided before; what is decided is forgotten.
func TestAnErasureWaitsForWhatIsUnderWay(t *testing.T) {
	d := newDesk(t)
	user := grant.NumberID(3)
	d.run(d.act(grant.ActHand, "1"), rows(user)...)
	proposed, err := d.Doer.Run(t.Context(), &Command{Act: d.act(grant.ActRevoke, "2"), Rows: rows(user), Propose: true})
	require.NoError(t, err)
	require.Equal(t, Proposed, proposed.Overall)
	r := d.run(d.act(grant.ActErase, "3"), rows(user)...)
	require.Equal(t, Refused, r.Results[0].Status)
	require.Contains(t, r.Results[0].Why, "waits for a second person")
	_, _, err = d.Decide(t.Context(), "2", grant.Decision{Who: "joe", Why: "not a bot"})
	require.NoError(t, err)
	require.Equal(t, 1, d.run(d.act(grant.ActErase, "4"), rows(user)...).Erased.Proposals)
	p, _, err := d.Proposals.Proposal(t.Context(), "2")
	require.NoError(t, err)
	require.Empty(t, p.Act.Reason+p.Decided.Why)
	_, err = d.Proposals.Proposed(t.Context(), p)
	require.ErrorIs(t, err, grant.ErrRefused, "who it was about is not kept")

	to := grant.NumberID(1 << 16)
	d.ledger.left = 1 // killed between the two accounts
	_, err = d.Doer.Run(t.Context(), &Command{Act: d.act(grant.ActMove, "5"), Rows: []Row{{User: user, To: &to}}})
	require.ErrorIs(t, err, errKilled)
	d.ledger.left = -1
	for _, account := range []grant.UserID{user, to} {
		require.Contains(t, d.run(d.act(grant.ActErase, "6"), rows(account)...).Results[0].Why, "granter move --resume")
	}
	_, err = d.Resume(t.Context())
	require.NoError(t, err)
	require.Equal(t, Success, d.run(d.act(grant.ActErase, "7"), rows(user)...).Overall)
	require.Empty(t, d.user(to).Settled.Act.Reason, "it told of the other account, too")
	d.proven()
}

// An erasure that itself takes two is proposed, and done when it is approved.
func TestAnErasureMayTakeTwo(t *testing.T) {
	d := newDesk(t)
	d.Campaign.Approval = &grant.Approval{}
	user := grant.NumberID(3)
	d.Campaign.Approval.Acts = []grant.ActKind{grant.ActErase}
	d.run(d.act(grant.ActHand, "1"), rows(user)...)
	require.Equal(t, Proposed, d.run(d.act(grant.ActErase, "2"), rows(user)...).Overall)
	require.Equal(t, "ticket 7", d.user(user).Settled.Act.Reason)
	p, r, err := d.Decide(t.Context(), "2", grant.Decision{Approve: true, Who: "joe", Why: "asked for"})
	require.NoError(t, err)
	require.Equal(t, Success, r.Overall)
	require.Equal(t, grant.ProposalDone, p.State)
	require.Empty(t, d.user(user).Settled.Act.Reason)
}
