package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Proof is what a walk through everything found.
type Proof struct {
	Claims  int `json:"claims"`
	Entries int `json:"entries"`
	Records int `json:"records"` // of programmes, such as extensions of windows
	Reads   int `json:"reads"`   // lines of the access log
	Reports int `json:"reports"` // made before claims could be filed

	Documents int `json:"documents"` // that claims have; of their files package documents knows

	Commits int64  `json:"commits"`
	Head    string `json:"head"` // the end of the chain: kept elsewhere, it shows later that nothing was cut off
	Erased  int    `json:"erased"`
	Emptied int    `json:"emptied,omitempty"` // entries that were purged: their hashes are there, and what they said is not

	Wrong []Finding `json:"wrong"` // at most 100
	More  int       `json:"more"`  // findings beyond those
}

// Finding is one thing that is not as history says.
type Finding struct {
	Claim  string `json:"claim,omitempty"`
	Seq    int    `json:"seq,omitempty"`
	Commit int64  `json:"commit,omitempty"`
	What   string `json:"what"`
}

// mostFindings keeps a damaged database from filling memory.
const mostFindings = 100

func (p *Proof) wrong(f Finding) {
	if len(p.Wrong) == mostFindings {
		p.More++
		return
	}
	p.Wrong = append(p.Wrong, f)
}

// Add adds findings of what the store does not know: the files of documents.
func (p *Proof) Add(list ...Finding) {
	for _, f := range list {
		p.wrong(f)
	}
}

// Anchor is the end of the chain at an earlier time.
type Anchor struct {
	Commits int64
	Head    string
}

// Prove computes everything again that can be: each entry's hash and the chains, each claim's state from its history, that the
// steps are legal, and that owners are who history says. It reads one snapshot.
func (s *Store) Prove(ctx context.Context, anchor *Anchor) (*Proof, error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.snapshot()})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	p := &Proof{Wrong: []Finding{}}
	for _, part := range []func(context.Context, *sql.Tx, *Proof) error{
		proveChain, proveClaims, proveOwners, proveLetters, proveRecords, proveReads, proveReports,
		proveProgrammes, proveDocuments,
	} {
		if err := part(ctx, tx, p); err != nil {
			return nil, err
		}
	}
	if anchor != nil {
		var hash string
		err := tx.QueryRowContext(ctx, "SELECT hash FROM commits WHERE number = $1", anchor.Commits).Scan(&hash)
		if err != nil || hash != anchor.Head {
			p.wrong(Finding{Commit: anchor.Commits, What: "the chain does not have what it had when it was anchored: " +
				"its end was cut off, or it was written anew"})
		}
	}
	return p, nil
}

func (s *Store) snapshot() sql.IsolationLevel {
	if s.postgres {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault // a transaction of SQLite is one
}

// chained are the commits, with the hashes of the entries and records that each has, in their order.
const chained = "SELECT c.number, c.at, c.entries, c.prev, c.hash, COALESCE(h.hash, ''), h.position FROM commits AS c " +
	"LEFT JOIN history AS h ON h.commit_number = c.number UNION ALL " +
	"SELECT c.number, c.at, c.entries, c.prev, c.hash, r.hash, r.position FROM commits AS c " +
	"JOIN records AS r ON r.commit_number = c.number ORDER BY 1, 7"

// proveChain follows the commits and the entries and records that each has.
func proveChain(ctx context.Context, tx *sql.Tx, p *Proof) error {
	entries, err := tx.QueryContext(ctx, chained)
	if err != nil {
		return err
	}
	var now struct {
		number, at int64
		count      int
		prev, hash string
		listed     []string
	}
	end := func() {
		switch {
		case now.number == 0:
			return
		case len(now.listed) != now.count:
			p.wrong(Finding{Commit: now.number, What: fmt.Sprintf("it has %d entries, and had %d", len(now.listed), now.count)})
		case chain(now.number, time.UnixMicro(now.at), now.prev, func(add func(string)) {
			for _, h := range now.listed {
				add(h)
			}
		}) != now.hash:
			p.wrong(Finding{Commit: now.number, What: "its hash is not that of its entries"})
		}
		p.Commits, p.Head = now.number, now.hash
	}
	err = each(entries, func(scan func(...any) error) error {
		was := now
		var hash string
		var position sql.NullInt64
		if err := scan(&now.number, &now.at, &now.count, &now.prev, &now.hash, &hash, &position); err != nil {
			return err
		}
		if now.number != was.number {
			next := now
			now = was
			end()
			now = next
			now.listed = nil
			if now.prev != was.hash || now.number != was.number+1 {
				p.wrong(Finding{Commit: now.number, What: "it does not follow the one before it"})
			}
		}
		if hash != "" {
			now.listed = append(now.listed, hash)
		}
		return nil
	})
	if err != nil {
		return err
	}
	end()
	var number int64
	var hash string
	if err := tx.QueryRowContext(ctx, "SELECT number, hash FROM head WHERE one = 1").Scan(&number, &hash); err != nil {
		return err
	}
	if number != p.Commits || hash != p.Head {
		p.wrong(Finding{Commit: p.Commits, What: fmt.Sprintf("the chain ends here, and should end at commit %d", number)})
	}
	return nil
}

// proveClaims computes each claim from its history, and compares.
func proveClaims(ctx context.Context, tx *sql.Tx, p *Proof) error {
	legal := map[string]bool{}
	for _, t := range steps() {
		legal[string(t.From)+" "+string(t.Action)+" "+string(t.To)] = true
	}
	fair, err := readFairness(ctx, tx, p) // before the rows of the others: a connection has one answer at a time
	if err != nil {
		return err
	}
	councils, err := readAssemblies(ctx, tx)
	if err != nil {
		return err
	}
	list, err := tx.QueryContext(ctx, "SELECT h.claim, h.seq, h.at, h.who, h.duty, h.from_state, h.action, h.to_state, "+
		"h.reason, h.body, "+
		"h.prev, h.hash, c.programme, c.rules, c.unit, c.received_at, c.industry, c.state, c.seq, c.head, c.tier, c.loss, "+
		"c.owed, "+
		"c.changed_at, c.assigned, h.commit_number FROM history AS h JOIN claims AS c ON c.id = h.claim ORDER BY h.claim, h.seq")
	if err != nil {
		return err
	}
	claim := &Claim{}
	var stored tableRow
	var empty blanks
	err = each(list, func(scan func(...any) error) error {
		var r tableRow
		var commit int64
		e, err := readEntry(scan, &r.programme, &r.rules, &r.unit, &r.received, &r.industry, &r.state, &r.seq, &r.head,
			&r.tier, &r.loss,
			&r.owed, &r.changed, &r.assigned, &commit)
		if err != nil && !errors.Is(err, errBody) { // its hash says that it was changed
			return err
		}
		if e.Claim != claim.ID {
			fair.next(p, claim, nil)
			p.compare(claim, &stored)
			empty.end(p)
			claim = Fold(nil)
		}
		stored = r
		p.Entries++
		switch {
		case !empty.see(&e):
			p.wrong(Finding{Claim: e.Claim, Seq: e.Seq, What: "the entry was changed: its hash is another"})
		case e.Seq != claim.Seq+1 || e.Prev != claim.Head:
			p.wrong(Finding{Claim: e.Claim, Seq: e.Seq, What: "the entry does not follow the one before it"})
		case e.From != claim.State || !legal[string(e.From)+" "+string(e.Action)+" "+string(e.To)]:
			p.wrong(Finding{Claim: e.Claim, Seq: e.Seq, What: fmt.Sprintf("%s from %s to %s is no legal step", e.Action,
				e.From, e.To)})
		}
		councils.check(p, claim, &e, commit)
		claim.apply(&e)
		claim.ID = e.Claim // also when its first entry is gone
		fair.next(p, claim, &e)
		return nil
	})
	fair.next(p, claim, nil)
	p.compare(claim, &stored)
	empty.end(p)
	if err != nil {
		return err
	}
	orphans, err := tx.QueryContext(ctx, "SELECT id FROM claims WHERE NOT EXISTS (SELECT 1 FROM history WHERE claim = id) "+
		"ORDER BY id")
	if err != nil {
		return err
	}
	return each(orphans, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		p.wrong(Finding{Claim: id, What: "it has no history"})
		return err
	})
}

// tableRow is what the table of claims says.
type tableRow struct {
	row
	programme, rules, unit string
	received               int64
}

func (p *Proof) compare(c *Claim, stored *tableRow) {
	if c.ID == "" {
		return
	}
	p.Claims++
	if c.Erased {
		p.Erased++
	}
	want := tableRow{rowOf(c), c.Programme, c.Rules, string(c.Unit), c.Received.UnixMicro()}
	if slices.Contains(c.Purged, ClassDecisions) {
		want.unit = purgedUnit(c.ID)
	}
	if *stored != want {
		p.wrong(Finding{Claim: c.ID, Seq: c.Seq, What: fmt.Sprintf("the table says %+v, history comes to %+v", *stored, want)})
	}
}

// proveOwners compares who owners are with what history binds them to.
func proveOwners(ctx context.Context, tx *sql.Tx, p *Proof) error {
	list, err := tx.QueryContext(ctx, "SELECT h.claim, h.action, h.body, COALESCE(o.salt, ''), COALESCE(o.person, '') "+
		"FROM history AS h LEFT JOIN owners AS o ON o.claim = h.claim WHERE h.seq = 1 OR h.action IN ($1, $2, $3) "+
		"ORDER BY h.claim, h.seq",
		string(ChangeAccount), string(Erase), string(Purge))
	if err != nil {
		return err
	}
	var claim, want, salt, person string
	erased := false
	end := func() {
		switch {
		case claim == "":
		case erased && person != "":
			p.wrong(Finding{Claim: claim, What: "its owner was erased, and is there"})
		case !erased && person == "":
			p.wrong(Finding{Claim: claim, What: "its owner is gone, and was not erased"})
		case !erased && digestOf(salt, person) != want:
			p.wrong(Finding{Claim: claim, What: "its owner, or the account, is not what history says"})
		}
	}
	err = each(list, func(scan func(...any) error) error {
		var id, action, body, s, o string
		if err := scan(&id, &action, &body, &s, &o); err != nil {
			return err
		}
		if id != claim {
			end()
			claim, erased = id, false
		}
		salt, person = s, o
		var c Change
		_ = json.Unmarshal([]byte(body), &c) // what cannot be read was found before
		if c.Person != "" {
			want = c.Person
		}
		_, contact := c.Purged[ClassContact]
		erased = erased || contact || action == string(Erase)
		return nil
	})
	end()
	return err
}
