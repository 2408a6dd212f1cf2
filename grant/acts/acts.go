// Package acts carries out what people want done about single users of a campaign: one, or a list of them. It says what became
// of each, leaves one line in the audit trail for each command, and is safe to run again after anything.
package acts

import (
	"context"
	"errors"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Ledger is where acts are done. Each is done to a user once, however often it is asked for with the same ID.
type Ledger interface {
	Do(ctx context.Context, acts []ledger.UserAct, dry bool) ([]ledger.ActResult, error)
	// BeginMove and EndMove keep what a move needs to be continued after a crash; Moves returns those that are not at their end.
	BeginMove(ctx context.Context, m ledger.AccountMove) error
	EndMove(ctx context.Context, m ledger.AccountMove) error
	Moves(ctx context.Context) ([]ledger.AccountMove, error)
}

// Reader says what users took, which no move takes along.
type Reader interface {
	Held(ctx context.Context, c *grant.Campaign, users []grant.UserID) ([]ledger.User, []grant.Holding, error)
}

// Trail is the audit trail of the campaign.
type Trail interface {
	Record(ctx context.Context, entry grant.HistoryEntry) error
}

// Doer does acts about users of one campaign.
type Doer struct {
	Campaign *grant.Campaign // as users are granted by
	Ledger   Ledger
	Reader   Reader
	Trail    Trail
	// Proposals keep what takes a second person; nil: nothing that does can be done.
	Proposals Proposals
}

// Row is one user of a command.
type Row struct {
	User   grant.UserID
	To     *grant.UserID // of a move
	Reason string        // of its own; empty: the command's
	Fields []string      // of a file, which are given back
	Seen   string        // ledger.User.Seen as it was looked at; empty: it does not matter
	Err    error         // why the row cannot be read; nil: it can

	settled *Result // by what was found before; nil: it is to be done
}

// judged reports whether there is nothing to do for a row, and says why.
func (r *Row) judged(result *Result) bool {
	switch {
	case r.Err != nil:
		result.Status, result.Why = Invalid, r.Err.Error()
	case r.settled != nil:
		*result = *r.settled
	default:
		return false
	}
	return true
}

// Command is what somebody wants done: the act, whose ID names the request, and to whom.
type Command struct {
	Act  grant.Act
	Rows []Row
	Dry  bool // only find out what would be done
	// Propose leaves it to a second person, whatever the campaign's rule.
	Propose bool
	// AfterEnd grants by hand also after the end of the campaign.
	AfterEnd bool
}

// Status says what became of one row.
type Status string

// The statuses of a row.
const (
	Done      Status = "done"      // by this command or, if it is repeated, by an earlier one of the same request
	Unchanged Status = "unchanged" // the user is already as the act would have it
	Refused   Status = "refused"   // it cannot be done, as things are
	Invalid   Status = "invalid"   // the row cannot be read
	Untried   Status = "untried"   // an error ended the command before
)

// Overall sums a report up.
type Overall string

// The sums.
const (
	Success Overall = "SUCCESS" // every row is done or unchanged
	Partial Overall = "PARTIAL" // some are
	Failed  Overall = "FAILED"  // none is
	// Proposed means that nothing was done: it waits for a second person. The rows say what would be done.
	Proposed Overall = "PROPOSED"
)

// Result is what became of one row.
type Result struct {
	User   grant.UserID `json:"user"`
	Status Status       `json:"status"`
	Why    string       `json:"why,omitempty"`

	again bool // it was done before
}

// Report is what became of a command.
type Report struct {
	Campaign string          `json:"campaign"`
	Request  string          `json:"request"`
	Act      grant.ActKind   `json:"act"`
	DryRun   bool            `json:"dry_run"`
	Overall  Overall         `json:"overall"`
	Counts   map[Status]int  `json:"counts"`
	Results  []Result        `json:"results"`
	TakesTwo bool            `json:"takes_two,omitempty"` // it is, or of a dry run: would be, left to a second person
	Proposal *grant.Proposal `json:"proposal,omitempty"`  // that it is, or was, left to a second person by

	fresh int // rows that this command does, and no earlier one of the same request did
}

// batch is how many rows are done at a time: an error, or a kill, leaves the others untried.
const batch = 5000

// Run carries out a command, or proposes it, where the campaign's rule wants a second person. With an error, the report says
// what was done until then; it is safe to run it again.
func (d *Doer) Run(ctx context.Context, c *Command) (*Report, error) {
	c, proposed, err := d.alone(ctx, c)
	if proposed != nil || err != nil {
		return proposed, err
	}
	r, err := d.run(ctx, c)
	if !c.Dry {
		err = errors.Join(err, d.record(context.WithoutCancel(ctx), c, r, err))
	}
	return r, err
}

// run is Run without asking who may, and without a line in the audit trail.
func (d *Doer) run(ctx context.Context, c *Command) (*Report, error) {
	r := &Report{Campaign: d.Campaign.Name, Request: c.Act.ID, Act: c.Act.Kind, DryRun: c.Dry, Counts: map[Status]int{}}
	r.Results = make([]Result, len(c.Rows))
	for i := range c.Rows {
		r.Results[i] = Result{User: c.Rows[i].User, Status: Untried}
	}
	err := d.checkItem(&c.Act)
	for from := 0; err == nil && from < len(c.Rows); from += batch {
		to := min(from+batch, len(c.Rows))
		if c.Act.Kind == grant.ActMove {
			err = d.moveAll(ctx, c, c.Rows[from:to], r.Results[from:to])
		} else {
			err = d.do(ctx, c, c.Rows[from:to], r.Results[from:to])
		}
	}
	r.sum()
	return r, err
}

func (r *Report) sum() {
	for _, result := range r.Results {
		r.Counts[result.Status]++
		if result.Status == Done && !result.again {
			r.fresh++
		}
	}
	switch good := r.Counts[Done] + r.Counts[Unchanged]; {
	case good == len(r.Results):
		r.Overall = Success
	case good > 0:
		r.Overall = Partial
	default:
		r.Overall = Failed
	}
}

// checkItem reports an item that the campaign does not have, or that cannot be recalled.
func (d *Doer) checkItem(a *grant.Act) error {
	if a.Item == "" && a.Kind != grant.ActRecall {
		return nil
	}
	var ids []string
	for i := range d.Campaign.Items {
		item := &d.Campaign.Items[i]
		if a.Kind == grant.ActRecall && !item.Offered() {
			continue
		}
		if ids = append(ids, item.ID); item.ID == a.Item {
			return nil
		}
	}
	switch {
	case len(ids) == 0:
		return fmt.Errorf("%w: %s offers nothing that users take, so nothing can be recalled: revoke takes back what they have",
			grant.ErrRefused, d.Campaign.Name)
	case a.Item != "":
		return fmt.Errorf("%w: %s has no such item %q: want one of %v", grant.ErrRefused, d.Campaign.Name, a.Item, ids)
	}
	return nil
}

// do does the same act about some users.
func (d *Doer) do(ctx context.Context, c *Command, rows []Row, results []Result) error {
	var acts []ledger.UserAct
	var at []int
	for i := range rows {
		if rows[i].judged(&results[i]) {
			continue
		}
		one := ledger.UserAct{User: rows[i].User, Act: rows[i].act(&c.Act), AfterEnd: c.AfterEnd, Seen: rows[i].Seen}
		acts, at = append(acts, one), append(at, i)
	}
	if len(acts) == 0 {
		return nil
	}
	done, err := d.Ledger.Do(ctx, acts, c.Dry)
	if err != nil {
		return err
	}
	for n, i := range at {
		results[i].settle(done[n].Err)
		results[i].again = done[n].Again
	}
	return nil
}

// act is the command's act with what the row has of its own.
func (r *Row) act(a *grant.Act) grant.Act {
	act := *a
	if r.Reason != "" {
		act.Reason = r.Reason
	}
	act.To = r.To
	return act
}

func (r *Result) settle(err error) {
	switch {
	case err == nil:
		r.Status = Done
		return
	case errors.Is(err, grant.ErrUnchanged):
		r.Status = Unchanged
	default:
		r.Status = Refused
	}
	r.Why = err.Error()
}

// record leaves one line in the audit trail.
func (d *Doer) record(ctx context.Context, c *Command, r *Report, failed error) error {
	entry := grant.HistoryEntry{
		Action: grant.ActionAct, Who: c.Act.Who, Via: c.Act.Via, Why: c.Act.Reason,
		Acted: r.acted(),
	}
	if failed != nil && r.Counts[Done] == 0 {
		entry.Refused = failed.Error()
	}
	if err := d.Trail.Record(ctx, entry); err != nil {
		return fmt.Errorf("the audit trail has no line of this: %w", err)
	}
	return nil
}

func (r *Report) acted() *grant.Acted {
	return &grant.Acted{
		Request: r.Request, Kind: r.Act, Users: len(r.Results), Done: r.Counts[Done], Unchanged: r.Counts[Unchanged],
		Refused: r.Counts[Refused] + r.Counts[Invalid], Untried: r.Counts[Untried],
	}
}
