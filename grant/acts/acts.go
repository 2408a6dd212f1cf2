// Package acts carries out what people want done about single users of a campaign: one, or a list of them. It says what became
// of each, leaves one line in the audit trail for each command, and is safe to run again after anything.
package acts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

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
	// ActsAbout returns the IDs of acts about a user; Forget erases what is kept about a user beside the journal. Both may be
	// repeated.
	ActsAbout(ctx context.Context, user grant.UserID) ([]string, error)
	Forget(ctx context.Context, f ledger.Forget, dry bool) (ledger.Forgotten, error)
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
	Line   int           // of that file, on which it begins
	Seen   string        // ledger.User.Seen as it was looked at; empty: it does not matter
	Err    error         // why the row cannot be read; nil: it can

	settled *Result // by what was found before; nil: it is to be done
}

// judged reports whether there is nothing to do for a row, and says why.
func (r *Row) judged(result *Result) bool {
	switch {
	case r.Err != nil:
		result.Status, result.Why, result.Code = Invalid, r.Err.Error(), grant.WhyUnreadable
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
type Result struct { //nolint:recvcheck // lists of them are JSON, too
	User   grant.UserID `json:"user"`
	Status Status       `json:"status"`
	Why    string       `json:"why,omitempty"`
	// Code says the same for programs, and for pages in every language; empty: there is none.
	Code grant.WhyNot `json:"code,omitempty"`

	line    int  // of a file
	again   bool // it was done before
	changed bool
}

// Whom says which row it is about: one that cannot be read is about nobody.
func (r *Result) Whom() string {
	if r.Status == Invalid && r.line > 0 {
		return "line " + strconv.Itoa(r.line)
	}
	return "user " + r.User.String()
}

// MarshalJSON leaves out the user of a row that cannot be read, and has its line instead: it would be somebody else's.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	if r.Status != Invalid {
		return json.Marshal(plain(r))
	}
	return json.Marshal(struct {
		Line   int          `json:"line,omitempty"`
		Status Status       `json:"status"`
		Why    string       `json:"why"`
		Code   grant.WhyNot `json:"code"`
	}{r.line, r.Status, r.Why, r.Code})
}

// Changed reports whether it was refused because the user is not as Row.Seen says.
func (r *Result) Changed() bool { return r.changed }

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
	// Erased is, of an erasure, what else went or would go.
	Erased *ledger.Forgotten `json:"erased,omitempty"`

	fresh int // rows that this command does, and no earlier one of the same request did
}

// Again is how many rows an earlier command of the same request did.
func (r *Report) Again() int { return r.Counts[Done] - r.fresh }

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
		r.Results[i] = Result{User: c.Rows[i].User, Status: Untried, line: c.Rows[i].Line}
	}
	err := d.checkItem(&c.Act)
	for from := 0; err == nil && from < len(c.Rows); from += batch {
		to := min(from+batch, len(c.Rows))
		switch c.Act.Kind {
		case grant.ActMove:
			err = d.moveAll(ctx, c, c.Rows[from:to], r.Results[from:to])
		case grant.ActErase:
			err = d.erase(ctx, c, r)
		default:
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
		r.changed = errors.Is(err, grant.ErrUserChanged)
	}
	r.Why, r.Code = err.Error(), grant.WhyNotOf(err)
}

// record leaves one line in the audit trail.
func (d *Doer) record(ctx context.Context, c *Command, r *Report, failed error) error {
	entry := c.line(r)
	if failed != nil && r.Counts[Done] == 0 {
		entry.Refused = failed.Error()
	}
	if err := d.Trail.Record(ctx, entry); err != nil {
		return fmt.Errorf("the audit trail has no line of this: %w", err)
	}
	return nil
}

// line is that of the command in the audit trail.
func (c *Command) line(r *Report) grant.HistoryEntry {
	return grant.HistoryEntry{
		Action: grant.ActionAct, Who: c.Act.Who, Via: c.Act.Via, Why: c.Act.Reason,
		Acted: &grant.Acted{
			Request: r.Request, Kind: r.Act, Users: len(r.Results), Done: r.Counts[Done], Unchanged: r.Counts[Unchanged],
			Refused: r.Counts[Refused] + r.Counts[Invalid], Untried: r.Counts[Untried],
		},
	}
}
