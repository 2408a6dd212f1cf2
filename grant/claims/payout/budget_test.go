package payout

import (
	"bytes"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// Of many who pay at once, on SQLite; integration_test.go has the same on PostgreSQL.
func TestABudgetThatEndsWhileManyPay(t *testing.T) {
	where := filepath.Join(t.TempDir(), "claims.db")
	budgetThatEnds(t, func() *store.Store {
		s, err := store.Open(t.Context(), where, "")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	})
}

// budgetThatEnds has several processes declare one payment after the other until the budget ends, which suffices for seven of
// ten. Each is refused cleanly: what was declared is seven payments, whoever declared them, and what is owed still is the rest.
func budgetThatEnds(t *testing.T, open func() *store.Store) {
	t.Helper()
	const owed, fit, n = claims.Won(30_000), 7, 10
	stores := []*store.Store{open(), open(), open()}
	source := bytes.Replace(storetest.Source(t), []byte("\nbudget: 5000000000"), []byte("\nbudget: 225000"), 1) // and half of one
	p, err := stores[0].Adopt(t.Context(), source)
	require.NoError(t, err)
	require.Equal(t, fit*owed+owed/2, p.Budget)
	approve(t, stores[0], storetest.Receive(t, stores[0], p, n, 100_000))

	_, err = stores[0].Declare(t.Context(), p, n, payerChoi)
	require.ErrorIs(t, err, store.ErrBudget, "all of them are too many, and then it is none of them")
	books, err := stores[0].Books(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Zero(t, books.Reserved)

	var lock sync.Mutex
	var runs []*store.Run
	var group sync.WaitGroup
	refusals := make([]error, len(stores))
	for i, s := range stores {
		group.Go(func() {
			for {
				run, err := s.Declare(t.Context(), p, 1, payerChoi)
				if _, second := errors.AsType[*store.ConflictError](err); second {
					continue
				}
				if refusals[i] = err; err != nil || run == nil {
					return
				}
				lock.Lock()
				runs = append(runs, run)
				lock.Unlock()
			}
		})
	}
	group.Wait()
	for _, err := range refusals {
		require.ErrorIs(t, err, store.ErrBudget, "each is told that it has ended")
	}
	require.Len(t, runs, fit)
	ids := map[string]bool{}
	for _, run := range runs {
		require.Equal(t, []int{1, int(owed)}, []int{run.Payments, int(run.Gross)})
		ids[run.ID] = true
	}
	require.Len(t, ids, fit, "each has paid another claim")
	books, err = stores[0].Books(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Empty(t, books.Wrong)
	require.Equal(t, []claims.Won{fit * owed, (n - fit) * owed}, []claims.Won{books.Reserved, books.Owed})
}

var payerChoi = store.Actor{Name: "choi", Duty: claims.Payer}
