package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/granter/granter/grant/claims"
)

// ErrNoReport means that there is no such earlier report.
var ErrNoReport = errors.New("there is no such earlier report: check its number")

// Report returns one by its number.
func (s *Store) Report(ctx context.Context, programme, number string) (*Report, error) {
	if number == "" {
		return nil, ErrNoReport
	}
	list, err := s.Reports(ctx, ReportFilter{Programme: programme, Number: number})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("report %s: %w", number, ErrNoReport)
	}
	return &list[0], nil
}

// byRecord is how a report says which record of the programme emptied it. No claim has such a number.
func byRecord(number int) string { return "record " + strconv.Itoa(number) }

// EraseReporter deletes who made a report, as a record of the programme says; number, business and sum stay. To do it again is
// harmless. Erasing the owner of a claim does the same to the reports of the business.
func (s *Store) EraseReporter(ctx context.Context, programme, number string, by Actor, why string) error {
	if by.Duty != claims.Privacy {
		return fmt.Errorf("report %s: %w: who reported is erased in the duty %s, and %s does it as %s", number, claims.ErrIllegal,
			claims.Privacy, by.Name, by.Duty)
	}
	r, err := s.Report(ctx, programme, number)
	if err != nil || r.Erased {
		return err
	}
	if by.Name == "" || why == "" {
		return fmt.Errorf("report %s: %w: say who erases it, and why", number, claims.ErrIllegal)
	}
	return s.begin(ctx, func(c *commit) error {
		before, err := records(ctx, c.tx, programme)
		if err != nil {
			return err
		}
		record := Record{By: by, Kind: RecordReports, Why: why, Change: Recorded{Reports: &ReportsRecord{Erased: number}}}
		if err := c.record(programme, before, &record); err != nil {
			return err
		}
		c.later(
			statement{text: "UPDATE reports SET salt = '', person = '', gone = $3 WHERE programme = $1 AND number = $2 " +
				"AND gone = ''",
				args: []any{programme, number, byRecord(record.Number)}},
			statement{text: "DELETE FROM notices WHERE programme = $1 AND report = $2", args: []any{programme, number}})
		return nil
	})
}

// eraseReporters deletes who reported for the business of a claim, whose history says so. It is called before the owner is
// deleted: a claim that was withdrawn says nothing of whose the business is, so it takes only those along who left its owner's
// phone or e-mail. Otherwise whoever hands in and withdraws a claim of somebody else's business would delete where that one is
// reached.
func eraseReporters(ctx context.Context, tx *sql.Tx, claim string) error {
	const which = "gone = '' AND programme = (SELECT programme FROM claims WHERE id = $1) AND " +
		"unit = (SELECT unit FROM claims WHERE id = $1)"
	var owner *Person // of a claim that was withdrawn
	var text string
	switch err := tx.QueryRowContext(ctx, "SELECT o.person FROM claims AS c LEFT JOIN owners AS o ON o.claim = c.id "+
		"WHERE c.id = $1 AND c.state = 'withdrawn' AND o.person IS NOT NULL", claim).Scan(&text); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		owner = &Person{}
		if err := json.Unmarshal([]byte(text), owner); err != nil {
			return err
		}
	}
	rows, err := tx.QueryContext(ctx, "SELECT number, programme, person FROM reports WHERE "+which, claim)
	if err != nil {
		return err
	}
	var of string
	var numbers []string
	if err := each(rows, func(scan func(...any) error) error {
		var number, person string
		var by Reporter
		if err := scan(&number, &of, &person); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(person), &by); err != nil {
			return fmt.Errorf("report %s: %w: %w", number, errBody, err)
		}
		if owner == nil || by.Same(owner.Phone, owner.Email) {
			numbers = append(numbers, number)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, number := range numbers {
		if _, err := tx.ExecContext(ctx, "DELETE FROM notices WHERE programme = $1 AND report = $2", of, number); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE reports SET salt = '', person = '', gone = $3 "+
			"WHERE programme = $1 AND number = $2", of, number, claim); err != nil {
			return err
		}
	}
	return nil
}

// oldReports are those that a purge empties: which, and what stays of them.
func oldReports(ctx context.Context, q querier, programme string, due Due) (numbers []string, gone Gone, _ error) {
	list, err := reportLines(ctx, q, "programme = $1 AND unit <> '' ORDER BY record, place", programme)
	if err != nil {
		return nil, Gone{}, err
	}
	list = slices.DeleteFunc(list, func(l reportLine) bool {
		classes, _ := due(l.At)
		return !slices.Contains(classes, ClassReports)
	})
	for i := range list {
		numbers = append(numbers, list[i].Number)
	}
	return numbers, Gone{Records: len(list), Digest: reportsLeft(list)}, nil
}

// reportsLeft is the digest of what stays of reports that were purged, in their order.
func reportsLeft(list []reportLine) string {
	parts := make([]string, 0, 5*len(list))
	for i := range list {
		l := &list[i]
		parts = append(parts, l.hash, strconv.Itoa(l.record), strconv.Itoa(l.place), l.Number,
			strconv.FormatInt(l.At.UnixMicro(), 10))
	}
	return digestOf(parts...)
}

// countReports adds the reports that are old enough, and returns their numbers.
func (p *Purged) countReports(ctx context.Context, q querier, programme string, due Due) ([]string, error) {
	numbers, gone, err := oldReports(ctx, q, programme, due)
	if err == nil && len(numbers) > 0 {
		p.Reports = &gone
		p.Records[ClassReports] += gone.Records
	}
	return numbers, err
}

// emptyReports purges reports, as a record of the programme says that was just written.
func (c *commit) emptyReports(programme string, numbers []string, record int) error {
	for part := range parts(c.store, numbers) {
		which, args := c.store.among(3, part)
		args = append([]any{programme, byRecord(record)}, args...)
		if _, err := c.tx.ExecContext(c.ctx, "UPDATE reports SET unit = '', loss = 0, contact = '', salt = '', person = '', "+
			"gone = $2 WHERE programme = $1 AND number "+which, args...); err != nil {
			return err
		}
		which, args = c.store.among(2, part)
		if _, err := c.tx.ExecContext(c.ctx, "DELETE FROM notices WHERE programme = $1 AND report "+which,
			append([]any{programme}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func reportLines(ctx context.Context, q querier, which string, args ...any) (out []reportLine, _ error) {
	rows, err := q.QueryContext(ctx, "SELECT programme, number, record, place, unit, reported_at, loss, contact, hash, salt, "+
		"person, gone FROM reports WHERE "+which, args...)
	if err != nil {
		return nil, err
	}
	return out, each(rows, func(scan func(...any) error) error {
		var l reportLine
		var at int64
		err := scan(&l.programme, &l.Number, &l.record, &l.place, &l.Unit, &at, &l.Loss, &l.contact, &l.hash, &l.salt, &l.person,
			&l.gone)
		l.At = moment(at)
		out = append(out, l)
		return err
	})
}

// proveReports follows the chain of each import, and finds reports that were changed, added, taken out, or emptied by nothing
// that says so.
func proveReports(ctx context.Context, tx *sql.Tx, p *Proof) error {
	programmes, err := oneColumn(ctx, tx, "SELECT DISTINCT programme FROM records WHERE kind = "+
		"'"+string(RecordReports)+"' UNION "+
		"SELECT DISTINCT programme FROM reports ORDER BY 1")
	if err != nil {
		return err
	}
	erased, err := erasedBy(ctx, tx)
	if err != nil {
		return err
	}
	for _, programme := range programmes {
		list, err := records(ctx, tx, programme)
		if err != nil && !errors.Is(err, errBody) { // what cannot be read was found before
			return err
		}
		lines, err := reportLines(ctx, tx, "programme = $1 ORDER BY record, place", programme)
		if err != nil {
			return err
		}
		p.Reports += len(lines)
		of := &provenReports{p: p, records: map[int]*Record{}, erased: erased, purged: map[int][]reportLine{}}
		for i := range list {
			of.records[list[i].Number] = &list[i]
		}
		of.chains(lines)
		of.purges()
	}
	return nil
}

// provenReports are the reports of one programme, while they are proven.
type provenReports struct {
	p       *Proof
	records map[int]*Record
	erased  map[string]bool      // claims whose history says that their owner was
	purged  map[int][]reportLine // by the record that says so
}

func (of *provenReports) wrong(l *reportLine, what string) {
	of.p.wrong(Finding{What: fmt.Sprintf("report %s of programme %s %s", l.Number, l.programme, what)})
}

// said is what a record says of reports, and of a purge; both are empty where there is no such record.
func (of *provenReports) said(record int) (ReportsRecord, *Gone) {
	r := of.records[record]
	switch {
	case r == nil:
	case r.Change.Reports != nil:
		return *r.Change.Reports, nil
	case r.Change.Purge != nil:
		return ReportsRecord{}, r.Change.Purge.Reports
	}
	return ReportsRecord{}, nil
}

func (of *provenReports) chains(lines []reportLine) {
	at := map[int]int{} // how many rows an import has
	heads := map[int]string{}
	for i := range lines {
		l := &lines[i]
		at[l.record]++
		switch said, _ := of.said(l.record); {
		case said.Imported == nil:
			of.wrong(l, "is of no import")
		case l.place != at[l.record]:
			of.wrong(l, "does not follow the one before it in its import")
			at[l.record] = l.place
		case l.Unit == "":
			of.emptied(l)
		case l.sum(heads[l.record]) != l.hash:
			of.wrong(l, "was changed: its hash is another")
		default:
			of.reporter(l)
		}
		heads[l.record] = l.hash
	}
	for _, number := range slices.Sorted(maps.Keys(of.records)) {
		said, _ := of.said(number)
		if in := said.Imported; in != nil && (at[number] != in.Taken || heads[number] != in.Head) {
			of.p.wrong(Finding{What: fmt.Sprintf("the reports that record %d imported do not end as it says: it has %d, "+
				"and had %d",
				number, at[number], in.Taken)})
		}
	}
}

// reporter compares who reported with what the row binds it to.
func (of *provenReports) reporter(l *reportLine) {
	said, _ := of.said(cutRecord(l.gone))
	switch {
	case l.gone == "" && digestOf(l.salt, l.person) != l.contact:
		of.wrong(l, "was made by somebody else than it says")
	case l.gone != "" && !of.erased[l.gone] && said.Erased != l.Number:
		of.wrong(l, "lost who made it, and nothing says that this was erased")
	}
}

// cutRecord is the number of the record that emptied a report; 0: none did.
func cutRecord(gone string) (number int) {
	_, _ = fmt.Sscanf(gone, "record %d", &number) // what is no number is of no record
	return number
}

func (of *provenReports) emptied(l *reportLine) {
	number := cutRecord(l.gone)
	if _, purge := of.said(number); purge == nil {
		of.wrong(l, "was emptied, and no purge says so")
		return
	}
	of.p.Emptied++
	of.purged[number] = append(of.purged[number], *l)
}

// purges compares what is left of reports with what the purges say that was.
func (of *provenReports) purges() {
	for _, number := range slices.Sorted(maps.Keys(of.records)) {
		_, said := of.said(number)
		if left := of.purged[number]; said != nil && (said.Records != len(left) || said.Digest != reportsLeft(left)) {
			of.p.wrong(Finding{What: fmt.Sprintf("what is left of the reports that record %d of programme %s emptied is "+
				"not what was",
				number, of.records[number].programme)})
		}
	}
}

// erasedBy are the claims whose history says that their owner was erased.
func erasedBy(ctx context.Context, tx *sql.Tx) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT claim, action, body FROM history WHERE action IN ($1, $2)", string(Erase),
		string(Purge))
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	return out, each(rows, func(scan func(...any) error) error {
		var id, action, body string
		if err := scan(&id, &action, &body); err != nil {
			return err
		}
		var c Change
		_ = json.Unmarshal([]byte(body), &c) // what cannot be read was found before
		_, contact := c.Purged[ClassContact]
		out[id] = out[id] || contact || action == string(Erase)
		return nil
	})
}

// oneColumn is the one column of a query.
func oneColumn(ctx context.Context, q querier, query string, args ...any) (out []string, _ error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return out, each(rows, func(scan func(...any) error) error {
		var one string
		err := scan(&one)
		out = append(out, one)
		return err
	})
}
