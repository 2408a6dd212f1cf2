//go:build integration

package payout

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// On a real PostgreSQL, whose writers are really at work at once: of several payers, and of several who decide, one is first and
// the others are told; nobody declares beyond the budget; and the books agree to the won.
func TestManyAtOnceOnPostgreSQL(t *testing.T) {
	server := devtest.StartPostgres(t)
	s, p := storetest.At(t, server.URL)
	other, err := store.Open(t.Context(), server.URL, "") // as another process would
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	stores := []*store.Store{s, other, s, other}
	payer := store.Actor{Name: "choi", Duty: claims.Payer}

	list := storetest.Receive(t, s, p, 20, 100_000)
	owed := claims.Won(30_000)
	atOnce := func(work func(s *store.Store) error) (done int) {
		var group sync.WaitGroup
		results := make([]error, len(stores))
		for i, s := range stores {
			group.Go(func() { results[i] = work(s) })
		}
		group.Wait()
		for _, err := range results {
			if err == nil {
				done++
				continue
			}
			_, conflict := errors.AsType[*store.ConflictError](err)
			require.True(t, conflict || errors.Is(err, errNothing), "%v", err)
		}
		return done
	}
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	require.Equal(t, 1, atOnce(func(s *store.Store) error {
		mine, err := s.Get(t.Context(), ids...)
		if err != nil {
			return err
		}
		var steps []store.Step
		for _, c := range mine {
			if c.State != claims.Received {
				return errNothing
			}
			steps = append(steps, store.Step{Claim: c, Action: claims.Check, By: store.Rules},
				store.Step{Claim: c, Action: store.Identify, By: store.Rules,
					Change: store.Change{Identity: &store.Identity{Complete: true}}},
				store.Step{Claim: c, Action: claims.Approve, By: store.Rules, Reason: "tier 1",
					Change: store.Change{Owed: &owed}})
		}
		return s.Commit(t.Context(), steps, nil)
	}), "of those who decide the same claims one is first")

	require.Equal(t, 1, atOnce(func(s *store.Store) error {
		run, err := s.Declare(t.Context(), p, 100, payer)
		if err == nil && run == nil {
			return errNothing
		}
		return err
	}), "of several payout runs one pays")

	var lock sync.Mutex
	handed := map[string]int{}
	atOnce(func(s *store.Store) error {
		for {
			orders, err := s.HandOver(t.Context(), p.Name, 3)
			if err != nil || len(orders) == 0 {
				return err
			}
			lock.Lock()
			for i := range orders {
				handed[orders[i].ID]++
			}
			lock.Unlock()
		}
	})
	require.Len(t, handed, 20)
	for id, n := range handed {
		require.Equal(t, 1, n, "%s is handed over once", id)
	}

	require.ErrorIs(t, drain(t, s, p), store.ErrBudget)
	books, err := s.Books(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Empty(t, books.Wrong)
	require.Equal(t, 20*owed, books.Reserved)
	require.Equal(t, p.Budget, books.Owed, "what the budget does not suffice for is owed still, and a person decides")
}

func TestABudgetThatEndsWhileManyPayOnPostgreSQL(t *testing.T) {
	server := devtest.StartPostgres(t)
	budgetThatEnds(t, func() *store.Store {
		s, err := store.Open(t.Context(), server.URL, "")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	})
}

var errNothing = errors.New("there is nothing to do any more")
