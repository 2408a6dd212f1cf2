package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Reporter is who reported a loss before claims could be filed. What is not known is empty.
type Reporter struct {
	Business string `json:"business,omitempty"` // its name
	Name     string `json:"name,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Email    string `json:"email,omitempty"`
	Language string `json:"language,omitempty"` // ko or en; empty: ko
}

// Same reports whether a phone or an e-mail, as somebody wrote them, is the reporter's.
func (r *Reporter) Same(phone, email string) bool {
	mine, theirs := nationalPhone(r.Phone), nationalPhone(phone)
	return mine != "" && mine == theirs || r.Email != "" && strings.EqualFold(strings.TrimSpace(r.Email),
		strings.TrimSpace(email))
}

// nationalPhone is a phone by its digits, as it is dialled in Korea: +82 10 is 010.
func nationalPhone(s string) string {
	digits := onlyDigits(s)
	if rest, abroad := strings.CutPrefix(digits, "82"); abroad {
		return "0" + strings.TrimPrefix(rest, "0")
	}
	return digits
}

// Reported is a loss that somebody reported before claims could be filed. It is never paid, and changes no amount.
type Reported struct {
	Number string                `json:"number"` // by which whoever reported knows it
	Unit   claims.BusinessNumber `json:"business_number"`
	At     time.Time             `json:"reported"`
	Loss   claims.Won            `json:"reported_loss"`
}

// Report is a reported loss, as it is kept.
type Report struct {
	Reported

	Import int          `json:"import"`          // the record of the programme that brought it
	Claim  string       `json:"claim,omitempty"` // of the same business: the one that stands or, without one, a withdrawn one
	State  claims.State `json:"state,omitempty"` // of that claim
	Erased bool         `json:"erased,omitempty"`

	Reporter *Reporter `json:"-"` // nil: erased. Whoever shows it to people adds it to the access log first
}

// Purged reports whether nothing is left of a report but that it was.
func (r *Report) Purged() bool { return r.Unit == "" }

// ReportRow is a report that is to be imported.
type ReportRow struct {
	Reported

	By Reporter
}

// ReportFile is the file that reports are imported from.
type ReportFile struct {
	Name    string `json:"file"`
	Digest  string `json:"digest"` // SHA-256 of its bytes
	Rows    int    `json:"rows"`
	Refused int    `json:"refused"` // rows in which something is wrong
}

// ReportsRecord is what a record of the programme says of earlier reports; one of the fields is there.
type ReportsRecord struct {
	Imported *ReportsImported `json:"imported,omitempty"`
	Reminded *ReportsReminded `json:"reminded,omitempty"`
	Erased   string           `json:"erased,omitempty"` // number of a report whose reporter was erased
}

// ReportsImported is an import: the file, and the end of the chain of those of its rows that were new.
type ReportsImported struct {
	ReportFile

	Taken int    `json:"taken"`
	Head  string `json:"head"`
}

// ReportTaken is what became of a row: Taken, Again (the same is there), or Different, where its number is there with something
// else in it.
type ReportTaken struct {
	Outcome Outcome
	Before  *Report // that is there; of the same file, it has the place 0
	Contact bool    // of Different: who reported is another, too
}

// errDry ends a transaction of which nothing is kept.
var errDry = errors.New("nothing is kept")

// ImportReports imports rows in one transaction, and returns what became of each, in their order. Importing them again takes none
// twice. Those that are new are chained, and a record of the programme has the end of that. With dry nothing is kept.
func (s *Store) ImportReports(
	ctx context.Context, programme string, list []ReportRow, file ReportFile, by Actor, dry bool,
) (out []ReportTaken, err error) {
	if by.Name == "" || file.Name == "" {
		return nil, claims.Illegal("say who imports which file")
	}
	err = s.begin(ctx, func(c *commit) error {
		known, err := c.reportsBy(programme, list)
		if err != nil {
			return err
		}
		out = make([]ReportTaken, len(list))
		var fresh []*ReportRow
		for i := range list {
			r := &list[i]
			before := known[r.Number]
			if before == nil {
				fresh = append(fresh, r)
				known[r.Number] = &Report{Reported: r.Reported, Reporter: &r.By}
				out[i] = ReportTaken{Outcome: Taken}
				continue
			}
			out[i] = before.against(r)
		}
		if dry || len(fresh) == 0 {
			return errDry
		}
		return c.addReports(programme, fresh, file, by)
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return out, err
}

// against compares a row with the report that is there under its number. Who reported is compared while that is known.
func (r *Report) against(row *ReportRow) ReportTaken {
	other := r.Reporter != nil && *r.Reporter != row.By
	same := r.Unit == row.Unit && r.At.Equal(row.At) && r.Loss == row.Loss
	if r.Purged() || same && !other {
		return ReportTaken{Outcome: Again, Before: r}
	}
	return ReportTaken{Outcome: Different, Before: r, Contact: other}
}

// reportsBy returns the reports that are there under the numbers of rows.
func (c *commit) reportsBy(programme string, list []ReportRow) (map[string]*Report, error) {
	out := map[string]*Report{}
	for part := range parts(c.store, list) {
		numbers := make([]string, len(part))
		for i := range part {
			numbers[i] = part[i].Number
		}
		which, args := c.store.among(2, numbers)
		found, err := c.store.reports(c.ctx, c.tx, "r.programme = $1 AND r.number "+which, "r.number",
			append([]any{programme}, args...)...)
		if err != nil {
			return nil, err
		}
		for i := range found {
			out[found[i].Number] = &found[i]
		}
	}
	return out, nil
}

func (c *commit) addReports(programme string, fresh []*ReportRow, file ReportFile, by Actor) error {
	before, err := records(c.ctx, c.tx, programme)
	if err != nil {
		return err
	}
	done := &ReportsImported{ReportFile: file, Taken: len(fresh)}
	rows := newRows("INSERT INTO reports (programme, number, record, place, unit, reported_at, loss, contact, hash, salt, "+
		"person, "+
		"gone) VALUES", "", 12)
	for i, r := range fresh {
		data, err := json.Marshal(&r.By)
		if err != nil {
			return err
		}
		line := reportLine{
			programme: programme, record: len(before) + 1, place: i + 1, Reported: r.Reported,
			salt: rand.Text(), person: string(data),
		}
		line.contact = digestOf(line.salt, line.person)
		done.Head = line.sum(done.Head)
		rows.add(programme, r.Number, line.record, line.place, string(r.Unit), r.At.UnixMicro(), int64(r.Loss), line.contact,
			done.Head, line.salt, line.person, "")
	}
	record := Record{By: by, Kind: RecordReports, Why: "earlier reports of " + file.Name,
		Change: Recorded{Reports: &ReportsRecord{Imported: done}}}
	if err := c.record(programme, before, &record); err != nil {
		return err
	}
	c.later(statement{rows: rows}, statement{text: forgotten, args: []any{programme, record.Number}})
	return nil
}

// forgotten empties who reported, in an import, where the owner of the business was erased before: an import does not bring back
// what was erased.
const forgotten = "UPDATE reports SET salt = '', person = '', gone = (SELECT MIN(c.id) FROM claims AS c WHERE " + erasedOwner +
	") WHERE programme = $1 AND record = $2 AND EXISTS (SELECT 1 FROM claims AS c WHERE " + erasedOwner + ")"

const erasedOwner = "c.programme = reports.programme AND c.unit = reports.unit AND c.state <> 'withdrawn' " +
	"AND NOT EXISTS (SELECT 1 FROM owners AS o WHERE o.claim = c.id)"

// reportLine is a row of the table.
type reportLine struct {
	Reported

	programme, contact, hash, salt, person, gone string
	record, place                                int
}

func (l *reportLine) sum(prev string) string {
	return digestOf(prev, l.programme, l.Number, strconv.Itoa(l.record), strconv.Itoa(l.place), string(l.Unit),
		strconv.FormatInt(l.At.UnixMicro(), 10), strconv.FormatInt(int64(l.Loss), 10), l.contact)
}

// ReportFilter chooses reports. A zero field chooses all.
type ReportFilter struct {
	Programme string // required
	Number    string
	Unit      claims.BusinessNumber
	NotFiled  bool   // only those whose business has handed in no claim, not even one that it withdrew
	After     string // the last number of the page before
	Limit     int    // 0: 100
}

// notFiled is that the business of a report of the programme $1 has handed in no claim. Each part has its index.
const notFiled = "r.unit <> '' AND c.id IS NULL AND r.unit NOT IN (SELECT unit FROM claims WHERE state = 'withdrawn' " +
	"AND programme = $1)"

// Reports returns reports in the order of their numbers. Those that were purged are found by their number alone.
func (s *Store) Reports(ctx context.Context, f ReportFilter) ([]Report, error) {
	w := where{conditions: []string{"r.programme = $1"}, args: []any{f.Programme}}
	switch {
	case f.Number != "":
		w.add("r.number =", f.Number)
	case f.Unit != "":
		w.add("r.unit =", string(f.Unit))
	case f.NotFiled:
		w.conditions = append(w.conditions, notFiled)
	default:
		w.conditions = append(w.conditions, "r.unit <> ''")
	}
	w.add("r.number >", f.After)
	w.args = append(w.args, cmp.Or(max(f.Limit, 0), 100))
	return s.reports(ctx, s.db, w.all(), fmt.Sprintf("r.number LIMIT $%d", len(w.args)), w.args...)
}

// ofReports joins reports with the claim of their business that stands, of which there is one at most.
const ofReports = " FROM reports AS r LEFT JOIN claims AS c ON c.programme = r.programme AND c.unit = r.unit " +
	"AND c.state <> 'withdrawn' WHERE "

func (s *Store) reports(ctx context.Context, q querier, which, order string, args ...any) ([]Report, error) {
	rows, err := q.QueryContext(ctx, "SELECT r.number, r.unit, r.reported_at, r.loss, r.record, r.person, COALESCE(c.id, "+
		"(SELECT MAX(w.id) FROM claims AS w WHERE w.state = 'withdrawn' AND w.programme = r.programme AND w.unit = "+
		"r.unit), ''), "+
		"COALESCE(c.state, 'withdrawn')"+ofReports+which+" ORDER BY "+order, args...)
	if err != nil {
		return nil, err
	}
	out := []Report{}
	return out, each(rows, func(scan func(...any) error) error {
		var r Report
		var at int64
		var person string
		if err := scan(&r.Number, &r.Unit, &at, &r.Loss, &r.Import, &person, &r.Claim, &r.State); err != nil {
			return err
		}
		r.At, r.Erased = moment(at), person == ""
		if r.Claim == "" {
			r.State = ""
		}
		if !r.Erased {
			r.Reporter = &Reporter{}
			if err := json.Unmarshal([]byte(person), r.Reporter); err != nil {
				return fmt.Errorf("report %s: %w: %w", r.Number, errBody, err)
			}
		}
		out = append(out, r)
		return nil
	})
}

// ReportNumbers are the numbers of reports, in their order.
func ReportNumbers(list []Report) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Number
	}
	return out
}

// ReportCounts is what became of those who reported.
type ReportCounts struct {
	Reports    int        `json:"reports"`
	Loss       claims.Won `json:"reported_loss"` // of all reports together
	Businesses int        `json:"businesses"`    // that reported
	Filed      int        `json:"filed"`         // of them, those that handed in a claim, whatever became of it
	NotFiled   int        `json:"not_filed"`
	Paid       int        `json:"paid"`     // of them, those to which the bank has paid something
	Reminded   int        `json:"reminded"` // reports whose reporter is or was reminded
}

// CountReports counts the reports of a programme that were not purged.
func (s *Store) CountReports(ctx context.Context, programme string) (n ReportCounts, err error) {
	for _, part := range []struct {
		query string
		into  []any
	}{
		{"SELECT COUNT(*), CAST(COALESCE(SUM(r.loss), 0) AS BIGINT), COUNT(DISTINCT r.unit) FROM reports AS r " +
			"WHERE r.programme = $1 AND r.unit <> ''", []any{&n.Reports, &n.Loss, &n.Businesses}},
		{"SELECT COUNT(DISTINCT r.unit)" + ofReports + "r.programme = $1 AND " + notFiled, []any{&n.NotFiled}},
		{"SELECT COUNT(DISTINCT r.unit) FROM reports AS r JOIN claims AS c ON c.programme = r.programme AND c.unit = r.unit " +
			"AND c.state <> 'withdrawn' JOIN payments AS p ON p.claim = c.id AND p.state = 'settled' WHERE r.programme = $1",
			[]any{&n.Paid}},
		{"SELECT COUNT(*) FROM notices WHERE programme = $1", []any{&n.Reminded}},
	} {
		if err := s.db.QueryRowContext(ctx, part.query, programme).Scan(part.into...); err != nil {
			return n, err
		}
	}
	n.Filed = n.Businesses - n.NotFiled
	return n, nil
}

// CountClaimed returns how many of some businesses have a claim that stands.
func (s *Store) CountClaimed(ctx context.Context, programme string, units []string) (n int, err error) {
	units = slices.Compact(slices.Sorted(slices.Values(units)))
	for part := range parts(s, units) {
		which, args := s.among(2, part)
		var found int
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM claims WHERE state <> 'withdrawn' AND programme = $1 AND unit "+
			which, append([]any{programme}, args...)...).Scan(&found); err != nil {
			return n, err
		}
		n += found
	}
	return n, nil
}
