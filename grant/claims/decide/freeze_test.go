package decide

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// While it is frozen neither rules nor people decide, and nothing is declared or ordered. Claims and the bank's answers still
// come.
func TestAFreezeStopsWhateverDecidesOrPays(t *testing.T) {
	w := newWorld(t)
	ctx, p := t.Context(), w.Programme
	paid, owed := w.file(nil, 1, 100_000), w.file(nil, 2, 100_000)
	w.pass()
	payer := store.Actor{Name: "choi", Duty: claims.Payer}
	_, err := w.Store.Declare(ctx, p, 1, payer)
	require.NoError(t, err)
	orders, err := w.Store.HandOver(ctx, p.Name, 0)
	require.NoError(t, err)
	freeze := func(frozen bool, until time.Time) {
		_, err := w.Store.SetFreeze(ctx, p.Name, store.Freeze{Who: "audit", Why: "a tip", Frozen: frozen, Until: until})
		require.NoError(t, err)
	}
	freeze(true, w.at.Add(time.Hour))
	late := w.file(nil, 3, 100_000)
	got := w.pass()
	require.Zero(t, got.Looked)
	require.Contains(t, got.Frozen, "audit froze it")
	require.Contains(t, got.Frozen, "a tip")
	var stopped *store.FrozenError
	_, err = w.Store.Declare(ctx, p, 9, payer)
	require.ErrorAs(t, err, &stopped)
	_, err = w.Store.HandOver(ctx, p.Name, 0)
	require.ErrorAs(t, err, &stopped)
	c := w.claim(late)
	err = w.Store.Commit(ctx, []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules},
		{Claim: c, Action: claims.Decline, By: store.Actor{Name: "park", Duty: claims.Approver}, Reason: "no"},
	}, nil)
	require.ErrorAs(t, err, &stopped)
	require.Equal(t, claims.Received, w.claim(late).State, "all of it or nothing")
	_, err = w.Store.Answers(ctx, []store.Answer{{ID: "r", Payment: orders[0].ID, Status: store.BankSettled,
		Amount: orders[0].Net}}, nil)
	require.NoError(t, err)
	states := map[claims.State]bool{w.claim(paid).State: true, w.claim(owed).State: true}
	require.Equal(t, map[claims.State]bool{claims.Paid: true, claims.Approved: true}, states, "the bank's word is noted")

	w.at = w.at.Add(time.Hour)
	require.Equal(t, 1, w.pass().Looked, "it is over by itself")
	freeze(true, time.Time{})
	w.at = w.at.Add(1000 * time.Hour)
	require.NotEmpty(t, w.pass().Frozen)
	freeze(false, time.Time{})
	run, err := w.Store.Declare(ctx, p, 9, payer)
	require.NoError(t, err)
	require.Equal(t, 2, run.Payments)
	_, err = w.Store.SetFreeze(ctx, p.Name, store.Freeze{Who: "audit", Why: "again"})
	require.ErrorIs(t, err, claims.ErrIllegal)
	list, err := w.Store.Freezes(ctx, p.Name)
	require.NoError(t, err)
	require.Len(t, list, 3)
}
