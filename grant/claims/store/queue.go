package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Queue chooses the claims that somebody works through, those first that came first. A zero field chooses all.
type Queue struct {
	Programme string
	States    []claims.State
	Unit      claims.BusinessNumber
	Tier      int
	After     Place // of the last line of the page before
	Limit     int   // 0: 50
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
	where, args := []string{"TRUE"}, []any{}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf("%s $%d", condition, len(args)))
	}
	if q.Programme != "" {
		add("programme =", q.Programme)
	}
	if q.Unit != "" {
		add("unit =", string(q.Unit))
	}
	if q.Tier > 0 {
		add("tier =", q.Tier)
	}
	if len(q.States) > 0 {
		where = append(where, "state IN "+list(len(args)+1, len(q.States)))
		for _, state := range q.States {
			args = append(args, string(state))
		}
	}
	chosen := " FROM claims WHERE " + strings.Join(where, " AND ")
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*)"+chosen, args...).Scan(&all); err != nil {
		return nil, 0, err
	}
	if q.After.ID != "" {
		n := len(args)
		args = append(args, q.After.Received.UnixMicro(), q.After.ID)
		chosen += fmt.Sprintf(" AND (received_at > $%d OR received_at = $%d AND id > $%d)", n+1, n+1, n+2)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	args = append(args, limit)
	rows, err := s.db.QueryContext(ctx, "SELECT "+lineColumns+chosen+
		fmt.Sprintf(" ORDER BY received_at, id LIMIT $%d", len(args)), args...)
	if err != nil {
		return nil, 0, err
	}
	return lines, all, each(rows, func(scan func(...any) error) error {
		l, err := readLine(scan)
		lines = append(lines, l)
		return err
	})
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
