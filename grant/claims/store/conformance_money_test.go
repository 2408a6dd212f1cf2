package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

var payer = Actor{"choi", claims.Payer}

// owed returns claims that are owed 30,000 won each.
func owed(t *testing.T, s *Store, n int) []*Claim {
	t.Helper()
	list := receive(t, s, n)
	amount := claims.Won(30_000)
	var steps []Step
	for _, c := range list {
		steps = append(steps, Step{Claim: c, Action: claims.Check, By: Rules},
			Step{Claim: c, Action: Identify, By: Rules, Change: Change{Identity: &Identity{Complete: true}}},
			Step{Claim: c, Action: claims.Approve, By: Rules, Reason: "tier 1", Change: Change{Owed: &amount}})
	}
	require.NoError(t, s.Commit(t.Context(), steps, nil))
	return list
}

func balanced(t *testing.T, s *Store) *Books {
	t.Helper()
	b, err := s.Books(t.Context(), "outage-2022", 0)
	require.NoError(t, err)
	require.Empty(t, b.Wrong)
	sound(t, s)
	return b
}

func paying(t *testing.T, s *Store) {
	list := owed(t, s, 3)
	p := shipped(t, s)
	run, err := s.Declare(t.Context(), p, 2, payer)
	require.NoError(t, err)
	require.Equal(t, []int{2, 60_000}, []int{run.Payments, int(run.Gross)})
	orders, err := s.HandOver(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Len(t, orders, 2)
	again, err := s.HandOver(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Empty(t, again)
	b := balanced(t, s)
	require.Equal(t, []claims.Won{60_000, 0, 30_000}, []claims.Won{b.Reserved, b.Settled, b.Owed})
	require.Len(t, b.Unanswered, 2)
	require.ErrorContains(t, s.ChangePerson(t.Context(), list[0], Person{}, payer, "x"), "read it again", "it was changed")
	now, err := s.Get(t.Context(), list[0].ID)
	require.NoError(t, err)
	require.ErrorContains(t, s.ChangePerson(t.Context(), now[0], Person{}, payer, "x"), "the bank has an order")

	id, other := orders[0].ID, orders[1].ID
	for i, test := range []struct {
		answer Answer
		want   Effect
		state  string
	}{
		{Answer{"1", id, BankUnknown, 0, "", 0}, Waiting, "sent"},
		{Answer{"2", id, BankNotFound, 0, "", 0}, Applied, "declared"},
		{Answer{"3", id, BankSettled, 10_000, "", 0}, Waiting, "sent"}, // it had it after all, and pays in parts
		{Answer{"3", id, BankSettled, 10_000, "", 0}, Repeated, "sent"},
		{Answer{"4", id, BankNotFound, 0, "", 0}, Doubtful, "sent"},
		{Answer{"5", id, BankSettled, 20_001, "", 0}, Doubtful, "sent"},
		{Answer{"6", id, BankSettled, 20_000, "", 0}, Applied, "settled"},
		{Answer{"7", id, BankSettled, 30_000, "", 0}, Doubtful, "settled"},
		{Answer{"8", id, BankReturned, 1, "", 0}, Doubtful, "settled"},
		{Answer{"9", id, BankReturned, 30_000, "reversed", 0}, Applied, "returned"},
		{Answer{"10", id, BankReturned, 30_000, "reversed", 0}, Repeated, "returned"},
		{Answer{"11", id, BankSettled, 30_000, "late", 0}, Doubtful, "returned"},
		{Answer{"12", "p-nobody", BankSettled, 1, "", 0}, Doubtful, "returned"},
		{Answer{"13", other, BankSettled, 30_000, "", 0}, Applied, "returned"},
	} {
		effects, err := s.Answers(t.Context(), []Answer{test.answer}, nil)
		require.NoError(t, err)
		require.Equal(t, []Effect{test.want}, effects, i)
		var state string
		require.NoError(t, s.db.QueryRow("SELECT state FROM payments WHERE id = $1", id).Scan(&state))
		require.Equal(t, test.state, state, i)
		balanced(t, s)
	}
	b = balanced(t, s)
	require.Equal(t, []claims.Won{0, 30_000}, []claims.Won{b.Reserved, b.Settled})
	require.Len(t, b.Doubts, 6, "those of a payment are listed as long as it is in doubt")

	_, err = s.db.Exec(
		"INSERT INTO payments SELECT 'p-x', claim, decision, 2, run, gross, withheld, net, 0, 'declared', '', 0 "+
			"FROM payments WHERE id = $1",
		other,
	)
	require.Error(t, err, "the database itself refuses a second payment of a decision")
	_, err = s.db.Exec("UPDATE payments SET state = 'settled', came = 5 WHERE id = $1", id)
	require.Error(t, err)
	_, err = s.db.Exec("UPDATE programmes SET reserved = budget + 1")
	require.Error(t, err)
}

func payingAgain(t *testing.T, s *Store) {
	c := owed(t, s, 1)[0]
	p := shipped(t, s)
	s.now = func() time.Time { return time.Now().Add(time.Hour) }
	for attempt := 1; attempt <= MostAttempts+1; attempt++ {
		run, err := s.Declare(t.Context(), p, 10, payer)
		require.NoError(t, err)
		if attempt > MostAttempts {
			require.Nil(t, run, "a person sees to the account first")
			break
		}
		orders, err := s.HandOver(t.Context(), p.Name, 0)
		require.NoError(t, err)
		_, err = s.Answers(t.Context(), []Answer{{orders[0].ID, orders[0].ID, BankReturned, 30_000, "no such account", 0}}, nil)
		require.NoError(t, err)
		run, err = s.Declare(t.Context(), p, 10, payer)
		require.NoError(t, err)
		require.Nil(t, run, "the account is verified again first")
		list, err := s.Get(t.Context(), c.ID)
		require.NoError(t, err)
		c = list[0]
		require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: Identify, By: Rules,
			Change: Change{Identity: &Identity{Complete: true}}}}, nil))
	}
	other := Person{Bank: "088", Account: "9"}
	require.NoError(t, s.ChangePerson(t.Context(), c, other, Actor{"kim", claims.Owner}, "another bank"))
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: Identify, By: Rules,
		Change: Change{Identity: &Identity{Complete: true}}}}, nil))
	run, err := s.Declare(t.Context(), p, 10, payer)
	require.NoError(t, err)
	require.Equal(t, 1, run.Payments, "to another account it is tried again")
	balanced(t, s)
}

// A bank that is asked twice about an order answers twice that it never had it. When the order was sent again in between, the
// second answer is about the sending before: on its word nothing is sent once more.
func askingTwice(t *testing.T, s *Store) {
	owed(t, s, 1)
	p := shipped(t, s)
	_, err := s.Declare(t.Context(), p, 1, payer)
	require.NoError(t, err)
	handOver := func(want int) {
		orders, err := s.HandOver(t.Context(), p.Name, 0)
		require.NoError(t, err)
		require.Len(t, orders, 1)
		require.Equal(t, want, orders[0].Sending)
	}
	ask := func() Question {
		list, err := s.Ask(t.Context(), p.Name, 0)
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0]
	}
	says := func(id string, status AnswerStatus, sending int, want Effect) {
		q := ask()
		effects, err := s.Answers(t.Context(), []Answer{{id, q.Payment, status, 0, "", sending}}, nil)
		require.NoError(t, err)
		require.Equal(t, []Effect{want}, effects, id)
	}
	handOver(1) // and dies before it sends
	first, second := ask(), ask()
	require.Equal(t, []int{1, 1}, []int{first.Sending, second.Sending})
	says("a-1", BankNotFound, first.Sending, Applied)
	handOver(2)
	says("a-2", BankNotFound, second.Sending, Repeated)
	says("a-3", BankNotFound, 0, Doubtful) // a statement, of nobody knows when
	says("a-4", BankNotFound, 3, Doubtful) // there was none
	says("a-5", BankUnknown, 2, Waiting)
	again, err := s.HandOver(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Empty(t, again, "the bank may have it")
	says("a-6", BankNotFound, ask().Sending, Applied)
	handOver(3)
	require.Empty(t, balanced(t, s).Doubts, "what it was in doubt about is known since")
}
