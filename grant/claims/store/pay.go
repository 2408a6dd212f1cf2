package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	Run    string     `json:"run"`
	Net    claims.Won `json:"net"`
	Person Person     `json:"-"`

	// Sending is the how manyth handing over of this order it is, from 1: the bank is asked about that one.
	Sending int `json:"sending"`
}

// Question asks the bank what became of one sending of an order.
type Question struct {
	Payment string `json:"payment"`
	Sending int    `json:"sending"`
}

// payable are the states in which money is owed and not under way.
var payable = []claims.State{claims.Approved, claims.Upheld, claims.PartlyUpheld, claims.PaymentReturned}

// Declare begins a payout run over at most so many claims that are owed money: it moves them to payment_sent, writes the
// payments
// down, and reserves the budget, all of it or nothing. A nil run: nothing is owed. What the budget does not suffice for is
// an ErrBudget, and left to people.
func (s *Store) Declare(ctx context.Context, p *claims.Programme, most int, by Actor) (*Run, error) {
	d := declaring{programme: p, by: by, now: s.now().UnixMicro(), run: &Run{}}
	d.payments = newRows("INSERT INTO payments (id, claim, decision, attempt, run, gross, withheld, net, state, changed_at) "+
		"VALUES", "", 10)
	filter := Filter{Programme: p.Name, States: payable, Limit: chunkOfArrays}
	for d.run.Payments < most {
		lines, err := s.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			break
		}
		ids := IDs(lines)
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
		return d.payments.exec(ctx, tx, s.postgres)
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
			"the budget (granter claims budget raises it)",
			ErrBudget, run.Payments, run.Gross, budget, budget-used)
	}
	_, err = tx.ExecContext(ctx, "UPDATE programmes SET reserved = reserved + $2 WHERE name = $1", p.Name, int64(run.Gross))
	return err
}

// next is the payment that a claim is owed now; nil: none. Between a list of what is owed and a look at each of it, another run
// may have sent it.
func (c *Claim) next(p *claims.Programme) *Payment {
	gross := c.Owed - c.Settled
	if gross <= 0 || !slices.Contains(payable, c.State) || c.Erased || c.Identity == nil || !c.Identity.Complete ||
		c.Unconfirmed(c.Identity) != nil {
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

// HandOver returns orders that the bank has not got, at most so many (0: all), and notes before that it may have them from now
// on: whatever happens afterwards, none of them is ordered again unless the bank says that it never had it. Of several who hand
// over at once each gets others.
func (s *Store) HandOver(ctx context.Context, programme string, most int) ([]Order, error) {
	var orders []Order
	err := s.begin(ctx, func(c *commit) (err error) {
		if err := s.thawed(ctx, c.tx, programme); err != nil {
			return err
		}
		if orders, err = ordersOf(ctx, c.tx, programme, "declared", most); err != nil {
			return err
		}
		for part := range parts(s, orders) {
			ids := make([]string, len(part))
			for i := range part {
				part[i].Sending++
				ids[i] = part[i].ID
			}
			which, args := s.among(2, ids)
			c.later(statement{
				text: "UPDATE payments SET state = 'sent', sendings = sendings + 1, changed_at = $1 WHERE id " + which,
				args: append([]any{c.at.UnixMicro()}, args...),
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return orders, s.addressees(ctx, orders)
}

// Orders returns the payments of a programme in a state, with who is paid.
func (s *Store) Orders(ctx context.Context, programme, state string) ([]Order, error) {
	orders, err := ordersOf(ctx, s.db, programme, state, 0)
	if err != nil {
		return nil, err
	}
	return orders, s.addressees(ctx, orders)
}

func ordersOf(ctx context.Context, q querier, programme, state string, most int) ([]Order, error) {
	query, args := "SELECT p.id, p.claim, p.run, p.net, p.sendings FROM payments AS p JOIN runs AS r ON r.id = p.run "+
		"WHERE r.programme = $1 AND p.state = $2 ORDER BY p.id", []any{programme, state}
	if most > 0 {
		query, args = query+" LIMIT $3", append(args, most)
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var out []Order
	return out, each(rows, func(scan func(...any) error) error {
		var o Order
		err := scan(&o.ID, &o.Claim, &o.Run, &o.Net, &o.Sending)
		out = append(out, o)
		return err
	})
}

// addressees adds to orders who is paid.
func (s *Store) addressees(ctx context.Context, orders []Order) error {
	ids := make([]string, len(orders))
	for i := range orders {
		ids[i] = orders[i].Claim
	}
	people, err := s.People(ctx, ids)
	if err != nil {
		return err
	}
	for i := range orders {
		if p := people[orders[i].Claim]; p != nil {
			orders[i].Person = *p
		}
	}
	return nil
}

// askOnce is about how many payments the bank is asked at once.
const askOnce = 1000

// Ask returns questions about payments that the bank should have answered within a time, and was not asked about since, and notes
// that it is asked.
func (s *Store) Ask(ctx context.Context, programme string, within time.Duration) (list []Question, err error) {
	return list, s.inTx(ctx, func(tx *sql.Tx) error {
		now := s.now()
		rows, err := tx.QueryContext(ctx, "UPDATE payments SET asked_at = $1 WHERE id IN (SELECT p.id FROM payments AS p "+
			"JOIN runs AS r ON r.id = p.run WHERE r.programme = $2 AND p.state = 'sent' "+
			"AND p.changed_at <= $3 AND p.asked_at <= $3 "+
			"ORDER BY p.changed_at LIMIT $4) RETURNING id, sendings",
			now.UnixMicro(), programme, now.Add(-within).UnixMicro(), askOnce)
		if err != nil {
			return err
		}
		return each(rows, func(scan func(...any) error) error {
			var q Question
			err := scan(&q.Payment, &q.Sending)
			list = append(list, q)
			return err
		})
	})
}
