package store

import (
	"context"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// council counts the motions that the council has not decided, and the votes that are missing.
func (w *Watch) council(ctx context.Context, out *Watched) error {
	states := []claims.State{claims.BeforeCouncil, claims.ObjectionBeforeCouncil}
	if out.States[states[0]].Claims+out.States[states[1]].Claims == 0 {
		return nil
	}
	rows, err := w.Store.db.QueryContext(ctx, "SELECT h.claim, MAX(h.at) FROM claims AS c JOIN history AS h ON h.claim = c.id "+
		"WHERE c.programme = $1 AND c.state IN ($2, $3) AND h.action = $4 GROUP BY h.claim", w.Programme, string(states[0]),
		string(states[1]), string(claims.PutOnAgenda))
	if err != nil {
		return err
	}
	put := map[string]time.Time{}
	var ids []string
	if err := each(rows, func(scan func(...any) error) error {
		var id string
		var at int64
		err := scan(&id, &at)
		put[id], ids = moment(at), append(ids, id)
		return err
	}); err != nil || len(ids) == 0 {
		return err
	}
	p, err := w.Store.Programme(ctx, w.Programme)
	if err != nil || p.Council == nil {
		return err
	}
	all, err := w.Store.Council(ctx, w.Programme)
	if err != nil {
		return err
	}
	list, err := w.Store.Get(ctx, ids...)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Item == nil { // it was counted and not carried, and nothing else was moved
			continue
		}
		out.Agenda++
		if at := put[c.ID]; out.Longest.IsZero() || at.Before(out.Longest) {
			out.Longest = at
		}
		if m, err := all.Meeting(c.Item.Meeting); err == nil {
			out.Silent += vote.Count(p.Council, all.Attending(m), c.Item, c.Barred).Silent
		}
	}
	return nil
}
