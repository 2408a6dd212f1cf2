package decide

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// world is a store, the services, and a worker whose clock the test sets.
type world struct {
	*Worker
	services *identitytest.Services
	at       time.Time
	t        *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, p := storetest.Open(t)
	services := &identitytest.Services{}
	server := httptest.NewServer(services)
	t.Cleanup(server.Close)
	w := &world{services: services, at: time.Now(), t: t}
	s.SetClock(func() time.Time { return w.at })
	w.Worker = &Worker{
		Store: s, Programme: p, Registry: identity.NewRegistry(server.URL, "key"), Bank: identity.NewBank(server.URL, "token"),
		Now: func() time.Time { return w.at },
	}
	return w
}

func (w *world) pass() *Passed {
	w.t.Helper()
	got, err := w.Pass(w.t.Context())
	require.NoError(w.t, err)
	proof, err := w.Store.Prove(w.t.Context(), nil)
	require.NoError(w.t, err)
	require.Empty(w.t, proof.Wrong)
	return got
}

func (w *world) file(change func(*store.Filing), i int, loss claims.Won) string {
	w.t.Helper()
	f := storetest.Filing(w.Programme, i, loss)
	if change != nil {
		change(&f)
	}
	out, err := w.Store.Receive(w.t.Context(), []store.Filing{f}, nil)
	require.NoError(w.t, err)
	require.Equal(w.t, store.Taken, out[0].Outcome)
	return f.ID
}

func (w *world) claim(id string) *store.Claim {
	w.t.Helper()
	list, err := w.Store.Get(w.t.Context(), id)
	require.NoError(w.t, err)
	return list[0]
}

func TestTierClaimsAreApprovedWithoutAPerson(t *testing.T) {
	w := newWorld(t)
	for i := range 150 { // more than one call to the tax office takes
		w.file(nil, i, 100_000)
	}
	second := w.file(nil, 200, 300_000)
	review := w.file(nil, 201, 500_000)
	nothing := w.file(nil, 202, 0)
	got := w.pass()
	require.Equal(t, 153, got.Looked)
	require.Equal(t, map[claims.State]int{claims.Approved: 151, claims.DocumentsMissing: 1, claims.Declined: 1}, got.States)
	require.Equal(t, 2, w.services.Calls("/validate"))
	require.Equal(t, claims.Won(50_000), w.claim(second).Owed)
	require.Equal(t, claims.ReasonNoLoss, w.claim(nothing).Declined)
	require.Equal(t, claims.DocumentsMissing, w.claim(review).State)
	require.Zero(t, w.pass().Looked, "nothing is left to do")
}

func TestAServiceThatIsAwayMakesClaimsWaitAndNeverDeclinesThem(t *testing.T) {
	w := newWorld(t)
	id := w.file(nil, 1, 100_000)
	w.services.Away(true)
	got := w.pass()
	require.Equal(t, 1, got.Pending)
	require.Len(t, got.Away, 2)
	require.Equal(t, claims.Checking, w.claim(id).State)
	require.Zero(t, w.pass().Looked, "it is put off")
	for _, wait := range []time.Duration{soonest, 2 * soonest, 4 * soonest} {
		w.at = w.at.Add(wait - time.Second)
		require.Zero(t, w.pass().Looked)
		w.at = w.at.Add(time.Second)
		require.Equal(t, 1, w.pass().Pending)
	}
	require.Equal(t, 2, w.claim(id).Seq, "waiting leaves no entries")
	w.services.Away(false)
	w.at = w.at.Add(latest)
	w.Registry, w.Bank = fresh(w) // they had been left alone for a while
	require.Equal(t, map[claims.State]int{claims.Approved: 1}, w.pass().States)
}

func fresh(w *world) (Registry, Bank) {
	server := httptest.NewServer(w.services)
	w.t.Cleanup(server.Close)
	return identity.NewRegistry(server.URL, "key"), identity.NewBank(server.URL, "token")
}

func TestWhatTheServicesSayDecides(t *testing.T) {
	w := newWorld(t)
	number := func(i int) string { return string(storetest.Number(i)) }
	closed, later, suspended := w.file(nil, 1, 100_000), w.file(nil, 2, 100_000), w.file(nil, 3, 100_000)
	mismatch, holder, unknown := w.file(nil, 4, 100_000), w.file(nil, 5, 100_000), w.file(nil, 6, 100_000)
	w.services.Set(number(1), identitytest.Business{Code: "03", End: "20220930"})
	w.services.Set(number(2), identitytest.Business{Code: "03", End: "20221130"})
	w.services.Set(number(3), identitytest.Business{Code: "02"})
	w.services.Set(number(4), identitytest.Business{Valid: "02"})
	w.services.Hold("004", "1230000005", "이사장")
	w.services.Hold("004", "1230000006", "")
	w.pass()
	require.Equal(t, claims.ReasonClosed, w.claim(closed).Declined)
	require.Equal(t, claims.Approved, w.claim(later).State, "it closed after the outage")
	require.Equal(t, claims.Approved, w.claim(suspended).State)
	for _, id := range []string{mismatch, holder, unknown} {
		c := w.claim(id)
		require.Equal(t, claims.OnHold, c.State, "a person looks before anybody is declined")
		require.Equal(t, claims.NotConfirmed, c.Signals[0].Kind)
	}
	require.Equal(t, "there is no such account", w.claim(unknown).Signals[0].What)
}

func TestSignalsStopMoneyUntilAPersonHasJudgedThem(t *testing.T) {
	w := newWorld(t)
	first := w.file(nil, 1, 100_000)
	w.pass()
	require.Equal(t, claims.Approved, w.claim(first).State)
	same := func(f *store.Filing) { f.Person.Account = "123-0000001" }
	second := w.file(same, 2, 100_000)
	w.pass()
	for id, other := range map[string]string{first: second, second: first} {
		c := w.claim(id)
		require.Equal(t, claims.OnHold, c.State, "also the one that was approved before")
		require.Equal(t, []claims.Signal{{Kind: claims.SameAccount, What: "1 other claims have the same account",
			Others: []string{other}}},
			c.Signals)
	}
	w.pass()
	require.Equal(t, claims.OnHold, w.claim(first).State)

	c := w.claim(first)
	lee := store.Actor{Name: "lee", Duty: claims.Reviewer}
	require.NoError(t, w.Store.Commit(t.Context(), []store.Step{{Claim: c, Action: claims.Clear, By: lee,
		Reason: "two shops of one owner"}}, nil))
	w.pass()
	require.Equal(t, claims.Approved, w.claim(first).State, "no duplicate: that is remembered")
	require.Equal(t, claims.OnHold, w.claim(second).State)

	c = w.claim(first)
	owner := store.Actor{Name: "kim", Duty: claims.Owner}
	require.NoError(t, w.Store.Commit(t.Context(), []store.Step{{Claim: c, Action: claims.Withdraw, By: owner}}, nil))
	w.pass()
	require.Equal(t, claims.Approved, w.claim(second).State, "the cause is gone")
}

func TestAClaimThatAPersonHoldsStaysHeld(t *testing.T) {
	w := newWorld(t)
	id := w.file(nil, 1, 100_000)
	w.pass()
	lee := store.Actor{Name: "lee", Duty: claims.Reviewer}
	require.NoError(t, w.Store.Commit(t.Context(), []store.Step{
		{Claim: w.claim(id), Action: claims.Flag, By: lee, Reason: "a tip"},
	}, nil))
	w.pass()
	require.Equal(t, claims.OnHold, w.claim(id).State)
}

// meddler changes a claim while the bank is asked about it.
type meddler struct {
	Bank
	once   sync.Once // claims are asked about side by side
	meddle func()
}

func (m *meddler) Ask(ctx context.Context, a identity.Account) (string, error) {
	m.once.Do(m.meddle)
	return m.Bank.Ask(ctx, a)
}

func TestSomebodyElseAtAClaimHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	a, b := w.file(nil, 1, 100_000), w.file(nil, 2, 100_000)
	w.Bank = &meddler{Bank: w.Bank, meddle: func() {
		kim := store.Actor{Name: "kim", Duty: claims.Owner}
		require.NoError(
			t,
			w.Store.Commit(t.Context(), []store.Step{{Claim: w.claim(a), Action: claims.Withdraw, By: kim}}, nil),
		)
	}}
	got := w.pass()
	require.Equal(t, 1, got.Conflict)
	require.Equal(t, claims.Withdrawn, w.claim(a).State)
	require.Equal(t, claims.Approved, w.claim(b).State)
}

func TestLargeAmountsNeedTwoPeople(t *testing.T) {
	w := newWorld(t)
	id := w.file(nil, 1, 5_000_000)
	w.pass()
	c := w.claim(id)
	require.NoError(t, w.Store.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Complete, By: store.Actor{Name: "kim", Duty: claims.Owner}},
		{Claim: c, Action: claims.Review, By: store.Actor{Name: "lee", Duty: claims.Reviewer}},
	}, nil))
	decide := func(name string, amount claims.Won) error {
		c := w.claim(id)
		d := Decision{Action: claims.Approve, By: store.Actor{Name: name, Duty: claims.Approver}, Why: "shown", Amount: &amount}
		step, err := d.Step(w.Programme, c)
		if err != nil {
			return err
		}
		return w.Store.Commit(t.Context(), []store.Step{step}, nil)
	}
	_, err := (&Decision{Action: claims.Approve, By: store.Actor{Name: "x", Duty: claims.Approver},
		Why: "x"}).Step(w.Programme, c)
	require.ErrorContains(t, err, "say how much")
	require.ErrorContains(t, decide("park", 0), "nothing to approve")
	require.NoError(t, decide("park", 1_000_000))
	require.Equal(t, claims.InReview, w.claim(id).State)
	require.ErrorContains(t, decide("park", 1_000_000), "park had a hand in it")
	require.ErrorContains(t, decide("cho", 1_000_001), "the first of two approved 1000000 won")
	require.NoError(t, decide("cho", 1_000_000))
	require.Equal(t, claims.Won(1_000_000), w.claim(id).Owed)
	proof, err := w.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
}

func TestWhatIsNoDecision(t *testing.T) {
	w := newWorld(t)
	id := w.file(nil, 1, 100_000)
	w.pass()
	amount := claims.Won(40_000)
	c := w.claim(id)
	for _, test := range []struct {
		d    Decision
		want string
	}{
		{Decision{Action: claims.Settle}, "settle is not decided"},
		{Decision{Action: claims.Flag, Amount: &amount}, "part of an approval only"},
		{Decision{Action: claims.Approve, Amount: &amount, By: store.Actor{Duty: claims.Approver}}, "the rules pay 30000 won"},
	} {
		_, err := test.d.Step(w.Programme, c)
		require.ErrorContains(t, err, test.want)
	}
}

// move gives a claim another account, and lets the day pass that it waits.
func (w *world) move(id, account string) {
	w.t.Helper()
	c := w.claim(id)
	p, err := w.Store.Person(w.t.Context(), id)
	require.NoError(w.t, err)
	p.Account = account
	require.NoError(w.t, w.Store.ChangePerson(w.t.Context(), c, *p, store.Actor{Name: "owner", Duty: claims.Owner}, "moved"))
	require.Zero(w.t, w.pass().Looked, "it is held for a day")
	w.at = w.at.Add(store.AccountHold + time.Minute)
}

func TestANewAccountIsHeldVerifiedAndThenPaid(t *testing.T) {
	w := newWorld(t)
	id := w.file(nil, 1, 100_000)
	w.pass()
	require.Equal(t, claims.Approved, w.claim(id).State)
	payer := store.Actor{Name: "choi", Duty: claims.Payer}
	pay := func() int {
		run, err := w.Store.Declare(t.Context(), w.Programme, 10, payer)
		require.NoError(t, err)
		if run == nil {
			return 0
		}
		return run.Payments
	}
	w.services.Hold("004", "999", "이사장")
	w.move(id, "999")
	require.Zero(t, pay(), "nobody knows yet whose account it is")
	require.Equal(t, map[claims.State]int{claims.OnHold: 1}, w.pass().States, "it is somebody else's")
	w.services.Hold("004", "888", "김사장")
	w.move(id, "888")
	require.Equal(t, map[claims.State]int{claims.Approved: 1}, w.pass().States, "the cause is gone")
	w.move(id, "888")
	require.Equal(t, 1, w.pass().Looked)
	require.Equal(t, claims.Approved, w.claim(id).State)
	require.Equal(t, 1, pay())
}

func TestWhatCameBackIsNotPaidToSomebodyElse(t *testing.T) {
	w := newWorld(t)
	id := w.file(nil, 1, 100_000)
	w.pass()
	payer := store.Actor{Name: "choi", Duty: claims.Payer}
	_, err := w.Store.Declare(t.Context(), w.Programme, 10, payer)
	require.NoError(t, err)
	orders, err := w.Store.HandOver(t.Context(), w.Programme.Name, 0)
	require.NoError(t, err)
	_, err = w.Store.Answers(t.Context(), []store.Answer{{ID: "r-1", Payment: orders[0].ID, Status: store.BankReturned,
		Amount: orders[0].Net, Why: "closed account"}}, nil)
	require.NoError(t, err)
	w.services.Hold("004", "999", "이사장")
	w.move(id, "999")
	w.pass()
	run, err := w.Store.Declare(t.Context(), w.Programme, 10, payer)
	require.NoError(t, err)
	require.Nil(t, run, "the bank says that it is somebody else's account")
}

// Another process, or the owner, moves a claim on after it was listed as due: it is left alone, and the pass goes on.
func TestAClaimThatWasMovedOnMeanwhileIsLeft(t *testing.T) {
	w := newWorld(t)
	list, err := w.Store.Get(t.Context(), w.file(nil, 1, 100_000))
	require.NoError(t, err)
	withdrawn := store.Step{Claim: list[0], Action: claims.Withdraw, By: store.Owner}
	require.NoError(t, w.Store.Commit(t.Context(), []store.Step{withdrawn}, nil))
	steps, err := w.steps(t.Context(), list[0], &store.Identity{Complete: true}, nil)
	require.NoError(t, err)
	require.Empty(t, steps)
}
