package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
)

// errBody means that what an entry changes cannot be read.
var errBody = errors.New("it cannot be read")

const entryColumns = "claim, seq, at, who, duty, from_state, action, to_state, reason, body, prev, hash"

func readEntry(scan func(...any) error, more ...any) (Entry, error) {
	var e Entry
	var at int64
	err := scan(append([]any{&e.Claim, &e.Seq, &at, &e.By.Name, &e.By.Duty, &e.From, &e.Action, &e.To, &e.Reason, &e.body,
		&e.Prev, &e.Hash}, more...)...)
	if err != nil {
		return e, err
	}
	e.At = moment(at)
	if err := json.Unmarshal([]byte(e.body), &e.Change); err != nil {
		return e, fmt.Errorf("claim %s, entry %d: %w: %w", e.Claim, e.Seq, errBody, err)
	}
	return e, nil
}

// History returns all entries of a claim, the oldest first.
func (s *Store) History(ctx context.Context, id string) ([]Entry, error) {
	found, err := s.histories(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if len(found[id]) == 0 {
		return nil, fmt.Errorf("claim %s: %w", id, ErrNotFound)
	}
	return found[id], nil
}

// Get returns claims by their numbers, in that order.
func (s *Store) Get(ctx context.Context, ids ...string) ([]*Claim, error) {
	found, err := s.histories(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*Claim, len(ids))
	for i, id := range ids {
		if len(found[id]) == 0 {
			return nil, fmt.Errorf("claim %s: %w", id, ErrNotFound)
		}
		out[i] = Fold(found[id])
	}
	return out, nil
}

func (s *Store) histories(ctx context.Context, ids []string) (map[string][]Entry, error) {
	return s.historiesOf(ctx, s.db, ids)
}

// querier is a database, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (s *Store) historiesOf(ctx context.Context, q querier, ids []string) (map[string][]Entry, error) {
	found := make(map[string][]Entry, len(ids))
	for part := range parts(s, ids) {
		which, args := s.among(1, part)
		rows, err := q.QueryContext(ctx,
			"SELECT "+entryColumns+" FROM history WHERE claim "+which+" ORDER BY claim, seq", args...)
		if err != nil {
			return nil, err
		}
		if err := each(rows, func(scan func(...any) error) error {
			e, err := readEntry(scan)
			found[e.Claim] = append(found[e.Claim], e)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, t := range list {
		out[i] = t
	}
	return out
}

// Filter chooses claims. A zero field chooses all.
type Filter struct {
	Programme string
	States    []claims.State
	Unit      claims.BusinessNumber
	Due       time.Time // only those that the rules are to look at by then
	Delayed   bool      // and of them only those that had been put off until a moment
	After     string    // the last number of the page before
	Limit     int       // 0: 100
}

// Line is what a list shows of a claim.
type Line struct {
	ID       string                `json:"id"`
	Unit     claims.BusinessNumber `json:"unit"`
	State    claims.State          `json:"state"`
	Channel  string                `json:"channel"`
	Received time.Time             `json:"received"`
	Changed  time.Time             `json:"changed"`
	Loss     claims.Won            `json:"sales_loss"`
	Tier     int                   `json:"tier"`
	Owed     claims.Won            `json:"owed"`
	Assigned string                `json:"assigned,omitempty"`
	Tries    int                   `json:"-"` // how often it was put off
}

// IDs are the numbers of listed claims, in their order.
func IDs(lines []Line) []string {
	ids := make([]string, len(lines))
	for i := range lines {
		ids[i] = lines[i].ID
	}
	return ids
}

// List returns claims in the order of their numbers.
func (s *Store) List(ctx context.Context, f Filter) ([]Line, error) {
	var w where
	w.add("id >", f.After)
	w.claims(f.Programme, f.Unit, f.States)
	if !f.Due.IsZero() {
		w.add("due <=", f.Due.UnixMicro())
	}
	if f.Delayed {
		w.add("due >", 0)
	}
	return s.lines(ctx, &w, "id", f.Limit, 100)
}

// where are the conditions of a query, and their arguments.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, value any) {
	w.args = append(w.args, value)
	w.conditions = append(w.conditions, fmt.Sprintf("%s $%d", condition, len(w.args)))
}

// claims are the conditions by which all lists are chosen; a zero value chooses all.
func (w *where) claims(programme string, unit claims.BusinessNumber, states []claims.State) {
	if programme != "" {
		w.add("programme =", programme)
	}
	if unit != "" {
		w.add("unit =", string(unit))
	}
	if len(states) > 0 {
		w.conditions = append(w.conditions, "state IN "+list(len(w.args)+1, len(states)))
		for _, state := range states {
			w.args = append(w.args, string(state))
		}
	}
}

// from is the rest of a query that begins with its columns.
func (w *where) from() string {
	if len(w.conditions) == 0 {
		return " FROM claims"
	}
	return " FROM claims WHERE " + w.all()
}

// all are the conditions, all of which must hold.
func (w *where) all() string { return strings.Join(w.conditions, " AND ") }

// lines returns what is chosen, in an order, and no more than so many; 0: as many as is usual.
func (s *Store) lines(ctx context.Context, w *where, order string, limit, usual int) ([]Line, error) {
	if limit <= 0 {
		limit = usual
	}
	args := append(slices.Clip(w.args), limit)
	rows, err := s.db.QueryContext(
		ctx,
		"SELECT "+lineColumns+w.from()+fmt.Sprintf(" ORDER BY %s LIMIT $%d", order, len(args)),
		args...)
	if err != nil {
		return nil, err
	}
	lines := []Line{}
	return lines, each(rows, func(scan func(...any) error) error {
		l, err := readLine(scan)
		lines = append(lines, l)
		return err
	})
}

const lineColumns = "id, unit, state, channel, received_at, changed_at, loss, tier, owed, tries, assigned"

func readLine(scan func(...any) error) (l Line, err error) {
	var received, changed int64
	err = scan(&l.ID, &l.Unit, &l.State, &l.Channel, &received, &changed, &l.Loss, &l.Tier, &l.Owed, &l.Tries, &l.Assigned)
	l.Received, l.Changed = moment(received), moment(changed)
	return l, err
}

// Shared returns, for some claims, the other ones that share a mark with them, by kind. Those that were withdrawn or declined
// are not among them.
func (s *Store) Shared(ctx context.Context, ids []string) (map[string]map[claims.SignalKind][]string, error) {
	out := map[string]map[claims.SignalKind][]string{}
	for part := range parts(s, ids) {
		which, args := s.among(1, part)
		rows, err := s.db.QueryContext(ctx, "SELECT DISTINCT mine.claim, mine.kind, other.claim FROM marks AS mine "+
			"JOIN marks AS other ON other.kind = mine.kind AND other.digest = mine.digest AND other.claim <> mine.claim "+
			"JOIN claims ON claims.id = other.claim AND claims.state NOT IN ('withdrawn', 'declined') "+
			"WHERE mine.kind <> '"+string(markUser)+"' AND mine.claim "+which+
			" ORDER BY mine.claim, mine.kind, other.claim", args...)
		if err != nil {
			return nil, err
		}
		if err := each(rows, func(scan func(...any) error) error {
			var id, other string
			var kind claims.SignalKind
			err := scan(&id, &kind, &other)
			if out[id] == nil {
				out[id] = map[claims.SignalKind][]string{}
			}
			out[id][kind] = append(out[id][kind], other)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Peers returns what the assessed claims of an industry report.
func (s *Store) Peers(ctx context.Context, programme, industry string) (p claims.Peers, err error) {
	const of = " FROM claims WHERE programme = $1 AND industry = $2 AND tier > 0 AND state <> 'withdrawn'"
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*)"+of, programme, industry).Scan(&p.Count); err != nil || p.Count == 0 {
		return p, err
	}
	err = s.db.QueryRowContext(ctx, "SELECT loss"+of+" ORDER BY loss LIMIT 1 OFFSET $3", programme, industry, (p.Count-1)/2).
		Scan(&p.Median)
	return p, err
}

// Counts are claims and what is owed for them, by state.
func (s *Store) Counts(ctx context.Context, programme string) (map[claims.State]Count, error) {
	rows, err := s.db.QueryContext(ctx,
		"SELECT state, COUNT(*), CAST(SUM(owed) AS BIGINT) FROM claims WHERE programme = $1 GROUP BY state", programme)
	if err != nil {
		return nil, err
	}
	out := map[claims.State]Count{}
	return out, each(rows, func(scan func(...any) error) error {
		var state claims.State
		var n Count
		err := scan(&state, &n.Claims, &n.Owed)
		out[state] = n
		return err
	})
}

// Count is how many claims, and how much is owed for them.
type Count struct {
	Claims int        `json:"claims"`
	Owed   claims.Won `json:"owed"`
}

// ReadPerson returns who the owner of a claim is, for somebody with a reason, both of which history keeps.
// From is the address that asks.
func (s *Store) ReadPerson(ctx context.Context, id string, by Actor, from, why string) (*Person, error) {
	if err := s.begin(ctx, func(c *commit) error { // as the claim is: others may be deciding on it
		claim, err := c.read(id)
		if err != nil {
			return err
		}
		return c.step(&Step{Claim: claim, Action: Look, By: by, Reason: why, Change: Change{From: from}})
	}); err != nil {
		return nil, err
	}
	return s.Person(ctx, id)
}

// People returns who the owners of claims are, by their numbers. Those that were erased are not in it.
func (s *Store) People(ctx context.Context, ids []string) (map[string]*Person, error) {
	out := make(map[string]*Person, len(ids))
	for part := range parts(s, ids) {
		which, args := s.among(1, part)
		rows, err := s.db.QueryContext(ctx, "SELECT claim, person FROM owners WHERE claim "+which, args...)
		if err != nil {
			return nil, err
		}
		if err := each(rows, func(scan func(...any) error) error {
			var id, text string
			if err := scan(&id, &text); err != nil {
				return err
			}
			out[id] = &Person{}
			return json.Unmarshal([]byte(text), out[id])
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Person returns who the owner of a claim is; nil when that was erased.
func (s *Store) Person(ctx context.Context, id string) (*Person, error) {
	found, err := s.People(ctx, []string{id})
	return found[id], err
}
