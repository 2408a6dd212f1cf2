package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Freeze says that nothing is decided or paid, or that it is again.
type Freeze struct {
	Number int       `json:"number"` // from 1
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Why    string    `json:"why"`
	Frozen bool      `json:"frozen"`
	Until  time.Time `json:"until,omitzero"` // zero: until somebody ends it
}

// FrozenError means that nothing is decided or paid at the moment. Nothing was changed.
type FrozenError struct{ Freeze Freeze }

func (e *FrozenError) Error() string {
	until := "until somebody ends that"
	if !e.Freeze.Until.IsZero() {
		until = "until " + e.Freeze.Until.Format(time.DateTime+" MST")
	}
	return fmt.Sprintf("nothing is decided or paid %s: %s froze it at %s: %s (granter claims freeze --end)", until, e.Freeze.Who,
		e.Freeze.At.Format(time.DateTime+" MST"), e.Freeze.Why)
}

// decisions are the actions that decide or pay. What owners do, what is asked of them, and what the bank says goes on.
var decisions = []claims.Action{
	claims.Approve, claims.Decline, claims.Uphold, claims.PartlyUphold, claims.Reject, claims.Send, claims.Recoup, FirstApproval,
	claims.Confirm,
}

// Decides reports whether an action decides or pays, and so is refused while that is frozen.
func Decides(a claims.Action) bool { return slices.Contains(decisions, a) }

// holds reports whether a line freezes at a moment.
func (f *Freeze) holds(now time.Time) bool {
	return f.Frozen && (f.Until.IsZero() || now.Before(f.Until))
}

// Frozen returns a *FrozenError while nothing of a programme is decided or paid.
func (s *Store) Frozen(ctx context.Context, programme string) error {
	return s.thawed(ctx, s.db, programme)
}

func (s *Store) thawed(ctx context.Context, q querier, programme string) error {
	list, err := freezes(ctx, q, programme, 1)
	if err == nil && len(list) > 0 && list[0].holds(s.now()) {
		err = &FrozenError{list[0]}
	}
	return err
}

// Freezes returns who froze a programme and ended that, the latest first.
func (s *Store) Freezes(ctx context.Context, programme string) ([]Freeze, error) {
	return freezes(ctx, s.db, programme, chunk)
}

func freezes(ctx context.Context, q querier, programme string, most int) ([]Freeze, error) {
	rows, err := q.QueryContext(ctx, "SELECT number, at, who, why, frozen, until FROM freezes WHERE programme = $1 "+
		"ORDER BY number DESC LIMIT $2", programme, most)
	if err != nil {
		return nil, err
	}
	out := []Freeze{}
	return out, each(rows, func(scan func(...any) error) error {
		var f Freeze
		var at, until int64
		var frozen int
		err := scan(&f.Number, &at, &f.Who, &f.Why, &frozen, &until)
		f.At, f.Frozen = moment(at), frozen == 1
		if until > 0 {
			f.Until = moment(until)
		}
		out = append(out, f)
		return err
	})
}

// SetFreeze freezes a programme, or ends that: who, why, and until when. It waits for what is being committed, and whatever comes
// after it is refused. If f has a number, it is the one that it must get: it fails with claims.ErrIllegal when somebody else has
// frozen the programme, or ended that, after whoever asks had looked.
func (s *Store) SetFreeze(ctx context.Context, programme string, f Freeze) (Freeze, error) {
	f.At = s.now().UTC().Truncate(time.Microsecond)
	switch {
	case f.Who == "" || f.Why == "":
		return f, errors.New("say who it is, and why")
	case f.Frozen && !f.Until.IsZero() && !f.Until.After(f.At):
		return f, fmt.Errorf("until %s: that is over", f.Until.Format(time.RFC3339))
	}
	err := s.begin(ctx, func(c *commit) error {
		last, err := freezes(ctx, c.tx, programme, 1)
		if err != nil {
			return err
		}
		number := 1
		if len(last) > 0 {
			number = last[0].Number + 1
		}
		if f.Number > 0 && f.Number != number && len(last) > 0 {
			if last[0].Frozen {
				return claims.Illegal("%s froze it since you looked: look again", last[0].Who)
			}
			return claims.Illegal("%s ended the freeze since you looked: look again", last[0].Who)
		}
		f.Number = number
		if !f.Frozen && (len(last) == 0 || !last[0].holds(f.At)) {
			return claims.Illegal("nothing of %s is frozen", programme)
		}
		var until int64
		if !f.Until.IsZero() {
			until = f.Until.UnixMicro()
		}
		frozen := 0
		if f.Frozen {
			frozen = 1
		}
		if _, err = c.tx.ExecContext(ctx, "INSERT INTO freezes (programme, number, at, who, why, frozen, until) "+
			"VALUES ($1, $2, $3, $4, $5, $6, $7)", programme, f.Number, f.At.UnixMicro(), f.Who, f.Why, frozen,
			until); err != nil {
			return err
		}
		before, err := records(ctx, c.tx, programme)
		if err != nil {
			return err
		}
		return c.record(programme, before, &Record{
			By: Actor{Name: f.Who}, Kind: RecordFreeze, Why: f.Why, Change: Recorded{Freeze: &f},
		})
	})
	return f, err
}

// mayDecide fails while steps decide or pay something that is frozen. It has the lock.
func (c *commit) mayDecide(steps []Step) error {
	asked := map[string]bool{}
	for i := range steps {
		p := steps[i].Claim.Programme
		if !Decides(steps[i].Action) || asked[p] {
			continue
		}
		asked[p] = true
		if err := c.store.thawed(c.ctx, c.tx, p); err != nil {
			return err
		}
	}
	return nil
}
