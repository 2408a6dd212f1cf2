package payout

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

var (
	seeds = flag.Int("seeds", 15, "how many seeds of the bank simulator to run, with each form of its files")
	first = flag.Uint64("seed", 1, "the first of them")
)

// simulator is a bank with every fault that banks have. What it has paid is its own truth.
type simulator struct {
	*rand.Rand
	orders map[string]store.Order
	paid   map[string]claims.Won // by payment: what is with the owner
	final  map[string]bool       // will not change any more
	mail   []store.Answer        // on its way; may be late, and come more than once
	told   map[string]store.Answer
	missed map[string]int // the last sending of which it said that it never had it
	n      int
	files  bankFiles
}

func (b *simulator) chance(percent int) bool { return b.IntN(100) < percent }

func (b *simulator) say(payment string, status store.AnswerStatus, amount claims.Won) {
	b.n++
	a := store.Answer{ID: fmt.Sprint("r-", b.n), Payment: payment, Status: status, Amount: amount, Why: "as it is"}
	b.told[payment] = a
	b.mail = append(b.mail, a)
	if b.chance(20) { // told twice
		b.mail = append(b.mail, a)
	}
}

// take takes orders; some get lost on the way, and some come twice.
func (b *simulator) take(t *testing.T, orders []store.Order) {
	t.Helper()
	for _, o := range orders {
		require.Equal(t, o.Sending-1, b.missed[o.ID], "sent anew, and nobody said that the bank never had it: %s", o.ID)
		if b.chance(10) {
			continue
		}
		if _, again := b.orders[o.ID]; again {
			continue // its key is known: the same order
		}
		b.orders[o.ID] = o
		switch n := b.IntN(10); {
		case n < 4:
			b.settle(o, o.Net)
		case n < 5: // in two parts
			part := 1 + claims.Won(b.Int64N(int64(o.Net-1)))
			b.settle(o, part)
			b.settle(o, o.Net-part)
		case n < 6: // nobody has that account
			b.final[o.ID] = true
			b.say(o.ID, store.BankReturned, o.Net)
		case n < 7: // paid, and reversed later
			b.settle(o, o.Net)
			b.paid[o.ID] = 0
			b.say(o.ID, store.BankReturned, o.Net)
		case n < 8: // too little, and put back
			b.say(o.ID, store.BankSettled, o.Net-1)
			b.say(o.ID, store.BankReturned, o.Net-1)
			b.final[o.ID] = true
		case n < 9: // says nothing by itself
			b.paid[o.ID] += o.Net
			b.final[o.ID] = true
			b.n++
			b.told[o.ID] = store.Answer{ID: fmt.Sprint("r-", b.n), Payment: o.ID, Status: store.BankSettled, Amount: o.Net}
		default: // says another amount than it has paid, and corrects that
			b.say(o.ID, store.BankSettled, o.Net+1)
			b.settle(o, o.Net)
		}
	}
}

func (b *simulator) settle(o store.Order, amount claims.Won) {
	b.paid[o.ID] += amount
	b.final[o.ID] = true
	b.say(o.ID, store.BankSettled, amount)
}

// deliver returns what arrives now: some of what is on its way, in the order in which each payment's was sent.
func (b *simulator) deliver() []store.Answer {
	n := b.IntN(len(b.mail) + 1)
	out := b.mail[:n]
	b.mail = b.mail[n:]
	return out
}

// ask answers a question about a payment. That it never had the order may come at once, or late, or both.
func (b *simulator) ask(q store.Question) (store.Answer, bool) {
	id := q.Payment
	if _, has := b.orders[id]; !has {
		b.n++
		a := store.Answer{ID: fmt.Sprint("r-", b.n), Payment: id, Status: store.BankNotFound, Sending: q.Sending}
		b.missed[id] = q.Sending
		if b.chance(30) {
			b.n++
			late := a
			late.ID = fmt.Sprint("r-", b.n)
			b.mail = append(b.mail, late)
		}
		return a, true
	}
	if b.chance(20) {
		b.n++
		return store.Answer{ID: fmt.Sprint("r-", b.n), Payment: id, Status: store.BankUnknown, Sending: q.Sending}, true
	}
	for _, a := range b.mail {
		if a.Payment == id {
			return a, false // it is on its way
		}
	}
	return b.told[id], true
}

// Whatever the bank does, nobody is paid twice, nothing is lost, and in the end every payment is known to be settled or
// returned.
func TestABankWithEveryFault(t *testing.T) {
	t.Parallel()
	for name, files := range bankFilesOf(t) {
		for seed := *first; seed < *first+uint64(*seeds); seed++ {
			t.Run(fmt.Sprint(name, "/seed-", seed), func(t *testing.T) {
				t.Parallel()
				simulate(t, seed, files)
			})
		}
	}
}

func simulate(t *testing.T, seed uint64, files bankFiles) {
	s, p := storetest.Memory(t)
	b := &simulator{
		Rand: rand.New(rand.NewPCG(seed, 0)), orders: map[string]store.Order{}, paid: map[string]claims.Won{},
		final: map[string]bool{},
		told:  map[string]store.Answer{}, missed: map[string]int{}, files: files,
	}
	n := 3 + b.IntN(10)
	approve(t, s, storetest.Receive(t, s, p, n, 100_000))
	payer := store.Actor{Name: "choi", Duty: claims.Payer}
	ctx := t.Context()
	for round, idle := 0, 0; idle < 2; round++ { // what the last answers set off needs one more
		require.Less(t, round, 200, "it does not come to an end")
		run, err := s.Declare(ctx, p, 1+b.IntN(n), payer)
		require.NoError(t, err)
		orders, err := s.HandOver(ctx, p.Name, 0)
		require.NoError(t, err)
		if !b.chance(10) { // the process dies before it sends
			b.take(t, files.order(t, orders))
		}
		_, err = s.Answers(ctx, files.answer(t, b.deliver()), nil)
		require.NoError(t, err)
		if b.chance(50) {
			askAll(t, s, p, b)
		}
		verifyAgain(t, s)
		books, err := s.Books(ctx, p.Name, 0)
		require.NoError(t, err)
		require.Empty(t, books.Wrong)
		idle++
		if run != nil || len(orders) > 0 || len(b.mail) > 0 || len(books.Unanswered) > 0 {
			idle = 0
		}
	}
	proof, err := s.Prove(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	settle(t, s, p, b, n)
}

// settle compares what granter says with what the bank has done.
func settle(t *testing.T, s *store.Store, p *claims.Programme, b *simulator, n int) {
	t.Helper()
	lines, err := s.List(t.Context(), store.Filter{})
	require.NoError(t, err)
	require.Len(t, lines, n)
	var sum claims.Won
	for _, line := range lines {
		list, err := s.Get(t.Context(), line.ID)
		require.NoError(t, err)
		c := list[0]
		var got claims.Won
		for _, pay := range c.Payments {
			got += b.paid[pay.ID]
		}
		sum += got
		switch c.State {
		case claims.Paid:
			require.Equal(t, c.Owed, got, "claim %s", c.ID)
		case claims.PaymentReturned:
			require.Zero(t, got, "claim %s", c.ID)
			require.Len(t, c.Payments, store.MostAttempts)
		default:
			require.Fail(t, "claim "+c.ID+" ends in state "+string(c.State))
		}
	}
	books, err := s.Books(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Equal(t, sum, books.Settled)
	require.Zero(t, books.Reserved)
}

func approve(t *testing.T, s *store.Store, list []*store.Claim) {
	t.Helper()
	owed := claims.Won(30_000)
	var steps []store.Step
	for _, c := range list {
		steps = append(steps,
			store.Step{Claim: c, Action: claims.Check, By: store.Rules},
			store.Step{Claim: c, Action: store.Identify, By: store.Rules,
				Change: store.Change{Identity: &store.Identity{Complete: true}}},
			store.Step{Claim: c, Action: claims.Approve, By: store.Rules, Reason: "tier 1", Change: store.Change{Owed: &owed}})
	}
	require.NoError(t, s.Commit(t.Context(), steps, nil))
}

// verifyAgain is what the rules do with accounts to which a payment did not go.
func verifyAgain(t *testing.T, s *store.Store) {
	t.Helper()
	lines, err := s.List(t.Context(), store.Filter{States: []claims.State{claims.PaymentReturned}})
	require.NoError(t, err)
	for _, line := range lines {
		list, err := s.Get(t.Context(), line.ID)
		require.NoError(t, err)
		if list[0].Identity == nil {
			require.NoError(t, s.Commit(t.Context(), []store.Step{{Claim: list[0], Action: store.Identify, By: store.Rules,
				Change: store.Change{Identity: &store.Identity{Complete: true}}}}, nil))
		}
	}
}

func askAll(t *testing.T, s *store.Store, p *claims.Programme, b *simulator) {
	t.Helper()
	list, err := s.Ask(t.Context(), p.Name, 0)
	require.NoError(t, err)
	slices.SortFunc(list, func(a, b store.Question) int { return strings.Compare(a.Payment, b.Payment) })
	var answers []store.Answer
	for _, q := range list {
		if a, ok := b.ask(q); ok {
			answers = append(answers, a)
		}
	}
	_, err = s.Answers(t.Context(), b.files.answer(t, answers), nil)
	require.NoError(t, err)
}

func TestTwoRunsAtOnceAndABudgetThatEnds(t *testing.T) {
	s, p := storetest.Open(t)
	list := storetest.Receive(t, s, p, 4, 100_000)
	approve(t, s, list)
	payer := store.Actor{Name: "choi", Duty: claims.Payer}
	type result struct {
		run *store.Run
		err error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			run, err := s.Declare(t.Context(), p, 100, payer)
			results <- result{run, err}
		}()
	}
	runs := 0
	for range 2 {
		r := <-results
		var conflict *store.ConflictError
		switch {
		case r.err != nil:
			require.ErrorAs(t, r.err, &conflict)
		case r.run != nil:
			require.Equal(t, 4, r.run.Payments)
			runs++
		}
	}
	require.Equal(t, 1, runs, "of two runs one pays, and the other finds nothing or is told")

	require.ErrorIs(t, drain(t, s, p), store.ErrBudget)
	books, err := s.Books(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Empty(t, books.Wrong)
	require.Equal(t, claims.Won(120_000), books.Reserved)
}

// drain owes one claim more than the budget has.
func drain(t *testing.T, s *store.Store, p *claims.Programme) error {
	t.Helper()
	f := storetest.Filing(p, 50, 100_000)
	_, err := s.Receive(t.Context(), []store.Filing{f}, nil)
	require.NoError(t, err)
	list, err := s.Get(t.Context(), f.ID)
	require.NoError(t, err)
	owed := p.Budget
	require.NoError(t, s.Commit(t.Context(), []store.Step{
		{Claim: list[0], Action: claims.Check, By: store.Rules},
		{Claim: list[0], Action: store.Identify, By: store.Rules,
			Change: store.Change{Identity: &store.Identity{Complete: true}}},
		{Claim: list[0], Action: claims.Approve, By: store.Rules, Reason: "test", Change: store.Change{Owed: &owed}},
	}, nil))
	_, err = s.Declare(t.Context(), p, 100, store.Actor{Name: "choi", Duty: claims.Payer})
	return err
}
