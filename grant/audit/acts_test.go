package audit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Whom people granted by hand needs no record, whom they excluded is not missing, and who was revoked has a receipt that says
// that
// something was done.
func TestWhatPeopleDidAboutUsersIsCountedApart(t *testing.T) {
	w := granted(t)
	w.publish(0, "601")
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{})
	require.NoError(t, err)
	does := func(user grant.UserID, act grant.Act) {
		t.Helper()
		act.ID, act.Who, act.Via, act.Reason = fmt.Sprint("act-", user), "somebody", "cli", "a test"
		done, err := ledger.NewActs(store, w.run).Do(t.Context(), []ledger.UserAct{{User: user, Act: act}}, false)
		require.NoError(t, err)
		require.NoError(t, done[0].Err)
	}
	does(600, grant.Act{Kind: grant.ActHand})
	does(601, grant.Act{Kind: grant.ActExclude})
	does(3, grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
	w.checkpoint(w.ends)
	r := w.finds(Proven, map[Kind]int64{})
	require.EqualValues(t, 1, r.Ledger.ByHand)
	require.EqualValues(t, 1, r.Ledger.Excluded)
	require.EqualValues(t, 1, r.Ledger.Acted)
	s, v := keys(t)
	all := w.receipts(s)
	for user, of := range map[grant.UserID]struct{ byHand, acts bool }{600: {true, false}, 3: {false, true}, 4: {}} {
		got, err := all.Of(t.Context(), w.reader, w.campaign, user)
		require.NoError(t, err)
		require.NoError(t, got.Verify(v))
		require.Equal(t, of.byHand, got.ByHand, user)
		require.Equal(t, of.acts, got.Acts, user)
	}
	_, err = all.Of(t.Context(), w.reader, w.campaign, 601)
	require.ErrorIs(t, err, ErrNotInReport)

	require.NoError(t, w.client.SetBit(t.Context(), w.key(0, "excluded"), 5, 1).Err())
	w.finds(Refuted, map[Kind]int64{Excluded: 1})
}
