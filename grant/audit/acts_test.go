package audit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// does carries out an act about a user.
func (w *world) does(user grant.UserID, act grant.Act) {
	w.Helper()
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{})
	require.NoError(w, err)
	act.ID, act.Who, act.Via, act.Reason = fmt.Sprint(act.Kind, user), "somebody", "cli", "a test"
	done, err := ledger.NewActs(store, w.run).Do(w.Context(), []ledger.UserAct{{User: user, Act: act}}, false)
	require.NoError(w, err)
	require.NoError(w, done[0].Err)
}

// Whom people granted by hand needs no record, whom they excluded is not missing, and who was revoked has a receipt that says
// that something was done.
func TestWhatPeopleDidAboutUsersIsCountedApart(t *testing.T) {
	w := granted(t)
	w.publish(0, "601", "602")
	w.does(grant.NumberID(600), grant.Act{Kind: grant.ActHand})
	w.does(grant.NumberID(601), grant.Act{Kind: grant.ActExclude})
	w.does(grant.NumberID(602), grant.Act{Kind: grant.ActExclude})
	w.does(grant.NumberID(602), grant.Act{Kind: grant.ActReinstate})
	w.does(grant.NumberID(3), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
	w.checkpoint(w.ends)
	r := w.finds(Proven, map[Kind]int64{})
	require.EqualValues(t, 2, r.Ledger.ByHand)
	require.EqualValues(t, 1, r.Ledger.Excluded)
	require.EqualValues(t, 2, r.Ledger.Acted)
	s, v := keys(t)
	all, _ := w.receipts(s)
	for user, of := range map[grant.UserID]struct{ byHand, acts bool }{
		grant.NumberID(600): {true, false}, grant.NumberID(602): {true, true},
		grant.NumberID(3): {false, true}, grant.NumberID(4): {},
	} {
		got, err := all.Of(user)
		require.NoError(t, err)
		_, err = got.Verify(v)
		require.NoError(t, err)
		require.Equal(t, of.byHand, got.ByHand, user)
		require.Equal(t, of.acts, got.Acts, user)
	}
	_, err := all.Of(grant.NumberID(601))
	require.ErrorIs(t, err, ErrNotInReport)

	require.NoError(t, w.client.SetBit(t.Context(), w.key(0, "excluded"), 5, 1).Err())
	w.finds(Refuted, map[Kind]int64{Excluded: 1})
}
