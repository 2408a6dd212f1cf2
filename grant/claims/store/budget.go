package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/programme"
)

// Rebudgeted is what a record says about a budget: that it should be another one or, of such a record, what a second person says.
type Rebudgeted struct {
	Old      claims.Won `json:"old"` // what it is when this is written
	New      claims.Won `json:"new"`
	Proposal int        `json:"proposal,omitempty"` // number of the record that this answers; 0: it proposes
	Confirms bool       `json:"confirms,omitempty"` // the answer: from now on it is the new one
}

// BudgetAmendment is another budget that somebody proposed, and what became of that.
type BudgetAmendment struct {
	Number int        `json:"number"` // of the record that proposes it
	Old    claims.Won `json:"old"`
	New    claims.Won `json:"new"`
	At     time.Time  `json:"at"`
	Who    string     `json:"who"`
	Why    string     `json:"why"`

	Confirmed  bool      `json:"confirmed"`
	AnsweredAt time.Time `json:"answered_at,omitzero"` // zero: it waits for a second person, if it is the last one
	AnsweredBy string    `json:"answered_by,omitempty"`
	Because    string    `json:"because,omitempty"`
}

// Waits reports whether a second person has neither confirmed nor rejected it.
func (a *BudgetAmendment) Waits() bool { return a.AnsweredAt.IsZero() }

// Budget is what all payments of a programme may come to together, and what became of it. Amounts are won.
type Budget struct {
	Programme  string            `json:"programme"`
	OfRules    claims.Won        `json:"of_rules"` // as the programme's file has it; 0: it has none, and the rest is 0
	Now        claims.Won        `json:"now"`
	Promised   claims.Won        `json:"promised"` // settled, reserved, and owed beside them
	Reserved   claims.Won        `json:"reserved"` // of payments under way
	Settled    claims.Won        `json:"settled"`
	Left       claims.Won        `json:"left"` // neither settled nor reserved
	Amendments []BudgetAmendment `json:"amendments"`
}

// Waiting is the amendment that a second person has not answered; nil: none.
func (b *Budget) Waiting() *BudgetAmendment { return waiting(b.Amendments) }

// Open returns the amendment of a number, if it is the one that waits for a second person.
func (b *Budget) Open(number int) (*BudgetAmendment, error) { return unanswered(b.Amendments, number) }

func unanswered(list []BudgetAmendment, number int) (*BudgetAmendment, error) {
	a := waiting(list)
	if a == nil || a.Number != number {
		return nil, notWaiting(number)
	}
	return a, nil
}

func notWaiting(number int) error {
	return claims.Illegal("proposal %d does not wait for a second person: it has been answered, or another one took its place",
		number)
}

// waiting: only the last one counts. A proposal takes the place of the one before it.
func waiting(list []BudgetAmendment) *BudgetAmendment {
	if len(list) == 0 || !list[len(list)-1].Waits() {
		return nil
	}
	return &list[len(list)-1]
}

// amended follows the records about a programme's budget, which begins with that of its rules.
type amended struct {
	now  claims.Won
	list []BudgetAmendment
}

func amendedBy(p *claims.Programme, records []Record) *amended {
	a := &amended{now: p.Budget, list: []BudgetAmendment{}}
	for i := range records {
		_ = a.apply(&records[i]) // granter claims prove says what does not follow
	}
	return a
}

// apply takes a record in. It returns an error, and changes nothing, when the record does not follow from those before it.
func (a *amended) apply(r *Record) error {
	change := r.Change.Budget
	switch {
	case change == nil:
		return nil
	case change.Old != a.now:
		return claims.Illegal("the budget is %d won, and not %d: read it again, somebody else may have changed it",
			a.now, change.Old)
	case change.Proposal == 0:
		if r.By.Duty != claims.Secretary && r.By.Duty != claims.Approver {
			return claims.Illegal("another budget is proposed by the secretary or an approver, not by %s", r.By.Duty)
		}
		a.list = append(a.list, BudgetAmendment{
			Number: r.Number, Old: change.Old, New: change.New, At: r.At, Who: r.By.Name, Why: r.Why,
		})
		return nil
	}
	open, err := unanswered(a.list, change.Proposal)
	switch {
	case err != nil || open.New != change.New:
		return notWaiting(change.Proposal)
	case change.Confirms && r.By.Duty != claims.Approver:
		return claims.Illegal("another budget is confirmed by an approver, not by %s", r.By.Duty)
	case change.Confirms && grant.SamePerson(open.Who, r.By.Name):
		return claims.Illegal("%s proposed it: another person confirms it", open.Who)
	case r.By.Duty != claims.Approver && r.By.Duty != claims.Secretary:
		return claims.Illegal("a proposal is rejected by the secretary or an approver, not by %s", r.By.Duty)
	}
	open.Confirmed, open.AnsweredAt, open.AnsweredBy, open.Because = change.Confirms, r.At, r.By.Name, r.Why
	if change.Confirms {
		a.now = open.New
	}
	return nil
}

// ProposeBudget says that a programme's budget should be another one. Old is the budget that whoever proposes it has seen.
// Nothing changes before another person confirms it. A proposal takes the place of one that waits. Seen is the number of the one
// that whoever proposes has seen waiting, 0 for none: it fails with claims.ErrIllegal when another one waits. Nil: whatever
// waits.
func (s *Store) ProposeBudget(
	ctx context.Context, p *claims.Programme, old, next claims.Won, seen *int, by Actor, why string,
) (*Budget, error) {
	return s.rebudget(ctx, p, by, why, func(a *amended) (Rebudgeted, error) {
		if now := waiting(a.list); now != nil && seen != nil && now.Number != *seen {
			return Rebudgeted{}, claims.Illegal("%s proposed another budget since you looked: look again", now.Who)
		}
		return Rebudgeted{Old: old, New: next}, nil
	})
}

// AnswerBudget confirms the proposal of a number, and the budget is another one from then on; or rejects it. It fails with a
// FrozenError when a budget is confirmed while nothing is decided.
func (s *Store) AnswerBudget(
	ctx context.Context, p *claims.Programme, number int, confirms bool, by Actor, why string,
) (*Budget, error) {
	return s.rebudget(ctx, p, by, why, func(a *amended) (Rebudgeted, error) {
		open, err := unanswered(a.list, number)
		if err != nil {
			return Rebudgeted{}, err
		}
		return Rebudgeted{Old: a.now, New: open.New, Proposal: number, Confirms: confirms}, nil
	})
}

// rebudget adds a record about a budget, while nobody else can promise, pay or amend anything.
func (s *Store) rebudget(
	ctx context.Context, p *claims.Programme, by Actor, why string, judge func(*amended) (Rebudgeted, error),
) (*Budget, error) {
	if by.Name == "" || why == "" {
		return nil, claims.Illegal("say who it is, and why")
	}
	if err := s.begin(ctx, func(c *commit) error {
		before, err := records(ctx, c.tx, p.Name)
		if err != nil {
			return err
		}
		was, err := budgetOf(ctx, c.tx, p, before)
		if err != nil {
			return err
		}
		all := amendedBy(p, before)
		change, err := judge(all)
		if err != nil {
			return err
		}
		r := Record{By: by, Kind: RecordBudget, Why: why, Change: Recorded{Budget: &change}}
		if err := c.record(p.Name, before, &r); err != nil {
			return err
		}
		if err := all.apply(&r); err != nil {
			return err
		}
		if change.Proposal != 0 && !change.Confirms {
			return nil
		}
		if err := p.Rebudget(was.Now, change.New, was.Promised); err != nil {
			return err
		}
		if change.Proposal == 0 {
			return c.hasClaims(p)
		}
		if err := s.thawed(ctx, c.tx, p.Name); err != nil {
			return err
		}
		_, err = c.tx.ExecContext(ctx, "UPDATE programmes SET budget = $2 WHERE name = $1", p.Name, int64(change.New))
		return err
	}); err != nil {
		return nil, err
	}
	return s.Budget(ctx, p)
}

// hasClaims fails while a programme may still be exchanged for one with another budget.
func (c *commit) hasClaims(p *claims.Programme) error {
	var has bool
	err := c.tx.QueryRowContext(c.ctx, "SELECT EXISTS (SELECT 1 FROM claims WHERE programme = $1)", p.Name).Scan(&has)
	if err == nil && !has {
		err = claims.Illegal("programme %s has no claims yet: change the budget in its file", p.Name)
	}
	return err
}

// Budget returns a programme's budget as it is now, with all amendments.
func (s *Store) Budget(ctx context.Context, p *claims.Programme) (*Budget, error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.snapshot()})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	list, err := records(ctx, tx, p.Name)
	if err != nil {
		return nil, err
	}
	return budgetOf(ctx, tx, p, list)
}

func budgetOf(ctx context.Context, tx *sql.Tx, p *claims.Programme, list []Record) (*Budget, error) {
	books := Books{Programme: p.Name}
	if err := books.promises(ctx, tx); err != nil {
		return nil, err
	}
	b := &Budget{Programme: p.Name, OfRules: p.Budget, Promised: books.Promised, Amendments: amendedBy(p, list).list}
	if err := tx.QueryRowContext(ctx, "SELECT budget, reserved, settled FROM programmes WHERE name = $1", p.Name).
		Scan(&b.Now, &b.Reserved, &b.Settled); err != nil {
		return nil, err
	}
	if b.Now > 0 {
		b.Left = b.Now - b.Reserved - b.Settled
	}
	return b, nil
}

// proveProgrammes holds the rules of each programme against their hash, and computes its budget again from them and the
// amendments, each of which another person must have confirmed.
func proveProgrammes(ctx context.Context, tx *sql.Tx, p *Proof) error {
	rows, err := tx.QueryContext(ctx, "SELECT name, hash, source, budget FROM programmes ORDER BY name")
	if err != nil {
		return err
	}
	type stored struct {
		name, hash, source string
		budget             claims.Won
	}
	var all []stored
	if err := each(rows, func(scan func(...any) error) error {
		var one stored
		err := scan(&one.name, &one.hash, &one.source, &one.budget)
		all = append(all, one)
		return err
	}); err != nil {
		return err
	}
	for _, one := range all {
		rules, err := programme.Parse("programme "+one.name, []byte(one.source))
		if err != nil || rules.Hash != one.hash {
			p.wrong(Finding{What: fmt.Sprintf("the rules of programme %s were changed: their hash is another", one.name)})
			continue
		}
		list, err := budgetRecords(ctx, tx, one.name)
		if err != nil {
			return err
		}
		a := amendedBy(rules, nil)
		for i := range list {
			if err := a.apply(&list[i]); err != nil {
				p.wrong(Finding{What: fmt.Sprintf("record %d of programme %s: %v", list[i].Number, one.name, err)})
			}
		}
		if a.now != one.budget {
			p.wrong(Finding{What: fmt.Sprintf("the budget of programme %s is %d won, and its rules and amendments come to %d",
				one.name, one.budget, a.now)})
		}
	}
	return nil
}

// budgetRecords are the records about a programme's budget. What cannot be read is found by its hash.
func budgetRecords(ctx context.Context, q querier, name string) ([]Record, error) {
	rows, err := q.QueryContext(ctx, "SELECT "+recordColumns+" FROM records WHERE programme = $1 AND kind = $2 ORDER BY number",
		name, string(RecordBudget))
	if err != nil {
		return nil, err
	}
	var out []Record
	return out, each(rows, func(scan func(...any) error) error {
		r, err := readRecord(scan)
		if errors.Is(err, errBody) {
			return nil
		}
		out = append(out, r)
		return err
	})
}
