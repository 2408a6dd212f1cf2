package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Watch looks again and again at how the claims of a programme stand, for those who watch over them. It changes nothing, and is
// for one goroutine.
type Watch struct {
	Store     *Store
	Programme string
	Promised  time.Duration // in which owners are promised a decision; 0: they are promised none
	Within    time.Duration // in which the bank should answer

	counted int64        // the last commit whose entries are in steps
	steps   map[Kind]int // since the beginning of history
}

// Kind is what kind of entry history has: what was done, and in which duty.
type Kind struct {
	Action claims.Action
	Duty   claims.Duty
}

// Watched is how the claims of a programme stood at a moment.
type Watched struct {
	At       time.Time                 `json:"at"`
	Channels map[string]int            `json:"channels"` // claims, by how they came
	States   map[claims.State]Standing `json:"states"`
	Delayed  int                       `json:"delayed"` // claims that wait for a service that was away
	Steps    map[Kind]int              `json:"-"`       // entries of history, since its beginning

	Books  *Books    `json:"money"`
	Sent   time.Time `json:"oldest_payment,omitzero"` // since when the oldest payment is at the bank; zero: none is
	Unsure int       `json:"unknown_payments"`        // of which the bank has said that it does not know

	Notices     map[NoticeState]int `json:"notices"`                // of all programmes of the database
	Retried     int                 `json:"notices_retried"`        // of those that wait: what has failed before
	Untold      time.Time           `json:"oldest_notice,omitzero"` // when what the oldest waiting one tells of happened
	Uncollected int64               `json:"notices_behind_commits"` // of which no notices were made yet

	Quarantined int       `json:"quarantined_documents"`
	Quarantine  time.Time `json:"quarantined_since,omitzero"` // the oldest of them; zero: there is none
	Frozen      *Freeze   `json:"frozen,omitempty"`           // nil: decisions and payments are made

	Reports ReportCounts `json:"earlier_reports"` // made before claims could be filed

	Agenda  int       `json:"council_open_items"`           // motions that were put on an agenda and not counted
	Silent  int       `json:"council_votes_missing"`        // of members who are there and may vote on one of them
	Longest time.Time `json:"council_oldest_item,omitzero"` // when the oldest of them was put there; zero: there is none
}

// Standing is how the claims in a state stand.
type Standing struct {
	Claims int       `json:"claims"`
	Oldest time.Time `json:"oldest"` // when the oldest of them was received
	Late   int       `json:"late"`   // have waited for others longer than owners are promised, and somebody has to act now
}

// Look looks once. Each part is as of its own moment.
func (w *Watch) Look(ctx context.Context) (*Watched, error) {
	out := &Watched{At: w.Store.now().UTC()}
	for _, part := range []func(context.Context, *Watched) error{
		w.queues, w.late, w.history, w.payments, w.notices, w.rest, w.council, w.reports,
	} {
		if err := part(ctx, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// since is a moment of the database's; 0: there is none.
func since(micros int64) (at time.Time) {
	if micros > 0 {
		at = moment(micros)
	}
	return at
}

func (w *Watch) queues(ctx context.Context, out *Watched) error {
	out.Channels, out.States = map[string]int{}, map[claims.State]Standing{}
	rows, err := w.Store.db.QueryContext(ctx, "SELECT state, channel, COUNT(*), MIN(received_at), "+
		"CAST(SUM(CASE WHEN state = 'checking' AND tries > 0 THEN 1 ELSE 0 END) AS BIGINT) FROM claims WHERE programme = $1 "+
		"GROUP BY state, channel", w.Programme)
	if err != nil {
		return err
	}
	return each(rows, func(scan func(...any) error) error {
		var state claims.State
		var channel string
		var n, delayed int
		var oldest int64
		if err := scan(&state, &channel, &n, &oldest, &delayed); err != nil {
			return err
		}
		standing := out.States[state]
		standing.Claims += n
		if at := moment(oldest); standing.Oldest.IsZero() || at.Before(standing.Oldest) {
			standing.Oldest = at
		}
		out.States[state] = standing
		out.Channels[channel] += n
		out.Delayed += delayed
		return nil
	})
}

// late counts by the clock that stops while the owner or the bank is to act. Only claims that came long enough ago are asked
// about.
func (w *Watch) late(ctx context.Context, out *Watched) error {
	if w.Promised <= 0 {
		return nil
	}
	args := []any{w.Programme, out.At.Add(-w.Promised).UnixMicro()}
	for _, state := range claims.States() {
		if state.Turn().Counts() {
			args = append(args, string(state))
		}
	}
	rows, err := w.Store.db.QueryContext(ctx, "SELECT h.claim, h.at, h.to_state FROM claims AS c "+
		"JOIN history AS h ON h.claim = c.id WHERE c.programme = $1 AND c.received_at <= $2 AND c.state IN "+
		list(3, len(args)-2)+" AND (h.seq = 1 OR h.from_state <> h.to_state) ORDER BY h.claim, h.seq", args...)
	if err != nil {
		return err
	}
	var claim string
	var stays []claims.Stay
	end := func() {
		if len(stays) == 0 || claims.Waited(stays, out.At) <= w.Promised {
			return
		}
		state := stays[len(stays)-1].State
		standing := out.States[state]
		standing.Late++
		out.States[state] = standing
	}
	err = each(rows, func(scan func(...any) error) error {
		var id string
		var at int64
		var to claims.State
		if err := scan(&id, &at, &to); err != nil {
			return err
		}
		if id != claim {
			end()
			claim, stays = id, stays[:0]
		}
		stays = append(stays, claims.Stay{State: to, Since: moment(at)})
		return nil
	})
	end()
	return err
}

// history counts what it has gained since the last look.
func (w *Watch) history(ctx context.Context, out *Watched) error {
	var head int64
	if err := w.Store.db.QueryRowContext(ctx, "SELECT number FROM head WHERE one = 1").Scan(&head); err != nil {
		return err
	}
	rows, err := w.Store.db.QueryContext(ctx, "SELECT h.action, h.duty, COUNT(*) FROM history AS h "+
		"JOIN claims AS c ON c.id = h.claim WHERE c.programme = $1 AND h.commit_number > $2 AND h.commit_number <= $3 "+
		"GROUP BY h.action, h.duty", w.Programme, w.counted, head)
	if err != nil {
		return err
	}
	steps := maps.Clone(w.steps)
	if steps == nil {
		steps = map[Kind]int{}
	}
	if err := each(rows, func(scan func(...any) error) error {
		var k Kind
		var n int
		err := scan(&k.Action, &k.Duty, &n)
		steps[k] += n
		return err
	}); err != nil {
		return err
	}
	w.counted, w.steps = head, steps
	out.Steps = maps.Clone(steps)
	return nil
}

func (w *Watch) payments(ctx context.Context, out *Watched) (err error) {
	if out.Books, err = w.Store.Books(ctx, w.Programme, w.Within); err != nil {
		return err
	}
	const of = " FROM payments AS p JOIN runs AS r ON r.id = p.run WHERE r.programme = $1 AND p.state = 'sent'"
	var oldest int64
	if err := w.Store.db.QueryRowContext(ctx, "SELECT CAST(COALESCE(MIN(p.changed_at), 0) AS BIGINT)"+of, w.Programme).
		Scan(&oldest); err != nil {
		return err
	}
	out.Sent = since(oldest)
	return w.Store.db.QueryRowContext(ctx, "SELECT COUNT(*)"+of+" AND p.id IN (SELECT payment FROM answers WHERE status = $2)",
		w.Programme, string(BankUnknown)).Scan(&out.Unsure)
}

func (w *Watch) notices(ctx context.Context, out *Watched) error {
	out.Notices = map[NoticeState]int{}
	rows, err := w.Store.db.QueryContext(ctx, "SELECT state, COUNT(*), "+
		"CAST(SUM(CASE WHEN state = 'waiting' AND tries > 0 THEN 1 ELSE 0 END) AS BIGINT) FROM notices GROUP BY state")
	if err != nil {
		return err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var state NoticeState
		var n, retried int
		err := scan(&state, &n, &retried)
		out.Notices[state] = n
		out.Retried += retried
		return err
	}); err != nil {
		return err
	}
	var untold int64
	// A reminder is about an entry of long ago.
	if err := w.Store.db.QueryRowContext(ctx, "SELECT CAST(COALESCE(MIN(h.at), 0) AS BIGINT) FROM notices AS n "+
		"JOIN history AS h ON h.claim = n.claim AND h.seq = n.seq WHERE n.state = 'waiting' AND n.kind <> $1",
		string(NoticeDeadline)).Scan(&untold); err != nil {
		return err
	}
	var next int64 // the first commit of which no notices were made
	if err := w.Store.db.QueryRowContext(ctx, "SELECT head.number - told.number, COALESCE(commits.at, 0) FROM head, told "+
		"LEFT JOIN commits ON commits.number = told.number + 1").Scan(&out.Uncollected, &next); err != nil {
		return err
	}
	if untold == 0 || next > 0 && next < untold {
		untold = next
	}
	out.Untold = since(untold)
	return nil
}

func (w *Watch) rest(ctx context.Context, out *Watched) error {
	var oldest int64
	if err := w.Store.db.QueryRowContext(ctx, "SELECT COUNT(*), CAST(COALESCE(MIN(at), 0) AS BIGINT) FROM documents "+
		"WHERE state = 'quarantined'").Scan(&out.Quarantined, &oldest); err != nil {
		return err
	}
	out.Quarantine = since(oldest)
	last, err := freezes(ctx, w.Store.db, w.Programme, 1)
	if err == nil && len(last) > 0 && last[0].holds(out.At) {
		out.Frozen = &last[0]
	}
	return err
}

func (w *Watch) reports(ctx context.Context, out *Watched) (err error) {
	out.Reports, err = w.Store.CountReports(ctx, w.Programme)
	return err
}

// Kinds are all kinds of entries that history may have: whoever exports them has each from the beginning.
func Kinds() []Kind {
	found := map[Kind]bool{}
	for _, t := range claims.Transitions() {
		for _, duty := range t.By {
			found[Kind{t.Action, duty}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b Kind) int {
		return cmp.Or(cmp.Compare(a.Action, b.Action), cmp.Compare(a.Duty, b.Duty))
	})
}
