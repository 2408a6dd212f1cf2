package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
)

// ErrNotFound means that there is no such claim.
var ErrNotFound = errors.New("there is no such claim")

// ConflictError means that somebody else changed a claim after it was read. Nothing was changed: read it again.
type ConflictError struct {
	Claim  string   // the first of them, to which this happened:
	All    []string // the numbers of all claims that are not as they were read, in their order
	By     Actor
	Action claims.Action
	At     time.Time
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("claim %s: %s (%s) was first, with %s at %s: read it again",
		e.Claim, e.By.Name, e.By.Duty, e.Action, e.At.Format(time.DateTime+" MST"))
}

// Step is one entry to be added to a claim, as it was read. Committing it changes Claim.
type Step struct {
	Claim  *Claim
	Action claims.Action
	By     Actor
	Reason string
	Change Change
	Marks  []Mark
}

// Mark is what other claims may share.
type Mark struct {
	Kind   claims.SignalKind
	Digest string
}

// commit is one transaction that adds to history. Whoever has it has the lock: no other writer comes between a look and a
// write.
type commit struct {
	ctx    context.Context //nolint:containedctx // it lives as long as its transaction, which ends with it
	conn   *sql.Conn
	tx     *sql.Tx
	store  *Store
	number int64
	prev   string
	at     time.Time

	entries []Entry
	records []Record
	touched []*Claim
	before  map[string]int // the entry up to which a claim was read
	marks   []markOf

	statements []statement // to be executed at the end
}

type markOf struct {
	Mark
	claim string
}

// begin runs work with the lock, and commits what it added.
func (s *Store) begin(ctx context.Context, work func(*commit) error) (err error) {
	defer func() { s.db.failed(err) }()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it only goes back to the others
	return transaction(ctx, conn.BeginTx, func(tx *sql.Tx) error {
		c := &commit{
			ctx: ctx, conn: conn, tx: tx, store: s, at: s.now().UTC().Truncate(time.Microsecond),
			before: map[string]int{},
		}
		lock := "SELECT number, hash FROM head WHERE one = 1"
		if s.postgres {
			lock += " FOR UPDATE" // SQLite's writers are alone from their beginning
		}
		if err := tx.QueryRowContext(ctx, lock).Scan(&c.number, &c.prev); err != nil {
			return fmt.Errorf("waiting for other writers: %w", err)
		}
		if err := c.once(); err != nil {
			return err
		}
		if err := work(c); err != nil {
			return err
		}
		return c.write()
	})
}

// Commit adds steps to claims, all of them or none. Steps of one claim follow each other and share one Claim. It fails with a
// ConflictError when somebody else was first, and with claims.ErrIllegal when a step is not possible, with a
// FrozenError when nothing is decided at the moment. Also, if set, runs in the
// same transaction.
func (s *Store) Commit(ctx context.Context, steps []Step, also func(*sql.Tx) error) error {
	saved := map[*Claim]Claim{}
	for i := range steps {
		saved[steps[i].Claim] = *steps[i].Claim
	}
	err := s.begin(ctx, func(c *commit) error {
		if err := c.unchanged(steps); err != nil {
			return err
		}
		if err := c.mayDecide(steps); err != nil {
			return err
		}
		for i := range steps {
			if err := c.step(&steps[i]); err != nil {
				return err
			}
		}
		if also != nil {
			return also(c.tx)
		}
		return nil
	})
	if err != nil {
		for claim, was := range saved { // as it was read
			*claim = was
		}
	}
	return err
}

// Postpone says when the rules look at claims next, and counts that they were put off. It is no part of history.
func (s *Store) Postpone(ctx context.Context, due map[string]time.Time) error {
	if len(due) == 0 {
		return nil
	}
	rows := newRows("UPDATE claims SET due = v.column2, tries = tries + 1 FROM (VALUES", ") AS v WHERE claims.id = v.column1", 2)
	rows.casts = []string{"TEXT", "BIGINT"}
	for _, id := range slices.Sorted(maps.Keys(due)) {
		rows.add(id, due[id].UnixMicro())
	}
	return s.begin(ctx, func(c *commit) error { // with the lock: who commits locks the same rows, in another order
		c.later(statement{rows: rows})
		return nil
	})
}

// unchanged fails when a claim is not as it was read.
func (c *commit) unchanged(steps []Step) error {
	read := map[string]int{}
	var ids, others []string
	for i := range steps {
		claim := steps[i].Claim
		if _, ok := read[claim.ID]; !ok {
			read[claim.ID] = claim.Seq
			ids = append(ids, claim.ID)
		}
	}
	for part := range parts(c.store, ids) {
		which, args := c.store.among(1, part)
		rows, err := c.tx.QueryContext(c.ctx, "SELECT id, seq FROM claims WHERE id "+which, args...)
		if err != nil {
			return err
		}
		if err := each(rows, func(scan func(...any) error) error {
			var id string
			var seq int
			err := scan(&id, &seq)
			if seq != read[id] {
				others = append(others, id)
			}
			return err
		}); err != nil {
			return err
		}
	}
	if len(others) == 0 {
		return nil
	}
	slices.Sort(others)
	return c.conflict(others)
}

func (c *commit) conflict(ids []string) error {
	e := &ConflictError{Claim: ids[0], All: ids}
	var at int64
	err := c.tx.QueryRowContext(c.ctx, "SELECT who, duty, action, at FROM history WHERE claim = $1 ORDER BY seq DESC LIMIT 1",
		e.Claim).
		Scan(&e.By.Name, &e.By.Duty, &e.Action, &at)
	if err != nil {
		return err
	}
	e.At = moment(at)
	return e
}

// step adds an entry, if package claims allows it.
func (c *commit) step(s *Step) error {
	if err := s.Allowed(); err != nil {
		return err
	}
	to, err := s.next()
	if err != nil {
		return err
	}
	e := Entry{
		Claim: s.Claim.ID, Seq: s.Claim.Seq + 1, At: c.at, By: s.By, From: s.Claim.State, Action: s.Action, To: to,
		Reason: s.Reason, Change: s.Change, Prev: s.Claim.Head,
	}
	if err := c.add(s.Claim, e, s.Marks); err != nil || s.Action != claims.Approve {
		return err
	}
	return c.drawn(s.Claim)
}

// Allowed fails with claims.ErrIllegal when a step is not possible from where its claim is, as it was read. Committing asks
// again.
func (s *Step) Allowed() error {
	_, err := s.next()
	if err == nil {
		err = s.apart()
	}
	if err == nil {
		err = s.plain()
	}
	if err != nil {
		return fmt.Errorf("claim %s: %w", s.Claim.ID, err)
	}
	return nil
}

func (s *Step) next() (claims.State, error) {
	if slices.Contains(remarks, s.Action) {
		return s.Claim.State, nil
	}
	return s.Claim.State.Next(s.Action, s.By.Duty, s.Reason)
}

// plain refuses what history keeps for ever and nobody may collect. Whoever asks people for it says so before; this is the last
// place where it can be said.
func (s *Step) plain() error {
	if s.By.Duty == claims.Rules { // whose words are the programme's
		return nil
	}
	return errors.Join(refuseResident("the reason", s.Reason), refuseResident("the name", s.By.Name),
		refuseResident("the colleague", s.Change.Assigned))
}

// apart refuses what nobody may do to a claim that he had a hand in: to decide on it. Who prepared an approval as the first of
// two may not be the second.
func (s *Step) apart() error {
	switch s.Action {
	case claims.Approve, claims.Decline, claims.Uphold, claims.PartlyUphold, claims.Reject, FirstApproval, claims.Confirm:
	default:
		return nil
	}
	if s.By.Duty == claims.Rules {
		return nil
	}
	if s.By.Duty == claims.CouncilDuty { // whose members were asked one by one
		return s.counted()
	}
	if grant.SamePerson(s.By.Name, s.Claim.EnteredBy) {
		return claims.Illegal("%s entered it, so somebody else must decide", s.By.Name)
	}
	for _, h := range s.Claim.Hands {
		if grant.SamePerson(h.Name, s.By.Name) {
			return claims.Illegal("%s had a hand in it as %s, so somebody else must decide", h.Name, h.Duty)
		}
	}
	return nil
}

// counted refuses a decision of the council that is none of a motion that was carried.
func (s *Step) counted() error {
	v, item := s.Change.Voted, s.Claim.Item
	if v == nil || item == nil || v.Outcome == nil || !v.Outcome.Carried || s.By != InCouncil || item.Motion.Action != s.Action {
		return claims.Illegal("the council decides by vote only")
	}
	return nil
}

func (c *commit) add(claim *Claim, e Entry, marks []Mark) error {
	if err := e.seal(); err != nil {
		return err
	}
	if _, seen := c.before[claim.ID]; !seen {
		c.before[e.Claim] = claim.Seq
		c.touched = append(c.touched, claim)
	}
	claim.apply(&e)
	c.entries = append(c.entries, e)
	for _, m := range marks {
		c.marks = append(c.marks, markOf{m, e.Claim})
	}
	return nil
}

// write sends everything: the commit, its entries of history, and then claims, whose rows must agree with them.
func (c *commit) write() error {
	if len(c.entries)+len(c.records) == 0 {
		return c.flush()
	}
	c.number++
	history := newRows("INSERT INTO history (claim, seq, commit_number, position, at, who, duty, from_state, action, "+
		"to_state, reason, "+
		"body, prev, hash) VALUES", "", 14)
	for i := range c.entries {
		e := &c.entries[i]
		history.add(
			e.Claim,
			e.Seq,
			c.number,
			i,
			e.At.UnixMicro(),
			e.By.Name,
			string(e.By.Duty),
			string(e.From),
			string(e.Action),
			string(e.To),
			e.Reason,
			e.body,
			e.Prev,
			e.Hash,
		)
	}
	hash := chain(c.number, c.at, c.prev, func(add func(string)) {
		for i := range c.entries {
			add(c.entries[i].Hash)
		}
		for i := range c.records {
			add(c.records[i].Hash)
		}
	})
	fresh, changed := c.claims()
	marks, others := c.markRows()
	own := []statement{
		{
			text: "INSERT INTO commits (number, at, entries, prev, hash) VALUES ($1, $2, $3, $4, $5)",
			args: []any{c.number, c.at.UnixMicro(), len(c.entries) + len(c.records), c.prev, hash},
		},
		{rows: history}, {rows: fresh}, {rows: changed}, {rows: marks}, {rows: others}, {rows: c.recordRows()},
		{text: "UPDATE head SET number = $1, hash = $2 WHERE one = 1", args: []any{c.number, hash}},
	}
	after := c.statements
	c.statements = nil
	c.later(own...)
	c.later(after...)
	return c.flush()
}

// markRows are the marks of new claims, none of which can be there, and those of others, which can. To look first takes the
// database as long as to write.
func (c *commit) markRows() (fresh, others *rows) {
	const head = "INSERT INTO marks (kind, digest, claim) VALUES"
	fresh, others = newRows(head, "", 3), newRows(head, "ON CONFLICT DO NOTHING", 3)
	slices.SortFunc(c.marks, func(a, b markOf) int { // in the order of the index
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.claim, b.claim))
	})
	c.marks = slices.Compact(c.marks)
	for _, m := range c.marks {
		to := others
		if c.before[m.claim] == 0 {
			to = fresh
		}
		to.add(string(m.Kind), m.Digest, m.claim)
	}
	return fresh, others
}

// claims are the rows of what was touched: new ones, and changed ones.
func (c *commit) claims() (fresh, changed *rows) {
	fresh = newRows("INSERT INTO claims (id, programme, rules, unit, channel, entered_by, received_at, industry, state, seq, "+
		"head, "+
		"tier, loss, owed, changed_at) VALUES", "", 15)
	changed = newRows("UPDATE claims SET state = v.column2, seq = v.column3, head = v.column4, tier = v.column5, loss = "+
		"v.column6, "+
		"owed = v.column7, changed_at = v.column8, industry = v.column9, due = v.column11, "+
		"assigned = v.column12, tries = 0 FROM (VALUES",
		") AS v WHERE claims.id = v.column1 AND claims.seq = v.column10", 12)
	changed.casts = []string{
		"TEXT", "TEXT", "INTEGER", "TEXT", "INTEGER", "BIGINT", "BIGINT", "BIGINT", "TEXT", "INTEGER", "BIGINT", "TEXT",
	}
	for _, claim := range c.touched {
		r := rowOf(claim)
		if c.before[claim.ID] == 0 {
			fresh.add(claim.ID, claim.Programme, claim.Rules, string(claim.Unit), claim.Channel, claim.EnteredBy,
				claim.Received.UnixMicro(), r.industry, r.state, r.seq, r.head, r.tier, r.loss, r.owed, r.changed)
			continue
		}
		changed.add(claim.ID, r.state, r.seq, r.head, r.tier, r.loss, r.owed, r.changed, r.industry, c.before[claim.ID],
			claim.due(), r.assigned)
	}
	return fresh, changed
}

// row is what the table of claims says of one, for queries. All of it is derived.
type row struct {
	state, head, industry, assigned string
	seq, tier                       int
	loss, owed, changed             int64
}

func rowOf(c *Claim) row {
	r := row{
		state: string(c.State), head: c.Head, industry: c.Facts.Industry, seq: c.Seq, owed: int64(c.Owed),
		changed: c.Changed.UnixMicro(), assigned: c.Assigned,
	}
	if c.Proposal != nil {
		r.tier, r.loss = c.Proposal.Tier, int64(c.Assessment.SalesLoss)
	}
	return r
}

// chain computes the hash of a commit.
func chain(number int64, at time.Time, prev string, entries func(add func(string))) string {
	h := sha256.New()
	var buffer []byte
	add := func(texts ...string) {
		buffer = fields(buffer[:0], texts...)
		h.Write(buffer)
	}
	add(prev, strconv.FormatInt(number, 10), strconv.FormatInt(at.UnixMicro(), 10))
	entries(func(hash string) { add(hash) })
	return hex.EncodeToString(h.Sum(nil))
}

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// each reads all rows.
func each(rows *sql.Rows, read func(scan func(...any) error) error) error {
	defer rows.Close() //nolint:errcheck // rows.Err says what went wrong
	for rows.Next() {
		if err := read(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
