package acts

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// What one person may do alone is said by the campaign's rule (grant.Approval), and counted in the ledger, whichever way the
// acts come. What goes beyond it is proposed: kept in the ledger with whom it is about, until another person decides. What is
// approved is done in the name of both; it may be begun again after anything, since each act of a request is done to a user
// once.

// Proposals are where what takes a second person waits for that one.
type Proposals interface {
	// Alone counts users that a person does something about, if they are not too many with those of a day. With ask, it
	// only says whether they would be.
	Alone(ctx context.Context, person string, users, most int64, ask bool) (had int64, ok bool, err error)
	Propose(ctx context.Context, p grant.Proposal, within time.Duration, pieces [][]byte) (grant.Proposal, error)
	Proposal(ctx context.Context, id string) (*grant.Proposal, time.Time, error)
	Proposals(ctx context.Context) ([]grant.Proposal, time.Time, error)
	Proposed(ctx context.Context, p *grant.Proposal) ([]string, error)
	// Decide fails with grant.ErrRefused when there is nothing to decide any more, or this person may not.
	Decide(ctx context.Context, id string, d grant.Decision) (grant.Proposal, error)
	// Conclude notes what became of what was approved, with a line in the audit trail, unless that is noted.
	Conclude(ctx context.Context, id string, line grant.HistoryEntry) error
}

// Pending returns the proposals of the campaign, oldest first: those that somebody has to do something about, or all.
func (d *Doer) Pending(ctx context.Context, all bool) ([]grant.Proposal, error) {
	list, now, err := d.Proposals.Proposals(ctx)
	out := make([]grant.Proposal, 0, len(list))
	for _, p := range list {
		p.State = p.StateAt(now)
		if all || p.State == grant.ProposalPending || p.State == grant.ProposalApproved {
			out = append(out, p)
		}
	}
	return out, err
}

// Show returns one proposal, and what it would do now, or what it did: a row is done if it was by this proposal.
func (d *Doer) Show(ctx context.Context, id string) (*grant.Proposal, *Report, error) {
	p, now, err := d.Proposals.Proposal(ctx, id)
	if err == nil && p == nil {
		err = grant.ErrNoProposal
	}
	if err != nil {
		return nil, nil, err
	}
	p.State = p.StateAt(now)
	c, err := d.command(ctx, p)
	if err != nil {
		return p, nil, err
	}
	c.Dry = true
	r, err := d.run(ctx, c)
	return p, r, err
}

// Decide approves or rejects a proposal. What is approved is done at once, and the report says what became of it. To approve
// again what was approved and is not done yet continues it. The same decision once more, by the same person in the same words, is
// answered again.
func (d *Doer) Decide(ctx context.Context, id string, decision grant.Decision) (*grant.Proposal, *Report, error) {
	p, _, err := d.Proposals.Proposal(ctx, id)
	switch {
	case err != nil:
		return nil, nil, err
	case p != nil && p.State == grant.ProposalApproved && decision.Approve: // and a kill, or Redis, stopped it
	case p != nil && p.Decided.Same(&decision): // it comes again: its button was tapped twice, or the answer was lost
	default:
		decided, err := d.Proposals.Decide(ctx, id, decision)
		if err != nil {
			var failed error // it may have come twice at the same time
			if p, _, failed = d.Proposals.Proposal(ctx, id); failed != nil || p == nil || !p.Decided.Same(&decision) {
				return nil, nil, err
			}
			break
		}
		p = &decided
	}
	if p.State != grant.ProposalApproved {
		return p, nil, nil
	}
	ctx = context.WithoutCancel(ctx) // approved is approved
	c, err := d.command(ctx, p)
	if err != nil {
		return p, nil, err
	}
	r, err := d.run(ctx, c)
	if err != nil {
		err = errors.Join(err, d.record(ctx, c, r, err))
		return p, r, fmt.Errorf("it is approved, and was not done to everybody: approve it again to continue: %w", err)
	}
	line := c.line(r)
	p.State, p.Result = grant.ProposalDone, line.Acted
	return p, r, d.Proposals.Conclude(ctx, id, line)
}

// command is what a proposal wants done, in the name of both.
func (d *Doer) command(ctx context.Context, p *grant.Proposal) (*Command, error) {
	pieces, err := d.Proposals.Proposed(ctx, p)
	if err != nil {
		return nil, err
	}
	rows, err := unpack(pieces)
	if err != nil {
		return nil, fmt.Errorf("the users of proposal %s: %w", p.Act.ID, err)
	}
	if got := digestOf(rows); got != p.Digest || len(rows) != p.Users {
		return nil, fmt.Errorf("%w: the %d users of proposal %s are not the %d that were proposed: reject it, and propose it "+
			"again by another --request", grant.ErrRefused, len(rows), p.Act.ID, p.Users)
	}
	c := &Command{Act: p.Act, Rows: rows, AfterEnd: p.AfterEnd}
	if p.Decided != nil {
		c.Act.Second = p.Decided.Who
	}
	return c, nil
}

// alone returns the command if it may be done by the one who wants it, and counts that; or else what was proposed instead. Only
// who was counted is in that command: who can be acted upon a moment later would be one too many.
func (d *Doer) alone(ctx context.Context, c *Command) (*Command, *Report, error) {
	rule := d.Campaign.Approval
	if !c.Propose && !rule.Counts(c.Act.Kind) {
		return c, nil, nil
	}
	if d.Proposals == nil {
		return nil, nil, fmt.Errorf("%w: it may take a second person, and proposals are not kept here", grant.ErrRefused)
	}
	p := grant.Proposal{Act: c.Act, Digest: digestOf(c.Rows), AfterEnd: c.AfterEnd}
	before, now, err := d.Proposals.Proposal(ctx, c.Act.ID)
	if err != nil {
		return nil, nil, err
	}
	dry := *c
	dry.Dry = true
	r, err := d.run(ctx, &dry)
	if err != nil {
		return nil, r, err
	}
	if before != nil {
		r, err := d.found(r, &p, before, now)
		return nil, r, err
	}
	if !c.Propose {
		_, ok, err := d.Proposals.Alone(ctx, grant.Person(c.Act.Who), int64(r.fresh), rule.Above, c.Dry)
		if err != nil || ok {
			return c.counted(r), nil, err
		}
	}
	r.TakesTwo = true
	if c.Dry {
		return nil, r, nil
	}
	return nil, r, d.propose(ctx, c, r, p)
}

// counted is the command about those alone who were to be acted upon when it was looked.
func (c *Command) counted(r *Report) *Command {
	out := *c
	out.Rows = slices.Clone(c.Rows)
	for i := range out.Rows {
		if out.Rows[i].Err == nil && r.Results[i].Status != Done {
			out.Rows[i].settled = &r.Results[i]
		}
	}
	return &out
}

// propose stores a proposal, unless there would be nothing to do.
func (d *Doer) propose(ctx context.Context, c *Command, r *Report, p grant.Proposal) error {
	if r.Counts[Done] == 0 {
		return nil // and the report says why
	}
	pieces, err := pack(c.Rows)
	if err != nil {
		return err
	}
	for i := range c.Rows {
		if c.Rows[i].Err == nil {
			p.Users++
		}
	}
	p.Expected = map[string]int{}
	for status, n := range r.Counts {
		p.Expected[string(status)] = n
	}
	within := grant.UsualWithin
	if rule := d.Campaign.Approval; rule != nil && rule.Within > 0 {
		within = rule.Within
	}
	stored, err := d.Proposals.Propose(ctx, p, within, pieces)
	if err != nil {
		return err
	}
	r.Overall, r.Proposal, r.DryRun = Proposed, &stored, false
	return nil
}

// found is what a command finds whose request was proposed before.
func (d *Doer) found(r *Report, p, before *grant.Proposal, now time.Time) (*Report, error) {
	same := before.Act
	same.At, same.Who, same.Via, same.Role = p.Act.At, p.Act.Who, p.Act.Via, p.Act.Role
	a, errA := json.Marshal(same)
	b, errB := json.Marshal(p.Act)
	if err := errors.Join(errA, errB); err != nil {
		return nil, err
	}
	if before.Digest != p.Digest || !bytes.Equal(a, b) {
		return r, fmt.Errorf("%w: request %s was proposed with other users, or as another act: give this one another name",
			grant.ErrRefused, p.Act.ID)
	}
	before.State = before.StateAt(now)
	r.Proposal = before
	switch r.Proposal.State {
	case grant.ProposalDone: // and the report says what became of each
		r.DryRun = false
	case grant.ProposalPending, grant.ProposalApproved:
		r.Overall, r.DryRun = Proposed, false
	case grant.ProposalRejected, grant.ProposalExpired:
		r.Overall, r.DryRun = Failed, false
		return r, fmt.Errorf("%w: request %s was proposed, and is %s: to propose it again, give it another name by --request",
			grant.ErrRefused, p.Act.ID, r.Proposal.State)
	}
	return r, nil
}

// packed is a row in the ledger.
type packed struct {
	User   grant.UserID  `json:"user"`
	To     *grant.UserID `json:"to,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

// maxPiece bounds what one piece may be unpacked to: batch rows with reasons of the most that is allowed, of characters that JSON
// escapes.
const maxPiece = batch * (6*grant.MaxWhy + 256)

// pack puts the rows that can be read into pieces.
func pack(rows []Row) ([][]byte, error) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Err != nil })
	var pieces [][]byte
	for some := range slices.Chunk(rows, batch) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		e := json.NewEncoder(z)
		for i := range some {
			if err := e.Encode(packed{some[i].User, some[i].To, some[i].Reason}); err != nil {
				return nil, err
			}
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		pieces = append(pieces, b.Bytes())
	}
	return pieces, nil
}

func unpack(pieces []string) ([]Row, error) {
	var rows []Row
	for _, piece := range pieces {
		z, err := gzip.NewReader(bytes.NewReader([]byte(piece)))
		if err != nil {
			return nil, err
		}
		decoder := json.NewDecoder(io.LimitReader(z, maxPiece))
		for {
			var p packed
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			rows = append(rows, Row{User: p.User, To: p.To, Reason: p.Reason})
		}
	}
	return rows, nil
}

// digestOf is of what the rows that can be read say.
func digestOf(rows []Row) string {
	h := sha256.New()
	for i := range rows {
		if rows[i].Err != nil {
			continue
		}
		to := ""
		if rows[i].To != nil {
			to = rows[i].To.String()
		}
		fmt.Fprintf(h, "%v %q %q\n", rows[i].User, to, rows[i].Reason)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
