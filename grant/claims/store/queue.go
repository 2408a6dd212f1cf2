package store

import (
	"context"
	"fmt"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Queue chooses the claims that somebody works through, those first that came first. A zero field chooses all.
type Queue struct {
	Programme string
	States    []claims.State
	Unit      claims.BusinessNumber
	Tier      int
	Assigned  *string // to somebody; "": to nobody

	From, To time.Time // when they were received: from the one on, before the other
	Least    *claims.Won
	Most     *claims.Won // the sales loss, both included; only of claims that were assessed
	Industry string
	Signal   claims.SignalKind // on hold for it, now

	After Place // of the last line of the page before
	Limit int   // 0: 50
}

// Place is where a line is in a queue.
type Place struct {
	Received time.Time
	ID       string
}

// Place returns where a line is.
func (l *Line) Place() Place { return Place{l.Received, l.ID} }

// InQueue returns the claims of a queue, and how many there are on all its pages.
func (s *Store) InQueue(ctx context.Context, q Queue) (lines []Line, all int, err error) {
	var w where
	w.claims(q.Programme, q.Unit, q.States)
	if q.Tier > 0 {
		w.add("tier =", q.Tier)
	}
	if q.Assigned != nil {
		w.add("assigned =", *q.Assigned)
	}
	q.filter(&w)
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*)"+w.from(), w.args...).Scan(&all); err != nil {
		return nil, 0, err
	}
	if q.After.ID != "" {
		n := len(w.args)
		w.args = append(w.args, q.After.Received.UnixMicro(), q.After.ID)
		w.conditions = append(w.conditions, fmt.Sprintf("(received_at > $%d OR received_at = $%d AND id > $%d)", n+1, n+1, n+2))
	}
	lines, err = s.lines(ctx, &w, "received_at, id", q.Limit, 50)
	return lines, all, err
}

// filter are the conditions by which somebody looks for some of a queue.
func (q *Queue) filter(w *where) {
	if !q.From.IsZero() {
		w.add("received_at >=", q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		w.add("received_at <", q.To.UnixMicro())
	}
	if q.Least != nil || q.Most != nil {
		w.conditions = append(w.conditions, "tier > 0")
	}
	if q.Least != nil {
		w.add("loss >=", int64(*q.Least))
	}
	if q.Most != nil {
		w.add("loss <=", int64(*q.Most))
	}
	if q.Industry != "" {
		w.add("industry =", q.Industry)
	}
	if q.Signal != "" { // which the last entry that put it on hold says
		w.add("state =", string(claims.OnHold))
		w.args = append(w.args, string(claims.Flag), "%\"signals\":%\"kind\":\""+string(q.Signal)+"\"%")
		n := len(w.args)
		w.conditions = append(w.conditions, fmt.Sprintf("(SELECT body FROM history WHERE claim = claims.id AND action = $%d "+
			"ORDER BY seq DESC LIMIT 1) LIKE $%d", n-1, n))
	}
}

// Stays returns how long claims were in which states, by their numbers.
func (s *Store) Stays(ctx context.Context, ids []string) (map[string][]claims.Stay, error) {
	out := make(map[string][]claims.Stay, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), chunk)
		rows, err := s.db.QueryContext(
			ctx,
			"SELECT claim, at, to_state FROM history WHERE (seq = 1 OR from_state <> to_state) AND "+
				"claim IN "+list(1, n)+" ORDER BY claim, seq",
			texts(ids[:n])...)
		if err != nil {
			return nil, err
		}
		ids = ids[n:]
		if err := each(rows, func(scan func(...any) error) error {
			var id string
			var at int64
			var to claims.State
			err := scan(&id, &at, &to)
			out[id] = append(out[id], claims.Stay{State: to, Since: moment(at)})
			return err
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
