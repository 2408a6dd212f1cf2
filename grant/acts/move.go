package acts

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// A move changes two users, who may be on two masters, so no script can do both. First the ledger gets a note of the move,
// then the one account loses the grant, then the other gets it, with the same dates, and the note goes. Whatever fails in
// between, nobody has it twice, the note says that it is not at its end, and the same command, or Resume, continues it.

// moveAll moves the grants of some users, one after the other.
func (d *Doer) moveAll(ctx context.Context, c *Command, rows []Row, results []Result) error {
	for i := range rows {
		if rows[i].judged(&results[i]) {
			continue
		}
		err := d.move(ctx, ledger.AccountMove{User: rows[i].User, Act: rows[i].act(&c.Act)}, rows[i].Seen, c.Dry)
		if err != nil && !errors.Is(err, grant.ErrRefused) && !errors.Is(err, grant.ErrUnchanged) {
			return err
		}
		results[i].settle(err)
	}
	return nil
}

func (d *Doer) move(ctx context.Context, m ledger.AccountMove, seen string, dry bool) error {
	to := *m.Act.To
	if to == m.User {
		return grant.Coded(grant.WhySameAccount, fmt.Errorf("%w: that is the same account", grant.ErrRefused))
	}
	found, held, err := d.Reader.Held(ctx, d.Campaign, []grant.UserID{m.User, to})
	if err != nil {
		return err
	}
	from, target := &found[0], &found[1]
	moved := from.State.MovedTo != nil && *from.State.MovedTo == to
	if err := from.StillAs(seen); err != nil && !moved {
		return err
	}
	switch _, _, err := from.State.After(from.Place, &m.Act); {
	case moved && target.State.MovedFrom != nil && *target.State.MovedFrom == m.User:
		return grant.Coded(grant.WhyAsItIs, fmt.Errorf("%w: it is moved already", grant.ErrUnchanged))
	case moved: // and not at its end
	case err != nil:
		return err
	}
	if !moved {
		for i, at := range held[0].TakenAt {
			if !at.IsZero() {
				return grant.Coded(grant.WhyTaken, fmt.Errorf("%w: the user took %s, and what was taken cannot be moved: "+
					"revoke here, and grant the other account by hand", grant.ErrRefused, d.Campaign.Items[i].ID))
			}
		}
	}
	arrival := arriving(&m, from, target)
	if _, _, err := target.State.After(target.Place, &arrival); err != nil {
		//nolint:errorlint // what is unchanged there is refused here
		return grant.Coded(grant.WhyOtherAccount, fmt.Errorf("%w: the other account, %s: %v", grant.ErrRefused, to, err))
	}
	if dry {
		return nil
	}
	return d.carry(ctx, m, arrival, seen, moved)
}

// arriving is the act about the account that gets the grant.
func arriving(m *ledger.AccountMove, from, target *ledger.User) grant.Act {
	a := m.Act
	a.Kind, a.To, a.From = grant.ActHand, nil, &m.User
	if target.State.MovedTo != nil {
		a.Kind = grant.ActReinstate // it had been moved away from there
	}
	a.GrantedAt, a.Ends = from.GrantedAt(), maps.Clone(from.State.Ends)
	return a
}

// carry makes the two changes, the second of which may be all that is left to do.
func (d *Doer) carry(ctx context.Context, m ledger.AccountMove, arrival grant.Act, seen string, left bool) error {
	if err := d.Ledger.BeginMove(ctx, m); err != nil {
		return err
	}
	if !left {
		if err := d.one(ctx, ledger.UserAct{User: m.User, Act: m.Act, Seen: seen}); err != nil {
			return d.undo(ctx, m, err)
		}
	}
	if err := d.one(ctx, ledger.UserAct{User: *m.Act.To, Act: arrival}); err != nil {
		if !errors.Is(err, grant.ErrRefused) && !errors.Is(err, grant.ErrUnchanged) {
			return err
		}
		// A run granted the other account meanwhile: both keep their own.
		back := arrival
		back.Kind, back.ID, back.From = grant.ActReinstate, m.Act.ID+"-back", m.Act.To
		back.Reason = "the move ended: the other account was granted meanwhile"
		if undone := d.one(ctx, ledger.UserAct{User: m.User, Act: back}); undone != nil {
			return errors.Join(err, undone)
		}
		return d.undo(ctx, m,
			fmt.Errorf("%w: the other account was granted meanwhile, and this one keeps its grant", grant.ErrRefused))
	}
	return d.Ledger.EndMove(ctx, m)
}

// undo ends a move that was refused.
func (d *Doer) undo(ctx context.Context, m ledger.AccountMove, why error) error {
	if errors.Is(why, grant.ErrRefused) || errors.Is(why, grant.ErrUnchanged) {
		return errors.Join(why, d.Ledger.EndMove(ctx, m))
	}
	return why
}

// one does one act.
func (d *Doer) one(ctx context.Context, act ledger.UserAct) error {
	done, err := d.Ledger.Do(ctx, []ledger.UserAct{act}, false)
	if err != nil {
		return err
	}
	return done[0].Err
}

// Resume continues the moves that stopped half way, and returns how many came to their end.
func (d *Doer) Resume(ctx context.Context) (int, error) {
	moves, err := d.Ledger.Moves(ctx)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, m := range moves {
		switch err := d.move(ctx, m, "", false); {
		case errors.Is(err, grant.ErrUnchanged): // all but its note was there
			err = d.Ledger.EndMove(ctx, m)
			if err != nil {
				return ended, err
			}
		case err != nil:
			return ended, &grant.UserError{User: m.User, Err: fmt.Errorf("the move: %w", err)}
		}
		ended++
	}
	return ended, nil
}
