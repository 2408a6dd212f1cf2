package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
)

// An erasure is about one user: what else is kept about the user goes first, and the journal last, since it names the requests
// whose reasons the audit trail has. Wherever it is cut off, the same again does the rest.

// erase erases why anything was done about the user of a command.
func (d *Doer) erase(ctx context.Context, c *Command, r *Report) error {
	if len(c.Rows) != 1 {
		return fmt.Errorf("%w: an erasure is about one user, and these are %d", grant.ErrRefused, len(c.Rows))
	}
	row, result := &c.Rows[0], &r.Results[0]
	if row.judged(result) {
		return nil
	}
	proposals, err := d.proposalsAbout(ctx, row.User)
	if err == nil {
		err = d.movesOf(ctx, row.User)
	}
	if err != nil {
		if errors.Is(err, grant.ErrRefused) {
			result.settle(err)
			return nil
		}
		return err
	}
	requests, err := d.Ledger.ActsAbout(ctx, row.User)
	if err != nil {
		return err
	}
	of := ledger.Forget{Requests: requests, Means: func(value string) bool { return lookup.Means(value, row.User) }}
	for i := range proposals {
		if p := &proposals[i]; p.names || p.Users == 1 && slices.Contains(requests, p.Act.ID) {
			of.Proposals = append(of.Proposals, p.Proposal)
		}
	}
	switch err := d.still(ctx, row); {
	case errors.Is(err, grant.ErrRefused):
		result.settle(err)
		return nil
	case err != nil:
		return err
	}
	forgotten, err := d.Ledger.Forget(ctx, of, c.Dry)
	if err != nil {
		return err
	}
	r.Erased = &forgotten
	if err := d.do(ctx, c, c.Rows, r.Results); err != nil {
		return err
	}
	if result.Status == Unchanged && forgotten.Any() {
		result.Status, result.Why, result.Code = Done, "", ""
	}
	return nil
}

// still fails when the user is not as the row says: then nothing is to be erased, anywhere.
func (d *Doer) still(ctx context.Context, row *Row) error {
	if row.Seen == "" {
		return nil
	}
	found, _, err := d.Reader.Held(ctx, d.Campaign, []grant.UserID{row.User})
	if err != nil {
		return err
	}
	return found[0].StillAs(row.Seen)
}

// movesOf refuses what is not at its end.
func (d *Doer) movesOf(ctx context.Context, user grant.UserID) error {
	moves, err := d.Ledger.Moves(ctx)
	if err != nil {
		return err
	}
	for _, m := range moves {
		if m.User == user || *m.Act.To == user {
			return grant.Coded(grant.WhyUnderWay,
				fmt.Errorf("%w: a move of the grant is not at its end: granter move --resume", grant.ErrRefused))
		}
	}
	return nil
}

// about is a proposal, and whether what is kept of it names the user.
type about struct {
	grant.Proposal

	names bool
}

// proposalsAbout returns the proposals that are decided. One about the user that is not is refused.
func (d *Doer) proposalsAbout(ctx context.Context, user grant.UserID) ([]about, error) {
	if d.Proposals == nil {
		return nil, nil
	}
	list, err := d.Pending(ctx, true)
	if err != nil {
		return nil, err
	}
	var out []about
	for _, p := range list {
		if p.Act.Kind == grant.ActErase {
			continue // it has the ground of an erasure, and whoever decides about this one is not kept from it
		}
		one := about{Proposal: p}
		switch kept, err := d.command(ctx, &p); {
		case errors.Is(err, grant.ErrRefused): // its users are not kept any more
		case err != nil:
			return nil, err
		default:
			one.names = slices.ContainsFunc(kept.Rows, func(r Row) bool { return r.User == user || r.To != nil && *r.To == user })
		}
		if one.names && (p.State == grant.ProposalPending || p.State == grant.ProposalApproved) {
			return nil, grant.Coded(grant.WhyUnderWay, fmt.Errorf("%w: an act about the user waits for a second person: "+
				"granter acts show %s; decide before", grant.ErrRefused, p.Act.ID))
		}
		out = append(out, one)
	}
	return out, nil
}
