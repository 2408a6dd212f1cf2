package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// AnswerStatus is what the bank says of a payment.
type AnswerStatus string

// What the bank says of a payment.
const (
	BankAccepted AnswerStatus = "accepted"  // it has the order, and will pay or return it
	BankSettled  AnswerStatus = "settled"   // so much of it was paid
	BankReturned AnswerStatus = "returned"  // it was not paid, or came back
	BankUnknown  AnswerStatus = "unknown"   // the bank cannot say yet
	BankNotFound AnswerStatus = "not_found" // the bank never had that sending of the order: only then it is ordered again
)

// Answer is one line of the bank's acknowledgements or statements.
type Answer struct {
	ID      string       `json:"id"` // the bank's reference: an answer that comes again is taken once
	Payment string       `json:"payment"`
	Status  AnswerStatus `json:"status"`
	Amount  claims.Won   `json:"amount"`
	Why     string       `json:"why,omitempty"`
	Sending int          `json:"sending,omitempty"` // the sending that it was asked about; 0: it does not say
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
	claim, state, programme, doubt string
	came                           claims.Won
	sendings                       int
	changed                        int64
}

// answering takes answers in: it reads what they are about at once, and writes what they changed at once, because a round trip to
// the database for each would take most of the time.
type answering struct {
	*commit

	taken    map[string]bool // answers, by their IDs
	payments map[string]*payment
	claims   map[string]*Claim
	dirty    map[string]bool // payments to be written
	budgets  map[string]*budget
}

// budget is what changes of a programme's.
type budget struct{ reserved, settled claims.Won }

// Answers takes answers of the bank, each once, and says what each changed. When they are from a topic, the same transaction says
// how far that is taken in.
func (s *Store) Answers(ctx context.Context, list []Answer, at []Position) ([]Effect, error) {
	var out []Effect
	err := s.begin(ctx, func(c *commit) error {
		t := &answering{
			commit: c, taken: map[string]bool{}, payments: map[string]*payment{}, claims: map[string]*Claim{},
			dirty: map[string]bool{}, budgets: map[string]*budget{},
		}
		if err := t.read(list); err != nil {
			return err
		}
		out = make([]Effect, len(list))
		rows := newRows("INSERT INTO answers (id, payment, status, amount, why, effect, at) VALUES", "", 7)
		for i := range list {
			var err error
			if out[i], err = t.answer(&list[i], rows); err != nil {
				return fmt.Errorf("answer %s of the bank: %w", list[i].ID, err)
			}
		}
		t.save(rows)
		t.advance(at)
		return nil
	})
	return out, err
}

// read reads which of the answers were taken before, the payments that they are about, and the claims that these may move.
func (t *answering) read(answers []Answer) error {
	for part := range parts(t.store, answers) {
		ids, about := make([]string, len(part)), make([]string, len(part))
		for i := range part {
			ids[i], about[i] = part[i].ID, part[i].Payment
		}
		which, args := t.store.among(1, ids)
		rows, err := t.tx.QueryContext(t.ctx, "SELECT id FROM answers WHERE id "+which, args...)
		if err != nil {
			return err
		}
		if err := each(rows, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			t.taken[id] = true
			return err
		}); err != nil {
			return err
		}
		which, args = t.store.among(1, about)
		rows, err = t.tx.QueryContext(t.ctx, "SELECT p.id, p.claim, p.state, r.programme, p.came, p.run, p.decision, p.attempt, "+
			"p.gross, p.net, p.sendings, p.doubt, p.changed_at FROM payments AS p JOIN runs AS r ON r.id = p.run "+
			"WHERE p.id "+which,
			args...)
		if err != nil {
			return err
		}
		var moved []string
		if err := each(rows, func(scan func(...any) error) error {
			p := &payment{}
			err := scan(&p.ID, &p.claim, &p.state, &p.programme, &p.came, &p.Run, &p.Decision, &p.Attempt, &p.Gross, &p.Amount,
				&p.sendings, &p.doubt, &p.changed)
			if t.payments[p.ID] == nil {
				t.payments[p.ID] = p
				moved = append(moved, p.claim)
			}
			return err
		}); err != nil {
			return err
		}
		histories, err := t.store.historiesOf(t.ctx, t.tx, moved)
		if err != nil {
			return err
		}
		for id, history := range histories {
			if t.claims[id] == nil {
				t.claims[id] = Fold(history)
			}
		}
	}
	return nil
}

// save has written what the answers changed.
func (t *answering) save(answers *rows) {
	changed := newRows("UPDATE payments SET state = v.column2, came = v.column3, doubt = v.column4, changed_at = v.column5 "+
		"FROM (VALUES", ") AS v WHERE payments.id = v.column1", 5)
	changed.casts = []string{"TEXT", "TEXT", "BIGINT", "TEXT", "BIGINT"}
	for _, id := range slices.Sorted(maps.Keys(t.dirty)) {
		p := t.payments[id]
		changed.add(id, p.state, int64(p.came), p.doubt, p.changed)
	}
	t.later(statement{rows: changed}, statement{rows: answers})
	for _, name := range slices.Sorted(maps.Keys(t.budgets)) {
		b := t.budgets[name]
		t.later(statement{
			text: "UPDATE programmes SET reserved = reserved + $2, settled = settled + $3 WHERE name = $1",
			args: []any{name, int64(b.reserved), int64(b.settled)},
		})
	}
}

func (t *answering) answer(a *Answer, rows *rows) (Effect, error) {
	if t.taken[a.ID] {
		return Repeated, nil
	}
	t.taken[a.ID] = true
	p := t.payments[a.Payment]
	effect, doubt, err := t.judge(a, p)
	if err != nil {
		return "", err
	}
	why := a.Why
	if doubt != "" {
		why = doubt
		if p != nil {
			p.doubt, t.dirty[p.ID] = doubt, true
		}
	}
	rows.add(a.ID, a.Payment, string(a.Status), int64(a.Amount), why, string(effect), t.at.UnixMicro())
	return effect, nil
}

// judge applies an answer that fits, and says in words what does not.
func (t *answering) judge(a *Answer, p *payment) (effect Effect, doubt string, err error) {
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
	case a.Status == BankAccepted && open:
		p.state, p.changed, t.dirty[p.ID] = "sent", t.at.UnixMicro(), true
		return Waiting, "", nil // also where it had said that it never had it
	case a.Status == BankAccepted:
		return Repeated, "", nil // late: it has said since what became of it
	case a.Status == BankNotFound && a.Sending > 0 && a.Sending < p.sendings:
		return Repeated, "", nil // the bank was asked twice about an earlier sending: of the one since it says nothing
	case a.Status == BankNotFound && p.state == "declared":
		return Waiting, "", nil
	case a.Status == BankNotFound && p.state == "sent" && p.came == 0:
		if a.Sending != p.sendings && !(a.Sending == 0 && p.sendings == 1) {
			return doubtful("the bank says not_found and not of which sending (%d), and it was sent %d times: ask it about the "+
				"last one", a.Sending, p.sendings)
		}
		return t.set(p, Applied, "declared", 0)
	case a.Status == BankSettled && !open:
		return doubtful("%d won settled, and the payment was %s before", a.Amount, p.state)
	case a.Status == BankSettled && (a.Amount <= 0 || p.came+a.Amount > p.Amount):
		return doubtful("%d won settled, %d of %d had been before: more than was ordered", a.Amount, p.came, p.Amount)
	case a.Status == BankSettled && p.came+a.Amount < p.Amount:
		return t.set(p, Waiting, "sent", p.came+a.Amount)
	case a.Status == BankSettled:
		return t.money(a, p, claims.Settle, "settled", p.Amount)
	case a.Status == BankReturned && p.state != "returned" && (a.Amount == p.Amount || a.Amount == p.came && p.came > 0):
		return t.money(a, p, claims.Return, "returned", 0)
	case a.Status == BankReturned && p.state == "returned" && a.Amount == p.Amount:
		return Repeated, "", nil // acknowledged, and in the statement as well
	default:
		return doubtful("%d won %s, and the payment of %d is %s with %d paid", a.Amount, a.Status, p.Amount, p.state, p.came)
	}
}

// money moves a payment, its claim, and the budget.
func (t *answering) money(a *Answer, p *payment, action claims.Action, state string, came claims.Won) (Effect, string, error) {
	claim := t.claims[p.claim]
	pay := p.Payment
	pay.Answer = a.ID
	reason := a.Why
	if action == claims.Return && reason == "" {
		reason = "the bank gives no reason"
	}
	step := Step{Claim: claim, Action: action, By: bank, Reason: reason, Change: Change{Payment: &pay}}
	switch err := t.step(&step); {
	case errors.Is(err, claims.ErrIllegal):
		return Doubtful, fmt.Sprintf("%d won %s, and the claim is in state %s", a.Amount, a.Status, claim.State), nil
	case err != nil:
		return "", "", err
	}
	b := t.budgets[p.programme]
	if b == nil {
		b = &budget{}
		t.budgets[p.programme] = b
	}
	switch {
	case action == claims.Settle:
		b.reserved -= pay.Gross
		b.settled += pay.Gross
	case p.state == "settled":
		b.settled -= pay.Gross
	default:
		b.reserved -= pay.Gross
	}
	return t.set(p, Applied, state, came)
}

func (t *answering) set(p *payment, effect Effect, state string, came claims.Won) (Effect, string, error) {
	p.state, p.came, p.doubt, p.changed, t.dirty[p.ID] = state, came, "", t.at.UnixMicro(), true
	return effect, "", nil
}

// Books is how money stands, to the won.
type Books struct {
	Programme string     `json:"programme"`
	At        time.Time  `json:"at"`
	Budget    claims.Won `json:"budget"`   // as it is now
	Promised  claims.Won `json:"promised"` // of all claims that were approved: settled, reserved and owed together
	Reserved  claims.Won `json:"reserved"` // of payments under way
	Settled   claims.Won `json:"settled"`
	Owed      claims.Won `json:"owed"` // promised, and not under way

	Commits int64  `json:"commits"` // of history, as it is in this report
	End     string `json:"end"`     // hash of the last one: granter claims prove --anchor

	Amended []BudgetAmendment `json:"budget_amendments,omitempty"` // confirmed ones, by which it is not that of the rules

	States     map[string]Sum `json:"payments"`   // by state
	Unanswered []Question     `json:"unanswered"` // sent long enough ago that the bank should have said something: ask it
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
	b := &Books{
		Programme: programme, At: s.now().UTC().Truncate(time.Millisecond), States: map[string]Sum{}, Unanswered: []Question{},
		Doubts: []Doubt{}, Wrong: []string{},
	}
	if err := b.budget(ctx, tx); err != nil {
		return nil, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT number, hash FROM head WHERE one = 1").Scan(&b.Commits, &b.End); err != nil {
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
	if rows, err = tx.QueryContext(ctx, "SELECT p.id, p.sendings"+of+" AND p.state = 'sent' AND p.changed_at <= $2 ORDER BY p.id",
		programme, s.now().Add(-within).UnixMicro()); err != nil {
		return nil, err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var q Question
		err := scan(&q.Payment, &q.Sending)
		b.Unanswered = append(b.Unanswered, q)
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

// budget reads how much there is, which must be what the rules and the amendments come to.
func (b *Books) budget(ctx context.Context, tx *sql.Tx) error {
	var hash, source string
	if err := tx.QueryRowContext(ctx, "SELECT budget, reserved, settled, hash, source FROM programmes WHERE name = $1",
		b.Programme).Scan(&b.Budget, &b.Reserved, &b.Settled, &hash, &source); err != nil {
		return err
	}
	p, err := parse(b.Programme, hash, source)
	if err != nil {
		return err
	}
	list, err := budgetRecords(ctx, tx, b.Programme)
	if err != nil {
		return err
	}
	a := amendedBy(p, list)
	for _, one := range a.list {
		if one.Confirmed {
			b.Amended = append(b.Amended, one)
		}
	}
	if a.now != b.Budget {
		b.Wrong = append(b.Wrong, fmt.Sprintf("the budget, and what its rules and amendments come to: %d won and %d won",
			b.Budget, a.now))
	}
	return nil
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
	if err := b.promises(ctx, tx); err != nil {
		return err
	}
	equal("promised, and what of it is settled, under way and owed", b.Promised, b.Settled+b.Reserved+b.Owed)
	var declared, listed, paid claims.Won
	for query, into := range map[string]*claims.Won{
		"SELECT CAST(COALESCE(SUM(gross), 0) AS BIGINT) FROM runs WHERE programme = $1": &declared,
		"SELECT CAST(COALESCE(SUM(p.gross), 0) AS BIGINT) FROM payments AS p JOIN runs AS r ON r.id = p.run WHERE r.programme " +
			"= $1": &listed,
		"SELECT CAST(COALESCE(SUM(owed), 0) AS BIGINT) FROM claims WHERE programme = $1 AND state = 'paid'": &paid,
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

// promising are the states of claims to which something was promised, or may have been. Approved claims that were put on hold
// again are not among them: somebody decides anew.
var promising = []any{
	string(claims.Approved), string(claims.PaymentSent), string(claims.Paid), string(claims.PaymentReturned),
	string(claims.Recouped), string(claims.Objected), string(claims.Upheld), string(claims.PartlyUpheld),
	string(claims.Rejected), string(claims.SecondLook),
}

// promises computes, claim by claim, what is promised and what of it nobody pays yet.
func (b *Books) promises(ctx context.Context, tx *sql.Tx) error {
	var over int
	err := tx.QueryRowContext(ctx, "SELECT CAST(COALESCE(SUM(c.owed), 0) AS BIGINT), "+
		"CAST(COALESCE(SUM(c.owed - COALESCE(p.covered, 0)), 0) AS BIGINT), "+
		"COALESCE(SUM(CASE WHEN COALESCE(p.covered, 0) > c.owed THEN 1 ELSE 0 END), 0) FROM claims AS c "+
		"LEFT JOIN (SELECT claim, SUM(gross) AS covered FROM payments WHERE state <> 'returned' GROUP BY claim) AS p "+
		"ON p.claim = c.id WHERE c.programme = $1 AND c.state IN "+list(2, len(promising)),
		append([]any{b.Programme}, promising...)...).Scan(&b.Promised, &b.Owed, &over)
	if err == nil && over > 0 {
		b.Wrong = append(b.Wrong, fmt.Sprintf("%d claims have payments of more than they were promised", over))
	}
	return err
}
