package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
)

// ReadWhat is what somebody reads of claims.
type ReadWhat string

// What is read. Whoever reads who an owner is, or a document, is in the claim's history as well.
const (
	ReadList     ReadWhat = "list"     // some claims of a queue, a search or a list
	ReadClaim    ReadWhat = "claim"    // all of a claim but who its owner is
	ReadStatus   ReadWhat = "status"   // how a claim stands
	ReadCouncil  ReadWhat = "council"  // what the council sees of it: agenda, item, minutes
	ReadOwner    ReadWhat = "owner"    // who its owner is
	ReadDocument ReadWhat = "document" // that the owner sent
	ReadDone     ReadWhat = "outcome"  // what a step would do to it, or has done
	ReadReport   ReadWhat = "report"   // who made an earlier report
)

// CommandLine is from where somebody reads who needs no server for it.
const CommandLine = "command line"

// Reading is a line of the access log.
type Reading struct {
	By     Actor
	From   string // the address that asked, or CommandLine
	What   ReadWhat
	Why    string   // may be empty where what is read does not say who an owner is
	Claims []string // whose

	Programme string   // of Reports
	Reports   []string // numbers of earlier reports, which are of no claim
}

// OfReport is what a line of the access log has for an earlier report, where it has the numbers of claims. No claim has such a
// one.
const OfReport = "report:"

// read is a line as it is kept.
type read struct {
	Reading

	programme, prev, hash string
	number                int64
	at                    time.Time
}

func (r *read) sum() string {
	return digestOf(r.prev, r.programme, strconv.FormatInt(r.number, 10), strconv.FormatInt(r.at.UnixMicro(), 10), r.By.Name,
		string(r.By.Duty), r.From, string(r.What), r.Why, r.whose())
}

// whose are the claims, such that one of them is found by its number between spaces, which no number has.
func (r *read) whose() string {
	if len(r.Claims) == 0 {
		return ""
	}
	return " " + strings.Join(r.Claims, " ") + " "
}

// empty reports whether a line was purged. Its hash is that of what it was.
func (r *read) empty() bool {
	return r.By.Name == emptied && r.From == "" && r.Why == "" && len(r.Claims) == 0
}

const readColumns = "programme, number, at, who, duty, origin, what, why, claims, prev, hash"

func scanRead(scan func(...any) error) (r read, err error) {
	var at int64
	var whose string
	err = scan(&r.programme, &r.number, &at, &r.By.Name, &r.By.Duty, &r.From, &r.What, &r.Why, &whose, &r.prev, &r.hash)
	r.at, r.Claims = moment(at), strings.Fields(whose)
	return r, err
}

// Read adds a line to the access log of each programme of which somebody reads claims. It is called before they are shown: what
// cannot be recorded is not shown. Claims that are not there leave no line. Lines do not touch claims, so nobody who decides
// about one is in the way of those who read it.
func (s *Store) Read(ctx context.Context, r Reading) error {
	if r.By.Name == "" || r.What == "" {
		return claims.Illegal("say who reads what")
	}
	if err := resident.Refuse("why", r.Why, true); err != nil { // the log keeps it
		return claims.Illegal("%w", err)
	}
	of, err := s.programmesOf(ctx, r.Claims)
	if err != nil || len(of)+len(r.Reports) == 0 {
		return err
	}
	for _, number := range r.Reports {
		of[r.Programme] = append(of[r.Programme], OfReport+number)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if s.postgres { // SQLite's writers are alone from their beginning
			const lock = 0x6163636573730a // "access"
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lock)); err != nil {
				return err
			}
		}
		rows := newRows("INSERT INTO reads ("+readColumns+") VALUES", "", 11)
		for _, name := range slices.Sorted(maps.Keys(of)) {
			line := read{Reading: r, programme: name, at: s.now().UTC().Truncate(time.Microsecond)}
			line.Claims = of[name]
			err := tx.QueryRowContext(ctx, "SELECT number, hash FROM reads WHERE programme = $1 ORDER BY number DESC LIMIT 1",
				name).Scan(&line.number, &line.prev)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			line.number++
			rows.add(name, line.number, line.at.UnixMicro(), r.By.Name, string(r.By.Duty), r.From, string(r.What), r.Why,
				line.whose(), line.prev, line.sum())
		}
		return rows.exec(ctx, tx, s.postgres)
	})
}

// programmesOf sorts claims by their programme.
func (s *Store) programmesOf(ctx context.Context, ids []string) (map[string][]string, error) {
	out := map[string][]string{}
	for part := range parts(s, ids) {
		which, args := s.among(1, part)
		rows, err := s.db.QueryContext(ctx, "SELECT programme, id FROM claims WHERE id "+which+" ORDER BY id", args...)
		if err != nil {
			return nil, err
		}
		if err := each(rows, func(scan func(...any) error) error {
			var programme, id string
			err := scan(&programme, &id)
			out[programme] = append(out[programme], id)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Looked is that somebody has read something of claims: a line of the access log, or a look that a claim's history has.
type Looked struct {
	Claim  string   `json:"claim,omitempty"`  // of one
	Claims []string `json:"claims,omitempty"` // of several at once

	Reports []string  `json:"reports,omitempty"` // numbers of earlier reports
	At      time.Time `json:"at"`
	By      Actor     `json:"by"`
	From    string    `json:"from,omitempty"` // empty: of a look before that was kept
	What    ReadWhat  `json:"what"`
	Why     string    `json:"why"`
}

// AccessFilter chooses looks. A zero field chooses all.
type AccessFilter struct {
	Programme, Claim, Who string
	From, To              time.Time
	Limit                 int // 0: 1000
}

// Access returns who has read what of whose claims, the latest first.
func (s *Store) Access(ctx context.Context, f AccessFilter) ([]Looked, error) {
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	out, err := s.looks(ctx, &f)
	if err != nil {
		return nil, err
	}
	lines, err := s.readings(ctx, &f)
	if err != nil {
		return nil, err
	}
	out = append(out, lines...)
	slices.SortStableFunc(out, func(a, b Looked) int { return b.At.Compare(a.At) })
	return out[:min(len(out), f.Limit)], nil
}

// conditions are those that choose looks, whose columns have these names in front.
func (f *AccessFilter) conditions(w *where, programmes, looks string) {
	for condition, value := range map[string]string{programmes + "programme =": f.Programme, looks + "who =": f.Who} {
		if value != "" {
			w.add(condition, value)
		}
	}
	if !f.From.IsZero() {
		w.add(looks+"at >=", f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		w.add(looks+"at <", f.To.UnixMicro())
	}
}

// looks are those that histories have.
func (s *Store) looks(ctx context.Context, f *AccessFilter) ([]Looked, error) {
	var w where
	w.add("h.action =", string(Look))
	f.conditions(&w, "c.", "h.")
	if f.Claim != "" {
		w.add("h.claim =", f.Claim)
	}
	w.args = append(w.args, f.Limit)
	rows, err := s.db.QueryContext(ctx, "SELECT "+prefixed("h.", entryColumns)+" FROM history AS h JOIN claims AS c "+
		"ON c.id = h.claim WHERE "+w.all()+fmt.Sprintf(" ORDER BY h.at DESC, h.claim, h.seq LIMIT $%d", len(w.args)), w.args...)
	if err != nil {
		return nil, err
	}
	out := []Looked{}
	return out, each(rows, func(scan func(...any) error) error {
		e, err := readEntry(scan)
		l := Looked{Claim: e.Claim, At: e.At, By: e.By, From: e.Change.From, What: ReadOwner, Why: e.Reason}
		switch {
		case strings.HasPrefix(e.Reason, "document "):
			l.What = ReadDocument
		case e.By.Duty == claims.CouncilDuty:
			l.What = ReadCouncil
		}
		out = append(out, l)
		return err
	})
}

func prefixed(with, columns string) string {
	return with + strings.ReplaceAll(columns, ", ", ", "+with)
}

// readings are the lines of the access log.
func (s *Store) readings(ctx context.Context, f *AccessFilter) (out []Looked, _ error) {
	var w where
	w.conditions = []string{"claims <> ''"} // those that were purged say nothing of anybody
	f.conditions(&w, "", "")
	if f.Claim != "" {
		escaped := strings.NewReplacer(`\`, `\\`, "_", `\_`, "%", `\%`).Replace(f.Claim)
		w.add("claims LIKE", "% "+escaped+" %")
		w.conditions[len(w.conditions)-1] += ` ESCAPE '\'`
	}
	w.args = append(w.args, f.Limit)
	rows, err := s.db.QueryContext(ctx, "SELECT "+readColumns+" FROM reads WHERE "+w.all()+
		fmt.Sprintf(" ORDER BY at DESC, number DESC LIMIT $%d", len(w.args)), w.args...)
	if err != nil {
		return nil, err
	}
	return out, each(rows, func(scan func(...any) error) error {
		r, err := scanRead(scan)
		l := Looked{At: r.at, By: r.By, From: r.From, What: r.What, Why: r.Why}
		for _, of := range r.Claims {
			if number, report := strings.CutPrefix(of, OfReport); report {
				l.Reports = append(l.Reports, number)
			} else {
				l.Claims = append(l.Claims, of)
			}
		}
		if len(l.Claims) == 1 {
			l.Claim, l.Claims = l.Claims[0], nil
		}
		out = append(out, l)
		return err
	})
}

// oldReads are the lines before a moment that were not purged yet: how many, and what stays of them.
func oldReads(ctx context.Context, q querier, programme string, before time.Time) (Gone, error) {
	rows, err := q.QueryContext(ctx, "SELECT "+readColumns+" FROM reads WHERE programme = $1 AND at < $2 AND claims <> '' "+
		"ORDER BY number", programme, before.UnixMicro())
	if err != nil {
		return Gone{}, err
	}
	var list []read
	err = each(rows, func(scan func(...any) error) error {
		r, err := scanRead(scan)
		list = append(list, r)
		return err
	})
	out := Gone{Records: len(list)}
	if len(list) > 0 {
		out.Digest, out.Through = readsLeft(list), int(list[len(list)-1].number)
	}
	return out, err
}

// readsLeft is the digest of what stays of lines that were emptied.
func readsLeft(list []read) string {
	parts := make([]string, 0, 5*len(list))
	for i := range list {
		r := &list[i]
		parts = append(parts, r.hash, r.prev, strconv.FormatInt(r.number, 10), string(r.By.Duty), string(r.What))
	}
	return digestOf(parts...)
}

// proveReads follows the access log of each programme, and finds lines that were changed, taken out, or emptied without a purge.
func proveReads(ctx context.Context, tx *sql.Tx, p *Proof) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+readColumns+" FROM reads ORDER BY programme, number")
	if err != nil {
		return err
	}
	gone := map[string][]read{}
	var last read
	if err := each(rows, func(scan func(...any) error) error {
		r, err := scanRead(scan)
		if err != nil {
			return err
		}
		if r.programme != last.programme {
			last = read{programme: r.programme}
		}
		p.Reads++
		name := fmt.Sprintf("line %d of the access log of programme %s", r.number, r.programme)
		switch {
		case r.number != last.number+1 || r.prev != last.hash:
			p.wrong(Finding{What: name + " does not follow the one before it"})
		case r.sum() == r.hash:
		case r.empty():
			gone[r.programme] = append(gone[r.programme], r)
		default:
			p.wrong(Finding{What: name + " was changed: its hash is another"})
		}
		last = r
		return nil
	}); err != nil {
		return err
	}
	for _, programme := range slices.Sorted(maps.Keys(gone)) {
		list, err := records(ctx, tx, programme)
		if err != nil {
			return err
		}
		rest := gone[programme]
		p.Emptied += len(rest)
		for i := range list {
			if was := list[i].Change.Purge; was != nil && was.Reads != nil {
				n := min(was.Reads.Records, len(rest))
				if n != was.Reads.Records || readsLeft(rest[:n]) != was.Reads.Digest {
					p.wrong(Finding{What: fmt.Sprintf("what is left of the access log that record %d of programme %s emptied "+
						"is not what was", list[i].Number, programme)})
				}
				rest = rest[n:]
			}
		}
		for i := range rest {
			p.wrong(Finding{What: fmt.Sprintf("line %d of the access log of programme %s was emptied, and no purge says so",
				rest[i].number, programme)})
		}
	}
	return nil
}
