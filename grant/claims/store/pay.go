package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/granter/granter/grant/claims"
)

// ErrBudget means that what is owed is more than the budget has left. Nothing was declared.
var ErrBudget = errors.New("the budget does not suffice")

// MostAttempts is how often a decision is paid before a person must see to the account.
const MostAttempts = 3

// Run is a payout run: count and sum are declared, and the budget is reserved, before anything is sent.
type Run struct {
	ID       string     `json:"id"`
	Payments int        `json:"payments"`
	Gross    claims.Won `json:"gross"`
}

// Order is one payment for the bank.
type Order struct {
	ID     string     `json:"id"` // the bank's key: the same order twice is one payment
	Claim  string     `json:"claim"`
	Net    claims.Won `json:"net"`
	Person Person     `json:"-"`
}

// payable are the states in which money is owed and not under way.
var payable = []claims.State{claims.Approved, claims.Upheld, claims.PartlyUpheld, claims.PaymentReturned}

// Declare begins a payout run over at most so many claims that are owed money: it moves them to payment_sent, writes the payments
// down, and reserves the budget, all of it or nothing. A nil run: nothing is owed. What the budget does not suffice for is
// an ErrBudget, and left to people.
func (s *Store) Declare(ctx context.Context, p *claims.Programme, most int, by Actor) (*Run, error) {
	d := declaring{programme: p, by: by, now: s.now().UnixMicro(), run: &Run{}}
	d.payments = newRows("INSERT INTO payments (id, claim, decision, attempt, run, gross, withheld, net, state, changed_at) "+
		"VALUES", "", 10)
	filter := Filter{Programme: p.Name, States: payable, Limit: chunk}
	for d.run.Payments < most {
		lines, err := s.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			break
		}
		ids := make([]string, len(lines))
		for i := range lines {
			ids[i] = lines[i].ID
		}
		list, err := s.Get(ctx, ids...)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if d.run.Payments < most {
				d.add(c)
			}
		}
		filter.After = ids[len(ids)-1]
	}
	run := d.run
	if run.Payments == 0 {
		return nil, nil
	}
	return run, s.Commit(ctx, d.steps, func(tx *sql.Tx) error {
		if err := reserve(ctx, tx, p, run); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO runs (id, programme, at, who, payments, gross) VALUES ($1, $2, $3, $4, "+
			"$5, $6)",
			run.ID, p.Name, s.now().UnixMicro(), by.Name, run.Payments, int64(run.Gross)); err != nil {
			return err
		}
		return d.payments.exec(ctx, tx)
	})
}

// declaring is a run that is put together.
type declaring struct {
	programme *claims.Programme
	by        Actor
	now       int64
	run       *Run
	steps     []Step
	payments  *rows
}

// add adds a claim, if it is owed something that can be paid.
func (d *declaring) add(c *Claim) {
	pay := c.next(d.programme)
	if pay == nil {
		return
	}
	if d.run.ID == "" { // the first payment is in one run only
		d.run.ID = "run-" + strings.TrimPrefix(pay.ID, "p-")
	}
	pay.Run = d.run.ID
	reason := ""
	if c.State == claims.PaymentReturned {
		reason = "the account was verified again"
	}
	d.steps = append(d.steps, Step{Claim: c, Action: claims.Send, By: d.by, Reason: reason, Change: Change{Payment: pay}})
	d.payments.add(pay.ID, c.ID, pay.Decision, pay.Attempt, pay.Run, int64(pay.Gross), int64(pay.Gross-pay.Amount),
		int64(pay.Amount),
		"declared", d.now)
	d.run.Payments++
	d.run.Gross += pay.Gross
}

func reserve(ctx context.Context, tx *sql.Tx, p *claims.Programme, run *Run) error {
	var budget, used claims.Won
	err := tx.QueryRowContext(ctx, "SELECT budget, reserved + settled FROM programmes WHERE name = $1", p.Name).Scan(&budget,
		&used)
	if err != nil {
		return err
	}
	if budget > 0 && used+run.Gross > budget {
		return fmt.Errorf("%w: %d payments of %d won together, and of %d won %d are left: pay fewer, or ask who decides on "+
			"the budget",
			ErrBudget, run.Payments, run.Gross, budget, budget-used)
	}
	_, err = tx.ExecContext(ctx, "UPDATE programmes SET reserved = reserved + $2 WHERE name = $1", p.Name, int64(run.Gross))
	return err
}

// next is the payment that a claim is owed now; nil: none.
func (c *Claim) next(p *claims.Programme) *Payment {
	gross := c.Owed - c.Settled
	if gross <= 0 || c.Erased || c.Identity == nil || !c.Identity.Complete || c.Unconfirmed(c.Identity) != nil {
		return nil
	}
	pay := &Payment{Decision: c.Decision, Attempt: 1, Gross: gross}
	for _, before := range c.Payments {
		if before.Decision == c.Decision {
			pay.Attempt = before.Attempt + 1
		}
	}
	if pay.Attempt > MostAttempts && !c.Moved {
		return nil
	}
	pay.Amount = gross - claims.Won(int64(gross)/1_000_000*int64(p.Withheld)+int64(gross)%1_000_000*int64(p.Withheld)/1_000_000)
	pay.ID = "p-" + digestOf(p.Name, c.ID, fmt.Sprint(pay.Decision), fmt.Sprint(pay.Attempt))[:24]
	return pay
}

// HandOver returns the orders that the bank has not got, and notes before that it may have them from now on: whatever happens
// afterwards, none of them is ordered again unless the bank says that it never had it.
func (s *Store) HandOver(ctx context.Context, programme string) ([]Order, error) {
	orders, err := s.Orders(ctx, programme, "declared")
	if err != nil {
		return nil, err
	}
	return orders, s.inTx(ctx, func(tx *sql.Tx) error {
		for _, o := range orders {
			res, err := tx.ExecContext(ctx, "UPDATE payments SET state = 'sent', changed_at = $2 WHERE id = $1 AND state = "+
				"'declared'",
				o.ID, s.now().UnixMicro())
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 { // another run has handed it over
				return errors.Join(err, fmt.Errorf("payment %s was handed over by somebody else meanwhile", o.ID))
			}
		}
		return nil
	})
}

// Orders returns the payments of a programme in a state, with who is paid.
func (s *Store) Orders(ctx context.Context, programme, state string) ([]Order, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT p.id, p.claim, p.net FROM payments AS p JOIN runs AS r ON r.id = p.run "+
		"WHERE r.programme = $1 AND p.state = $2 ORDER BY p.id", programme, state)
	if err != nil {
		return nil, err
	}
	var out []Order
	var ids []string
	if err := each(rows, func(scan func(...any) error) error {
		var o Order
		err := scan(&o.ID, &o.Claim, &o.Net)
		out, ids = append(out, o), append(ids, o.Claim)
		return err
	}); err != nil {
		return nil, err
	}
	people, err := s.People(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if p := people[out[i].Claim]; p != nil {
			out[i].Person = *p
		}
	}
	return out, nil
}
