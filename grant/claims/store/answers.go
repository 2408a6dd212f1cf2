package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/granter/granter/grant/claims"
)

// AnswerStatus is what the bank says of a payment.
type AnswerStatus string

// What the bank says of a payment.
const (
	BankSettled  AnswerStatus = "settled"   // so much of it was paid
	BankReturned AnswerStatus = "returned"  // it was not paid, or came back
	BankUnknown  AnswerStatus = "unknown"   // the bank cannot say yet
	BankNotFound AnswerStatus = "not_found" // the bank never had the order: only then it is ordered again
)

// Answer is one line of the bank's acknowledgements or statements.
type Answer struct {
	ID      string       `json:"id"` // the bank's reference: an answer that comes again is taken once
	Payment string       `json:"payment"`
	Status  AnswerStatus `json:"status"`
	Amount  claims.Won   `json:"amount"`
	Why     string       `json:"why,omitempty"`
}

// Effect is what an answer changed.
type Effect string

// The effects of answers.
const (
	Repeated Effect = "repeated" // it was taken before
	Applied  Effect = "applied"
	Waiting  Effect = "waiting" // partly paid, or the bank does not know yet: it is asked again
	Doubtful Effect = "doubt"   // it does not fit: a person must look, and nothing was changed but that
)

// bank is who answers.
var bank = Actor{"bank", claims.Bank}

// payment is a row of payments.
type payment struct {
	Payment
	claim, state, programme string
	came                    claims.Won
}

// Answers takes answers of the bank, each once, and says what each changed.
func (s *Store) Answers(ctx context.Context, list []Answer) ([]Effect, error) {
	var out []Effect
	err := s.begin(ctx, func(c *commit) error {
		out = make([]Effect, len(list))
		known := map[string]*Claim{}
		for i := range list {
			var err error
			if out[i], err = c.answer(&list[i], known); err != nil {
				return fmt.Errorf("answer %s of the bank: %w", list[i].ID, err)
			}
		}
		return nil
	})
	return out, err
}

func (c *commit) answer(a *Answer, known map[string]*Claim) (Effect, error) {
	var before int
	if err := c.tx.QueryRowContext(c.ctx, "SELECT COUNT(*) FROM answers WHERE id = $1",
		a.ID).Scan(&before); err != nil || before > 0 {
		return Repeated, err
	}
	effect, doubt, err := c.judgeAnswer(a, known)
	if err != nil {
		return "", err
	}
	if doubt != "" {
		if _, err := c.tx.ExecContext(c.ctx, "UPDATE payments SET doubt = $2 WHERE id = $1", a.Payment, doubt); err != nil {
			return "", err
		}
	}
	why := a.Why
	if doubt != "" {
		why = doubt
	}
	_, err = c.tx.ExecContext(c.ctx, "INSERT INTO answers (id, payment, status, amount, why, effect, at) VALUES ($1, $2, $3, "+
		"$4, $5, $6, $7)",
		a.ID, a.Payment, string(a.Status), int64(a.Amount), why, string(effect), c.at.UnixMicro())
	return effect, err
}

// judgeAnswer applies an answer that fits, and says in words what does not.
func (c *commit) judgeAnswer(a *Answer, known map[string]*Claim) (effect Effect, doubt string, err error) {
	p, err := c.payment(a.Payment)
	if err != nil {
		return "", "", err
	}
	doubtful := func(format string, args ...any) (Effect, string, error) {
		return Doubtful, fmt.Sprintf(format, args...), nil
	}
	if p == nil {
		return doubtful("%d won %s for a payment that was never ordered", a.Amount, a.Status)
	}
	open := p.state == "sent" || p.state == "declared"
	switch {
	case a.Status == BankUnknown && open:
		return Waiting, "", nil
	case a.Status == BankNotFound && p.state == "sent" && p.came == 0:
		return Applied, "", c.set(p, "declared", 0)
	case a.Status == BankNotFound && p.state == "declared":
		return Waiting, "", nil
	case a.Status == BankSettled && !open:
		return doubtful("%d won settled, and the payment was %s before", a.Amount, p.state)
	case a.Status == BankSettled && (a.Amount <= 0 || p.came+a.Amount > p.Amount):
		return doubtful("%d won settled, %d of %d had been before: more than was ordered", a.Amount, p.came, p.Amount)
	case a.Status == BankSettled && p.came+a.Amount < p.Amount:
		return Waiting, "", c.set(p, "sent", p.came+a.Amount)
	case a.Status == BankSettled:
		return c.money(a, p, known, claims.Settle, "settled", p.Amount)
	case a.Status == BankReturned && p.state != "returned" && (a.Amount == p.Amount || a.Amount == p.came && p.came > 0):
		return c.money(a, p, known, claims.Return, "returned", 0)
	case a.Status == BankReturned && p.state == "returned" && a.Amount == p.Amount:
		return Repeated, "", nil // acknowledged, and in the statement as well
	default:
		return doubtful("%d won %s, and the payment of %d is %s with %d paid", a.Amount, a.Status, p.Amount, p.state, p.came)
	}
}

// money moves a payment, its claim, and the budget.
func (c *commit) money(
	a *Answer, p *payment, known map[string]*Claim, action claims.Action, state string, came claims.Won,
) (Effect, string, error) {
	claim := known[p.claim]
	if claim == nil {
		found, err := c.store.historiesOf(c.ctx, c.tx, []string{p.claim})
		if err != nil {
			return "", "", err
		}
		claim = Fold(found[p.claim])
		known[p.claim] = claim
	}
	pay := p.Payment
	pay.Answer = a.ID
	reason := a.Why
	if action == claims.Return && reason == "" {
		reason = "the bank gives no reason"
	}
	step := Step{Claim: claim, Action: action, By: bank, Reason: reason, Change: Change{Payment: &pay}}
	switch err := c.step(&step); {
	case errors.Is(err, claims.ErrIllegal):
		return Doubtful, fmt.Sprintf("%d won %s, and the claim is in state %s", a.Amount, a.Status, claim.State), nil
	case err != nil:
		return "", "", err
	}
	reserved, settled := -pay.Gross, claims.Won(0)
	switch {
	case action == claims.Settle:
		settled = pay.Gross
	case p.state == "settled":
		reserved, settled = 0, -pay.Gross
	}
	if _, err := c.tx.ExecContext(c.ctx, "UPDATE programmes SET reserved = reserved + $2, settled = settled + $3 WHERE name = $1",
		p.programme, int64(reserved), int64(settled)); err != nil {
		return "", "", err
	}
	return Applied, "", c.set(p, state, came)
}

func (c *commit) set(p *payment, state string, came claims.Won) error {
	_, err := c.tx.ExecContext(c.ctx, "UPDATE payments SET state = $2, came = $3, doubt = '', changed_at = $4 WHERE id = $1",
		p.ID, state, int64(came), c.at.UnixMicro())
	return err
}

func (c *commit) payment(id string) (*payment, error) {
	p := &payment{Payment: Payment{ID: id}}
	err := c.tx.QueryRowContext(c.ctx, "SELECT p.claim, p.state, r.programme, p.came, p.run, p.decision, p.attempt, p.gross, "+
		"p.net "+
		"FROM payments AS p JOIN runs AS r ON r.id = p.run WHERE p.id = $1", id).
		Scan(&p.claim, &p.state, &p.programme, &p.came, &p.Run, &p.Decision, &p.Attempt, &p.Gross, &p.Amount)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return p, err
}

// Books is how money stands, to the won.
type Books struct {
	Programme string     `json:"programme"`
	Budget    claims.Won `json:"budget"`
	Reserved  claims.Won `json:"reserved"` // of payments under way
	Settled   claims.Won `json:"settled"`
	Owed      claims.Won `json:"owed"` // approved, and not under way

	States     map[string]Sum `json:"payments"`   // by state
	Unanswered []string       `json:"unanswered"` // sent long enough ago that the bank should have said something: ask it
	Doubts     []Doubt        `json:"doubts"`     // a person must look
	Wrong      []string       `json:"wrong"`      // sums that do not agree
}

// Sum is how many payments, and how much.
type Sum struct {
	Payments int        `json:"payments"`
	Gross    claims.Won `json:"gross"`
	Net      claims.Won `json:"net"`
}

// Doubt is an answer of the bank that does not fit.
type Doubt struct {
	Answer  string     `json:"answer"`
	Payment string     `json:"payment"`
	Amount  claims.Won `json:"amount"`
	What    string     `json:"what"`
}

// Books returns how the money of a programme stands. A payment should have been answered within the given time.
func (s *Store) Books(ctx context.Context, programme string, within time.Duration) (*Books, error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.snapshot()})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	b := &Books{Programme: programme, States: map[string]Sum{}, Unanswered: []string{}, Doubts: []Doubt{}, Wrong: []string{}}
	if err := tx.QueryRowContext(ctx, "SELECT budget, reserved, settled FROM programmes WHERE name = $1", programme).
		Scan(&b.Budget, &b.Reserved, &b.Settled); err != nil {
		return nil, err
	}
	const of = " FROM payments AS p JOIN runs AS r ON r.id = p.run WHERE r.programme = $1"
	rows, err := tx.QueryContext(ctx, "SELECT p.state, COUNT(*), CAST(SUM(p.gross) AS BIGINT), CAST(SUM(p.net) AS BIGINT)"+of+
		" GROUP BY p.state", programme)
	if err != nil {
		return nil, err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var state string
		var sum Sum
		err := scan(&state, &sum.Payments, &sum.Gross, &sum.Net)
		b.States[state] = sum
		return err
	}); err != nil {
		return nil, err
	}
	if rows, err = tx.QueryContext(ctx, "SELECT p.id"+of+" AND p.state = 'sent' AND p.changed_at <= $2 ORDER BY p.id", programme,
		s.now().Add(-within).UnixMicro()); err != nil {
		return nil, err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		b.Unanswered = append(b.Unanswered, id)
		return err
	}); err != nil {
		return nil, err
	}
	if rows, err = tx.QueryContext(ctx, "SELECT a.id, a.payment, a.amount, a.why FROM answers AS a LEFT JOIN payments AS p "+
		"ON p.id = a.payment WHERE a.effect = 'doubt' AND (p.id IS NULL OR p.doubt <> '') ORDER BY a.id"); err != nil {
		return nil, err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var d Doubt
		err := scan(&d.Answer, &d.Payment, &d.Amount, &d.What)
		b.Doubts = append(b.Doubts, d)
		return err
	}); err != nil {
		return nil, err
	}
	if err := b.compare(ctx, tx); err != nil {
		return nil, err
	}
	return b, nil
}

// compare holds the sums against each other: the budget's, the payments', the claims' and the runs'.
func (b *Books) compare(ctx context.Context, tx *sql.Tx) error {
	equal := func(what string, a, b2 claims.Won) {
		if a != b2 {
			b.Wrong = append(b.Wrong, fmt.Sprintf("%s: %d won and %d won", what, a, b2))
		}
	}
	equal("reserved, and payments under way", b.Reserved, b.States["declared"].Gross+b.States["sent"].Gross)
	equal("settled, and payments that are", b.Settled, b.States["settled"].Gross)
	var declared, listed, paid claims.Won
	for query, into := range map[string]*claims.Won{
		"SELECT CAST(COALESCE(SUM(gross), 0) AS BIGINT) FROM runs WHERE programme = $1": &declared,
		"SELECT CAST(COALESCE(SUM(p.gross), 0) AS BIGINT) FROM payments AS p JOIN runs AS r ON r.id = p.run WHERE r.programme " +
			"= $1": &listed,
		"SELECT CAST(COALESCE(SUM(owed), 0) AS BIGINT) FROM claims WHERE programme = $1 AND state = 'paid'":     &paid,
		"SELECT CAST(COALESCE(SUM(owed), 0) AS BIGINT) FROM claims WHERE programme = $1 AND state = 'approved'": &b.Owed,
	} {
		if err := tx.QueryRowContext(ctx, query, b.Programme).Scan(into); err != nil {
			return err
		}
	}
	equal("declared by runs, and their payments", declared, listed)
	if paid > b.Settled {
		equal("claims that are paid, and payments that are settled", paid, b.Settled)
	}
	return nil
}
