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

// NoticeKind is what an owner is told of.
type NoticeKind string

// The kinds of notices.
const (
	NoticeReceived  NoticeKind = "received"
	NoticeMissing   NoticeKind = "missing"
	NoticeAsked     NoticeKind = "asked"
	NoticeApproved  NoticeKind = "approved"
	NoticeDeclined  NoticeKind = "declined"
	NoticePaid      NoticeKind = "paid"
	NoticeReturned  NoticeKind = "returned"
	NoticeAccount   NoticeKind = "account_changed" // to the contact that the claim had before
	NoticeObjection NoticeKind = "objection_decided"
	NoticeWithdrawn NoticeKind = "withdrawn"
	NoticeDeadline  NoticeKind = "deadline"
)

// NoticeKinds are all of them.
var NoticeKinds = []NoticeKind{
	NoticeReceived,
	NoticeMissing,
	NoticeAsked,
	NoticeApproved,
	NoticeDeclined,
	NoticePaid,
	NoticeReturned,
	NoticeAccount,
	NoticeObjection,
	NoticeWithdrawn,
	NoticeDeadline,
	NoticeReported,
}

// noticed are the actions of which owners are told.
var noticed = map[claims.Action]NoticeKind{
	claims.HandIn: NoticeReceived, claims.MissDocument: NoticeMissing, claims.Ask: NoticeAsked, claims.Approve: NoticeApproved,
	claims.Confirm: NoticeApproved,
	claims.Decline: NoticeDeclined, claims.Settle: NoticePaid, claims.Return: NoticeReturned, claims.Uphold: NoticeObjection,
	claims.PartlyUphold: NoticeObjection, claims.Reject: NoticeObjection, claims.Withdraw: NoticeWithdrawn,
}

// NoticeState is what became of a notice.
type NoticeState string

// The states of notices.
const (
	NoticeWaiting NoticeState = "waiting"
	NoticeSent    NoticeState = "sent"
	NoticeNowhere NoticeState = "nowhere" // the owner gave no address of this kind
	NoticeFailed  NoticeState = "failed"  // it was refused, or tried for days
	NoticeDropped NoticeState = "dropped" // it was no longer true when its turn came
)

// NoticeStates are all of them.
func NoticeStates() []NoticeState {
	return []NoticeState{NoticeWaiting, NoticeSent, NoticeNowhere, NoticeFailed, NoticeDropped}
}

// Notice is one thing that an owner is told.
type Notice struct {
	ID      string      `json:"id"`
	Claim   string      `json:"claim,omitempty"`
	Report  string      `json:"report,omitempty"` // instead of a claim: the earlier report that it is about
	Kind    NoticeKind  `json:"kind"`
	Seq     int         `json:"seq"`
	State   NoticeState `json:"state"`
	Tries   int         `json:"tries"`
	Due     time.Time   `json:"due"`
	Changed time.Time   `json:"changed"`
	Says    string      `json:"says,omitempty"`

	Person    *Person `json:"-"` // who is told; nil: whom the claim has now
	Programme string  `json:"-"` // of a report
}

func noticeID(claim string, seq int, kind NoticeKind) string {
	return fmt.Sprintf("%s/%d/%s", claim, seq, kind)
}

func newNotices() *rows {
	return newRows("INSERT INTO notices (id, claim, kind, seq, person, state, tries, due, changed, says) VALUES",
		"ON CONFLICT DO NOTHING", 10)
}

// commitsOnce is of how many commits notices are made in one transaction.
const commitsOnce = 100

// Collect makes the notices of what has happened since the last time, each once, however often and by however many it is
// called.
func (s *Store) Collect(ctx context.Context) (made int, err error) {
	for {
		more, n, err := s.collect(ctx)
		made += n
		if err != nil || !more {
			return made, err
		}
	}
}

func (s *Store) collect(ctx context.Context) (more bool, made int, err error) {
	return more, made, s.inTx(ctx, func(tx *sql.Tx) error {
		var from, end int64
		// Whoever else collects waits here.
		if _, err := tx.ExecContext(ctx, "UPDATE told SET number = number WHERE one = 1"); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT told.number, head.number FROM told, head").Scan(&from, &end); err != nil {
			return err
		}
		to := min(end, from+commitsOnce)
		more = to < end
		if to == from {
			return nil
		}
		rows, err := tx.QueryContext(
			ctx,
			"SELECT claim, seq, action, at FROM history WHERE commit_number > $1 AND commit_number <= $2 "+
				"ORDER BY commit_number, position",
			from,
			to,
		)
		if err != nil {
			return err
		}
		out := newNotices()
		if err := each(rows, func(scan func(...any) error) error {
			var claim string
			var action claims.Action
			var seq int
			var at int64
			if err := scan(&claim, &seq, &action, &at); err != nil {
				return err
			}
			if action == claims.Draw { // what was just approved is told when somebody has looked at it again
				made--
				out.dropLast()
			}
			if kind, ok := noticed[action]; ok {
				made++
				out.add(noticeID(claim, seq, kind), claim, string(kind), seq, "", string(NoticeWaiting), 0, at, at, "")
			}
			return nil
		}); err != nil {
			return err
		}
		if err := out.exec(ctx, tx, s.postgres); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE told SET number = $1 WHERE one = 1", to)
		return err
	})
}

// Remind makes a notice for each claim that still misses documents which are taken until a moment, once for each moment.
func (s *Store) Remind(ctx context.Context, programme string, until time.Time) error {
	now := s.now().UnixMicro()
	_, err := s.db.ExecContext(ctx, "INSERT INTO notices (id, claim, kind, seq, person, state, tries, due, changed, says) "+
		"SELECT id || CAST($1 AS TEXT), id, CAST($2 AS TEXT), seq, '', 'waiting', 0, CAST($3 AS BIGINT), CAST($3 AS "+
		"BIGINT), '' FROM claims "+
		"WHERE programme = $4 AND state = 'documents_missing' ON CONFLICT DO NOTHING",
		fmt.Sprintf("/%s/%d", NoticeDeadline, until.Unix()), string(NoticeDeadline), now, programme)
	return err
}

// tellBefore makes the notice of another account, to whom the claim had before: whoever stole a code must not be the only one
// to
// know.
func tellBefore(ctx context.Context, tx *sql.Tx, postgres bool, claim string, seq int, before string, now int64) error {
	out := newNotices()
	out.add(
		noticeID(claim, seq, NoticeAccount),
		claim,
		string(NoticeAccount),
		seq,
		before,
		string(NoticeWaiting),
		0,
		now,
		now,
		"",
	)
	return out.exec(ctx, tx, postgres)
}

// Take gives out notices that are due, and keeps others from them for a while: each is sent by one sender at a time.
func (s *Store) Take(ctx context.Context, most int, lease time.Duration) ([]Notice, error) {
	now := s.now()
	list, err := s.notices(ctx, "WHERE state = 'waiting' AND due <= $1 ORDER BY due, id LIMIT $2", now.UnixMicro(), most)
	if err != nil {
		return nil, err
	}
	var taken []Notice
	for i := range list {
		res, err := s.db.ExecContext(ctx, "UPDATE notices SET due = $3 WHERE id = $1 AND due = $2 AND state = 'waiting'",
			list[i].ID, list[i].Due.UnixMicro(), now.Add(lease).UnixMicro())
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			taken = append(taken, list[i])
			if err != nil {
				return nil, err
			}
		}
	}
	return taken, nil
}

// Settle says what became of a notice. One that still waits is due at its Due.
func (s *Store) Settle(ctx context.Context, n *Notice) error {
	_, err := s.db.ExecContext(
		ctx,
		"UPDATE notices SET state = $2, tries = $3, due = $4, changed = $5, says = $6 WHERE id = $1",
		n.ID,
		string(n.State),
		n.Tries,
		n.Due.UnixMicro(),
		s.now().UnixMicro(),
		n.Says,
	)
	return err
}

// Resend makes a notice be sent again, whatever became of it.
func (s *Store) Resend(ctx context.Context, id string) error {
	now := s.now().UnixMicro()
	res, err := s.db.ExecContext(
		ctx,
		"UPDATE notices SET state = 'waiting', tries = 0, due = $2, changed = $2, says = '' WHERE id = $1",
		id,
		now,
	)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("there is no notice %s: granter claims notices lists them", id))
	}
	return nil
}

// NoticeFilter chooses notices. A zero field chooses all.
type NoticeFilter struct {
	Claim  string
	States []NoticeState
	Limit  int // 0: 100
}

// Notices returns notices, the newest first.
func (s *Store) Notices(ctx context.Context, f NoticeFilter) ([]Notice, error) {
	where, args := []string{"1 = 1"}, []any{}
	if f.Claim != "" {
		args = append(args, f.Claim)
		where = append(where, fmt.Sprintf("claim = $%d", len(args)))
	}
	if len(f.States) > 0 {
		where = append(where, "state IN "+list(len(args)+1, len(f.States)))
		for _, state := range f.States {
			args = append(args, string(state))
		}
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	args = append(args, f.Limit)
	return s.notices(
		ctx,
		fmt.Sprintf("WHERE %s ORDER BY changed DESC, id LIMIT $%d", strings.Join(where, " AND "), len(args)),
		args...)
}

func (s *Store) notices(ctx context.Context, which string, args ...any) ([]Notice, error) {
	rows, err := s.db.QueryContext(
		ctx,
		"SELECT id, COALESCE(claim, ''), kind, seq, person, state, tries, due, changed, says, COALESCE(programme, ''), "+
			"COALESCE(report, '') FROM notices "+which,
		args...)
	if err != nil {
		return nil, err
	}
	out := []Notice{}
	return out, each(rows, func(scan func(...any) error) error {
		var n Notice
		var person string
		var due, changed int64
		if err := scan(&n.ID, &n.Claim, &n.Kind, &n.Seq, &person, &n.State, &n.Tries, &due, &changed, &n.Says,
			&n.Programme, &n.Report); err != nil {
			return err
		}
		n.Due, n.Changed = moment(due), moment(changed)
		if person != "" {
			n.Person = &Person{}
			if err := json.Unmarshal([]byte(person), n.Person); err != nil {
				return err
			}
		}
		out = append(out, n)
		return nil
	})
}

// AsOf is what a claim was after an entry.
func (s *Store) AsOf(ctx context.Context, id string, seq int) (then, now *Claim, history []Entry, err error) {
	history, err = s.History(ctx, id)
	if err != nil {
		return nil, nil, nil, err
	}
	at := slices.IndexFunc(history, func(e Entry) bool { return e.Seq > seq })
	if at < 0 {
		at = len(history)
	}
	return Fold(history[:at]), Fold(history), history[:at], nil
}
