package store

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

// ofBudget adopts the shipped programme with another budget, and takes claims in that are owed 30,000 won each.
func ofBudget(t *testing.T, s *Store, budget string, n int) *claims.Programme {
	t.Helper()
	p, err := s.Adopt(t.Context(), bytes.Replace(source(t), []byte("budget: 5000000000"), []byte("budget: "+budget), 1))
	require.NoError(t, err)
	_, err = s.ProposeBudget(t.Context(), p, p.Budget, 90_000, nil, secretary, "early")
	require.ErrorContains(t, err, "has no claims yet: change the budget in its file")
	for i := range n {
		f := filing(p, i)
		_, err := s.Receive(t.Context(), []Filing{f}, nil)
		require.NoError(t, err)
		list, err := s.Get(t.Context(), f.ID)
		require.NoError(t, err)
		approvedBy(t, s, list[0])
	}
	return p
}

// When the budget ends payment stops and asks. Another budget is proposed by one person and confirmed by another, and payment
// goes on; the rules stay, and the proof knows what the budget has to be.
func budgetsAreAmended(t *testing.T, s *Store) {
	p := ofBudget(t, s, "50000", 3)
	ctx := t.Context()
	run, err := s.Declare(ctx, p, 1, payer)
	require.NoError(t, err)
	require.EqualValues(t, 30_000, run.Gross)
	_, err = s.Declare(ctx, p, 10, payer)
	require.ErrorIs(t, err, ErrBudget)
	require.ErrorContains(t, err, "granter claims budget")

	for says, wrong := range map[string]struct {
		old, next claims.Won
		by        Actor
		why       string
	}{
		"read it again":    {40_000, 100_000, secretary, "more"},
		"won already":      {50_000, 50_000, secretary, "more"},
		"is no budget":     {50_000, 0, secretary, "more"},
		"is no budget: w":  {50_000, claims.MostWon + 1, secretary, "more"},
		"90000 won are pr": {50_000, 49_999, secretary, "less"},
		"not by payer":     {50_000, 100_000, payer, "more"},
		"and why":          {50_000, 100_000, secretary, ""},
	} {
		_, err := s.ProposeBudget(ctx, p, wrong.old, wrong.next, nil, wrong.by, wrong.why)
		require.ErrorIs(t, err, claims.ErrIllegal)
		require.ErrorContains(t, err, says)
	}
	b, err := s.ProposeBudget(ctx, p, 50_000, 70_000, nil, secretary, "a mistake")
	require.NoError(t, err)
	first := b.Waiting().Number
	b, err = s.ProposeBudget(ctx, p, 50_000, 100_000, nil, secretary, "decision 14")
	require.NoError(t, err)
	require.EqualValues(t, 50_000, b.Now, "nothing has changed")
	second := b.Waiting().Number
	for _, seen := range []int{0, first} {
		_, err = s.ProposeBudget(ctx, p, 50_000, 110_000, &seen, approver, "unseen")
		require.ErrorContains(t, err, "proposed another budget since you looked")
	}
	answer := func(number int, confirms bool, by Actor) error {
		_, err := s.AnswerBudget(ctx, p, number, confirms, by, "decision 14 says so")
		return err
	}
	for _, none := range []int{first, 0, -1} {
		require.ErrorContains(t, answer(none, true, approver), "another one took its place")
	}
	require.ErrorContains(t, answer(second, true, Actor{"oh", claims.Approver}), "oh proposed it: another person confirms it")
	require.ErrorContains(t, answer(second, true, Actor{"kim", claims.Secretary}), "confirmed by an approver")
	require.ErrorContains(t, answer(second, false, payer), "rejected by the secretary or an approver")
	freeze, err := s.SetFreeze(ctx, p.Name, Freeze{Who: "x", Why: "stop", Frozen: true})
	require.NoError(t, err)
	require.True(t, freeze.Frozen)
	frozen := (*FrozenError)(nil)
	require.ErrorAs(t, answer(second, true, approver), &frozen)
	_, err = s.SetFreeze(ctx, p.Name, Freeze{Who: "x", Why: "go on"})
	require.NoError(t, err)

	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { errs[i] = answer(second, true, approver) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		require.ErrorContains(t, err, "has been answered")
	}
	require.Equal(t, 1, done, "it is confirmed once")
	run, err = s.Declare(ctx, p, 10, payer)
	require.NoError(t, err)
	require.EqualValues(t, 60_000, run.Gross, "payment goes on")
	again, err := s.Programme(ctx, p.Name)
	require.NoError(t, err)
	require.Equal(t, p.Hash, again.Hash)
	require.EqualValues(t, 50_000, again.Budget, "the rules are as they were")
	_, err = s.Adopt(ctx, bytes.Replace(source(t), []byte("budget: 5000000000"), []byte("budget: 50000"), 1))
	require.NoError(t, err)

	b, err = s.ProposeBudget(ctx, p, 100_000, 90_000, nil, approver, "all are paid")
	require.NoError(t, err)
	require.NoError(t, answer(b.Waiting().Number, false, secretary))
	b, err = s.Budget(ctx, p)
	require.NoError(t, err)
	require.Nil(t, b.Waiting())
	require.Equal(t, []claims.Won{50_000, 100_000, 90_000, 90_000, 0, 10_000},
		[]claims.Won{b.OfRules, b.Now, b.Promised, b.Reserved, b.Settled, b.Left})
	require.Equal(t, []bool{false, true, false}, []bool{b.Amendments[0].Confirmed, b.Amendments[1].Confirmed,
		b.Amendments[2].Confirmed})
	budgetIsProven(t, s, b.Amendments[1])
}

// budgetIsProven changes the budget, and the rules, behind the program's back.
func budgetIsProven(t *testing.T, s *Store, last BudgetAmendment) {
	t.Helper()
	books := func() *Books {
		b, err := s.Books(t.Context(), "outage-2022", time.Hour)
		require.NoError(t, err)
		return b
	}
	require.Empty(t, books().Wrong)
	require.Equal(t, []BudgetAmendment{last}, books().Amended)
	sound(t, s)
	tamper := func(text string, args ...any) {
		_, err := s.db.ExecContext(t.Context(), text, args...)
		require.NoError(t, err)
	}
	tamper("UPDATE programmes SET budget = $1", 200_000)
	require.Contains(t, books().Wrong, "the budget, and what its rules and amendments come to: 200000 won and 100000 won")
	found := func(says string) {
		p, err := s.Prove(t.Context(), nil)
		require.NoError(t, err)
		require.Len(t, p.Wrong, 1)
		require.Contains(t, p.Wrong[0].What, says)
	}
	found("the budget of programme outage-2022 is 200000 won, and its rules and amendments come to 100000")
	tamper("UPDATE programmes SET budget = $1", 100_000)
	sound(t, s)
	tamper("UPDATE programmes SET source = REPLACE(source, 'budget: 50000', 'budget: 60000')")
	found("the rules of programme outage-2022 were changed")
}
