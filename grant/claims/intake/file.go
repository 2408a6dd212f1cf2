package intake

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// MaxFile is the largest file that is imported, in bytes: some 100,000 claims.
const MaxFile = 64 << 20

// Status is what became of a file, or of claims that were sent together, as a whole.
type Status string

// The statuses.
const (
	Success Status = "SUCCESS"
	Partial Status = "PARTIAL"
	Failed  Status = "FAILED"
)

// Imported is what became of a file.
type Imported struct {
	Status Status `json:"status"`
	Rows   int    `json:"rows"`
	Taken  int    `json:"taken"`
	Again  int    `json:"again"` // were there already, the same
	Wrong  int    `json:"wrong"`

	Sheet [][]string `json:"-"` // the file again, with two columns more: the claim, and what is wrong
}

// formTable reads the rows of a file of claims.
var formTable = table[Form]{
	columns: columns, required: []string{"business_number", "account"}, added: []string{resultColumn, errorColumn},
}

// columns reads the cells of a file into a form. The second name is what Korean files call it.
var columns = []column[Form]{
	{"id", "접수번호", func(f *Form, c string) error { f.ID = c; return nil }},
	{"business_number", "사업자등록번호", func(f *Form, c string) error { f.BusinessNumber = c; return nil }},
	{"business_name", "상호", func(f *Form, c string) error { f.BusinessName = c; return nil }},
	{"representative", "대표자", func(f *Form, c string) error { f.Representative = c; return nil }},
	{"industry", "업종", func(f *Form, c string) error { f.Industry = c; return nil }},
	{"opened", "개업일", func(f *Form, c string) error { f.Opened = day(c); return nil }},
	{"closed", "폐업일", func(f *Form, c string) error { f.Closed = day(c); return nil }},
	{"outage_sales", "장애기간매출", func(f *Form, c string) error { return wonInto(&f.OutageSales, c) }},
	{"week_sales", "주간매출", func(f *Form, c string) error {
		for _, word := range strings.FieldsFunc(c, func(r rune) bool { return r == ';' || r == ' ' || r == '/' }) {
			w, err := won(word)
			if err != nil {
				return err
			}
			f.WeekSales = append(f.WeekSales, w)
		}
		return nil
	}},
	{"reported_loss", "신고손실", func(f *Form, c string) error { return wonInto(&f.ReportedLoss, c) }},
	{"own_profit_rate", "자체이익률", func(f *Form, c string) error {
		if c == "" {
			return nil
		}
		r, ok := new(big.Rat).SetString(c)
		if !ok || len(c) > 20 {
			return errors.New("write a fraction, such as 0.15 or 3/20")
		}
		f.OwnProfitRate = r
		return nil
	}},
	{"alternative_available", "대체서비스", func(f *Form, c string) error {
		switch strings.ToLower(c) {
		case "", "no", "false", "0", "아니오":
		case "yes", "true", "1", "예":
			f.AlternativeAvailable = true
		default:
			return errors.New("write yes or no")
		}
		return nil
	}},
	{"phone", "전화번호", func(f *Form, c string) error { f.Phone = c; return nil }},
	{"email", "이메일", func(f *Form, c string) error { f.Email = c; return nil }},
	{"address", "주소", func(f *Form, c string) error { f.Address = c; return nil }},
	{"bank", "은행코드", func(f *Form, c string) error { f.Bank = c; return nil }},
	{"account", "계좌번호", func(f *Form, c string) error { f.Account = c; return nil }},
	{"holder", "예금주", func(f *Form, c string) error { f.Holder = c; return nil }},
	{"language", "언어", func(f *Form, c string) error { f.Language = c; return nil }},
	{"user", "사용자ID", func(f *Form, c string) error { f.User = c; return nil }},
	{"received", "접수일시", func(f *Form, c string) error {
		if c == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339, c)
		if err != nil {
			return errors.New("write a time with its zone, such as 2022-10-20T09:00:00+09:00")
		}
		f.Received = &at
		return nil
	}},
}

const (
	resultColumn = "granter_claim"
	errorColumn  = "granter_error"
)

// day reads a day, also one that a spreadsheet has made a moment of.
func day(cell string) claims.Date {
	day, _, _ := strings.Cut(cell, "T00:00:00")
	return claims.Date(day)
}

// wonInto reads an amount; an empty cell says none.
func wonInto(to **claims.Won, cell string) error {
	if cell == "" {
		return nil
	}
	w, err := won(cell)
	*to = &w
	return err
}

// won reads an amount as people write it: 1,200,000.
func won(cell string) (claims.Won, error) {
	n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSuffix(cell, "원"), ",", ""), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is no amount: write whole won, such as 1200000", cell)
	}
	return claims.Won(n), nil
}

// ErrFile means that a file as a whole cannot be read: none of it was taken.
var ErrFile = errors.New("the file cannot be imported")

// ReadCSV reads a file of comma-separated values: UTF-8, or what Korean spreadsheets write (CP949).
func ReadCSV(data []byte) ([][]string, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		decoded, err := korean.EUCKR.NewDecoder().Bytes(data)
		if err != nil {
			return nil, fmt.Errorf("%w: it is neither UTF-8 nor CP949: %w", ErrFile, err)
		}
		data = decoded
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	sheet, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return sheet, nil
}

// WriteCSV writes a sheet, such that no spreadsheet takes a cell for a formula.
func WriteCSV(w io.Writer, sheet [][]string) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil { // by which Excel knows UTF-8
		return err
	}
	out := csv.NewWriter(w)
	for _, row := range sheet {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = text.Cell(cell)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// plain undoes text.Cell, and what people put around a cell.
func plain(cell string) string {
	cell = strings.TrimSpace(cell)
	if inner, ok := strings.CutPrefix(cell, "'"); ok && text.Cell(inner) == cell {
		return inner
	}
	return cell
}

// batch is how many claims are stored in one transaction: enough to spread the cost of a commit, few enough that others wait
// milliseconds.
const batch = 500

// Import takes the rows of a sheet in, whose first row names the columns. Each row is taken or not by itself; ErrFile: none could
// be looked at. On another error some may be stored; importing the file again goes on.
func (d *Desk) Import(ctx context.Context, sheet [][]string, from Channel) (*Imported, error) {
	if len(sheet) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFile)
	}
	read, err := formTable.heading(sheet[0])
	if err != nil {
		return nil, err
	}
	out := &Imported{Sheet: [][]string{append(formTable.without(sheet[0], read), resultColumn, errorColumn)}}
	for part := range slices.Chunk(sheet[1:], batch) {
		if err := d.importPart(ctx, part, read, from, out); err != nil {
			return out, err
		}
	}
	out.Status = StatusOf(out.Wrong, out.Rows)
	return out, nil
}

// StatusOf is what became of so many claims together, of which some are wrong.
func StatusOf(wrong, all int) Status {
	switch {
	case wrong == 0:
		return Success
	case wrong < all:
		return Partial
	default:
		return Failed
	}
}

func (d *Desk) importPart(ctx context.Context, part [][]string, read []int, from Channel, out *Imported) error {
	var forms []*Form
	var at []int // in out.Sheet
	for _, row := range part {
		if emptyRow(row) {
			continue
		}
		out.Rows++
		out.Sheet = append(out.Sheet, formTable.without(row, read))
		f, err := formTable.read(row, read)
		if err != nil {
			out.end(len(out.Sheet)-1, &Result{Err: err})
			continue
		}
		forms, at = append(forms, f), append(at, len(out.Sheet)-1)
	}
	results, err := d.Take(ctx, forms, from)
	if err != nil {
		return err
	}
	for i := range results {
		out.end(at[i], &results[i])
	}
	return nil
}

// end ends a row of a sheet with what became of it.
func (i *Imported) end(row int, r *Result) {
	claim := r.Claim
	switch {
	case !r.Taken():
		i.Wrong++
		claim = ""
	case r.Outcome == store.Again:
		i.Again++
	default:
		i.Taken++
	}
	i.Sheet[row] = append(i.Sheet[row], claim, said(r.Err))
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
