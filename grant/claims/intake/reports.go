package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// reported is a row of a file of earlier reports.
type reported struct {
	number, unit, at, loss string
	by                     store.Reporter
}

// outcomeColumn says what became of a row of earlier reports.
const outcomeColumn = "granter_report"

var reportTable = table[reported]{
	columns: []column[reported]{
		{"number", "신고번호", func(r *reported, c string) error { r.number = c; return nil }},
		{"business_number", "사업자등록번호", func(r *reported, c string) error { r.unit = c; return nil }},
		{"reported", "신고일시", func(r *reported, c string) error { r.at = c; return nil }},
		{"reported_loss", "신고손실", func(r *reported, c string) error { r.loss = c; return nil }},
		{"business_name", "상호", func(r *reported, c string) error { r.by.Business = c; return nil }},
		{"name", "신고인", func(r *reported, c string) error { r.by.Name = c; return nil }},
		{"phone", "전화번호", func(r *reported, c string) error { r.by.Phone = c; return nil }},
		{"email", "이메일", func(r *reported, c string) error { r.by.Email = c; return nil }},
		{"language", "언어", func(r *reported, c string) error { r.by.Language = c; return nil }},
	},
	required: []string{"number", "business_number", "reported", "reported_loss"},
	added:    []string{outcomeColumn, errorColumn},
}

var numberIs = regexp.MustCompile(`^[\pL\pN][\pL\pN._/-]{0,63}$`)

func (r *reported) texts() []prose {
	return []prose{
		{name: "number", value: r.number, required: true, form: numberIs,
			want: "1 to 64 letters, digits, dots, slashes, underscores and hyphens"},
		{name: "business_name", value: r.by.Business},
		{name: "name", value: r.by.Name},
		{name: "phone", value: r.by.Phone, form: phoneIs, want: "digits, such as 010-1234-5678", numbers: true},
		{name: "email", value: r.by.Email, form: emailIs, want: "an address such as owner@example.com"},
		{name: "language", value: r.by.Language, form: languageIs, want: "ko or en"},
	}
}

// check returns a row as it is stored; the error joins everything that is wrong.
func (r *reported) check(now time.Time, zone *time.Location) (store.ReportRow, error) {
	var errs []error
	wrong := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	out := store.ReportRow{By: r.by}
	out.Number = r.number
	for _, t := range r.texts() {
		err := t.check()
		if t.name == "number" && errors.Is(err, resident.ErrNumber) {
			err = fmt.Errorf("%w; a report's number of that form is told from one by a year of four digits, as in "+
				"20221020-1000123", err)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	out.Unit, err = claims.ParseBusinessNumber(r.unit)
	wrong("business_number", err)
	out.At, err = reportedAt(r.at, now, zone)
	wrong("reported", err)
	out.Loss, err = reportedLoss(r.loss)
	wrong("reported_loss", err)
	return out, unsaid(errors.Join(errs...))
}

// reportedAt reads a time with its zone, or a day of the programme's.
func reportedAt(cell string, now time.Time, zone *time.Location) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, cell)
	if err != nil {
		at, err = time.ParseInLocation(time.DateOnly, string(day(cell)), zone)
	}
	switch {
	case err != nil:
		return at, errors.New("write a time with its zone, such as 2022-10-20T09:00:00+09:00, or a day, such as 2022-10-20")
	case at.After(now):
		return at, fmt.Errorf("%s is in the future", cell)
	}
	return at.Truncate(time.Microsecond), nil
}

// mostReported is the largest loss of a report: a million of them can be summed up.
const mostReported claims.Won = 1e12

func reportedLoss(cell string) (claims.Won, error) {
	if cell == "" {
		return 0, errors.New("is missing: write 0 if no sum was reported")
	}
	loss, err := won(cell)
	switch {
	case err != nil:
		return 0, err
	case loss < 0 || loss > mostReported:
		return 0, fmt.Errorf("%s won cannot be: write 0 to %s", text.Number(int64(loss)), text.Number(int64(mostReported)))
	}
	return loss, nil
}

// ImportedReports is what became of a file of earlier reports.
type ImportedReports struct {
	Imported

	Linked int  `json:"linked"` // businesses of rows that are right which have a claim already
	DryRun bool `json:"dry_run"`

	Results []ReportResult `json:"-"` // of each row
}

// ReportResult is what became of a row. Exactly one of the two is set.
type ReportResult struct {
	Outcome store.Outcome // Taken or Again
	Err     error         // what is wrong with it; Problems takes it apart
}

// ReportSource is the file that reports are read from.
type ReportSource struct {
	Path string
	Data []byte
}

// ImportReports takes the rows of a sheet in, which hold what owners reported before claims could be filed. All rows that are
// right are taken in one transaction, so that a file is one import. With dry it says what would become of them, and takes none.
// ErrFile: none could be looked at.
func (d *Desk) ImportReports(
	ctx context.Context, sheet [][]string, from ReportSource, by store.Actor, dry bool,
) (*ImportedReports, error) {
	name := filepath.Base(from.Path)
	if err := resident.Refuse("its name", name, true); err != nil { // the record of the import has it
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if len(sheet) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFile)
	}
	read, err := reportTable.heading(sheet[0])
	if err != nil {
		return nil, err
	}
	back := [][]string{append(reportTable.without(sheet[0], read), outcomeColumn, errorColumn)}
	var rows []reportedRow
	for _, cells := range sheet[1:] {
		if emptyRow(cells) {
			continue
		}
		back = append(back, reportTable.without(cells, read))
		r, err := reportTable.read(cells, read)
		if err == nil {
			rows = append(rows, d.checked(r))
		} else {
			rows = append(rows, reportedRow{err: err})
		}
	}
	sum := sha256.Sum256(from.Data)
	out, err := d.takeReports(ctx, rows, store.ReportFile{Name: name, Digest: hex.EncodeToString(sum[:])}, by, dry)
	if err != nil {
		return nil, err
	}
	for i, r := range out.Results {
		back[i+1] = append(back[i+1], string(r.Outcome), said(r.Err))
	}
	out.Sheet = back
	return out, nil
}

// ReportForm is an earlier report as other systems send it. What is not known is left out.
type ReportForm struct {
	Number         string      `json:"number"`
	BusinessNumber string      `json:"business_number"`
	Reported       string      `json:"reported"` // RFC 3339, or a day of the programme's zone
	ReportedLoss   *claims.Won `json:"reported_loss"`
	BusinessName   string      `json:"business_name,omitempty"`
	Name           string      `json:"name,omitempty"`
	Phone          string      `json:"phone,omitempty"`
	Email          string      `json:"email,omitempty"`
	Language       string      `json:"language,omitempty"`
}

// row is what a file says in the same words.
func (f *ReportForm) row() *reported {
	out := &reported{number: f.Number, unit: f.BusinessNumber, at: f.Reported, by: store.Reporter{
		Business: f.BusinessName, Name: f.Name, Phone: f.Phone, Email: f.Email, Language: f.Language,
	}}
	if f.ReportedLoss != nil {
		out.loss = strconv.FormatInt(int64(*f.ReportedLoss), 10)
	}
	return out
}

// ReportsByAPI is what the record of an import calls the file of reports that came by the API.
const ReportsByAPI = "api"

// TakeReports takes reports in that came as JSON, each a ReportForm, by the same rules and with the same results as rows of a
// file. Request is all of it, whose hash the record of the import has.
func (d *Desk) TakeReports(ctx context.Context, request []byte, list []json.RawMessage, by store.Actor, dry bool,
) (*ImportedReports, error) {
	rows := make([]reportedRow, len(list))
	for i, text := range list {
		form, err := ParseReport(text)
		if form != nil {
			rows[i] = d.checked(form.row())
		}
		if err != nil { // what of it could be read may be wrong, too, and all is said at once
			rows[i].err = Also(err, rows[i].err)
		}
	}
	sum := sha256.Sum256(request)
	return d.takeReports(ctx, rows, store.ReportFile{Name: ReportsByAPI, Digest: hex.EncodeToString(sum[:])}, by, dry)
}

// reportedRow is a row that is right, or what is wrong with it.
type reportedRow struct {
	store.ReportRow

	err error
}

func (d *Desk) checked(r *reported) (out reportedRow) {
	out.ReportRow, out.err = r.check(d.now(), d.Programme.Zone)
	return out
}

// takeReports takes those rows in that are right.
func (d *Desk) takeReports(ctx context.Context, list []reportedRow, file store.ReportFile, by store.Actor, dry bool,
) (*ImportedReports, error) {
	out := &ImportedReports{DryRun: dry, Results: make([]ReportResult, len(list))}
	out.Rows = len(list)
	var rows []store.ReportRow
	var units []string
	var at []int // in list
	for i := range list {
		if list[i].err != nil {
			out.ended(i, "", list[i].err)
			continue
		}
		rows, at, units = append(rows, list[i].ReportRow), append(at, i), append(units, string(list[i].Unit))
	}
	file.Rows, file.Refused = out.Rows, out.Wrong
	results, err := d.Store.ImportReports(ctx, d.Programme.Name, rows, file, by, dry)
	if err != nil {
		return nil, err
	}
	for i := range results {
		out.ended(at[i], results[i].Outcome, d.differs(&rows[i], &results[i]))
	}
	out.Linked, err = d.Store.CountClaimed(ctx, d.Programme.Name, units)
	out.Status = StatusOf(out.Wrong, out.Rows)
	return out, err
}

// ended notes what became of a row.
func (i *ImportedReports) ended(row int, outcome store.Outcome, err error) {
	switch {
	case err != nil:
		i.Wrong++
		outcome = ""
	case outcome == store.Again:
		i.Again++
	default:
		i.Taken++
	}
	i.Results[row] = ReportResult{outcome, err}
}

// differs says what a row has, and what is there under its number; nil: it is the same, or new.
func (d *Desk) differs(row *store.ReportRow, got *store.ReportTaken) error {
	if got.Outcome != store.Different {
		return nil
	}
	says := func(r *store.Reported) string {
		return fmt.Sprintf("business %s, reported %s, %s won", r.Unit, r.At.In(d.Programme.Zone).Format(time.RFC3339),
			text.Number(int64(r.Loss)))
	}
	where, who := "is there already", ""
	if got.Before.Import == 0 {
		where = "is in this file twice"
	}
	if got.Contact {
		who = ", and who reported is somebody else"
	}
	return fmt.Errorf("number: %s %s: first %s, here %s%s: mend this row, or give it a number of its own", row.Number, where,
		says(&got.Before.Reported), says(&row.Reported), who)
}
