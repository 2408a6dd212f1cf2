package acts

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// maxRows bounds a file: a row takes about 200 bytes until the report is written.
const maxRows = 5_000_000

// The columns of a file. Others are given back as they are.
const (
	columnUser   = "user"
	columnTo     = "to"
	columnReason = "reason"
)

// File is a CSV file of users: with a header that has the column user and may have to and reason, or without one, when the
// first column is the user. Separators are commas; lines may end with CRLF; it is UTF-8, or what a byte order mark in front says.
type File struct {
	Header []string // nil: there is none
	Rows   []Row
}

// ReadFile reads a file of users of a topic. A row that cannot be read is kept with its error; what is no CSV is an error.
func ReadFile(r io.Reader, in *grant.Input) (*File, error) {
	f := &File{}
	header, err := ScanFile(r, in, func(line int, row Row) error {
		row.Line = line
		f.Rows = append(f.Rows, row)
		return nil
	})
	if err == nil && len(f.Rows) == 0 {
		err = errors.New("the file names no user")
	}
	if f.Header = header; err != nil {
		return nil, err
	}
	return f, nil
}

var errNoText = errors.New("the file is no text: save it as CSV (UTF-8), or as one ID a line")

// opened is the text of a file, in UTF-8 and without a byte order mark. Spreadsheets, archives and images have bytes of zero
// near their beginning, and texts have none.
func opened(r io.Reader) (io.Reader, error) {
	text := bufio.NewReader(transform.NewReader(r, unicode.BOMOverride(transform.Nop)))
	first, err := text.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.IndexByte(first, 0) >= 0 {
		return nil, errNoText
	}
	return text, nil
}

// ScanFile is ReadFile row by row, with the line on which each begins. It returns the header, nil if there is none.
func ScanFile(r io.Reader, in *grant.Input, each func(line int, row Row) error) (header []string, err error) {
	form := userid.FormOf(in)
	text, err := opened(r)
	if err != nil {
		return nil, err
	}
	c := csv.NewReader(text)
	c.FieldsPerRecord, c.TrimLeadingSpace = -1, true
	columns := map[string]int{columnUser: 0}
	for rows, first := 0, true; ; first = false {
		fields, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return header, nil
		case err != nil:
			return header, err
		case first && slices.Contains(lowered(fields), columnUser):
			header = fields
			columns = map[string]int{}
			for i, name := range lowered(fields) {
				columns[name] = i
			}
			continue
		}
		if rows++; rows > maxRows {
			return header, fmt.Errorf("the file has more than %d rows: split it", maxRows)
		}
		line, _ := c.FieldPos(0)
		if err := each(line, readRow(fields, columns, &form)); err != nil {
			return header, err
		}
	}
}

func lowered(fields []string) []string {
	out := make([]string, len(fields))
	for i, field := range fields {
		out[i] = strings.ToLower(strings.TrimSpace(field))
	}
	return out
}

func readRow(fields []string, columns map[string]int, form *userid.Form) Row {
	row := Row{Fields: fields}
	cell := func(name string, spaced bool) string {
		i, ok := columns[name]
		switch {
		case !ok || i >= len(fields):
			return ""
		case spaced:
			return fields[i]
		}
		return strings.TrimSpace(fields[i])
	}
	row.User, row.Err = form.Parse(cell(columnUser, form.Spaced()))
	if to := cell(columnTo, form.Spaced()); to != "" && row.Err == nil {
		id, err := form.Parse(to)
		row.To, row.Err = &id, err
	}
	if row.Reason = cell(columnReason, false); row.Reason != "" && row.Err == nil {
		if row.Err = grant.ValidateWhy(row.Reason); !utf8.ValidString(row.Reason) {
			row.Err = errors.New("the reason is not UTF-8: save the file as CSV (UTF-8)")
		}
	}
	return row
}

// Write gives the file back, with two columns more: what became of each row, and why. What a spreadsheet would take for a
// formula gets an apostrophe in front.
func (f *File) Write(w io.Writer, results []Result) error {
	c := csv.NewWriter(w)
	line := func(fields []string, more ...string) error {
		out := make([]string, 0, len(fields)+len(more))
		for _, field := range append(slices.Clone(fields), more...) {
			out = append(out, text.Cell(field))
		}
		return c.Write(out)
	}
	if f.Header != nil {
		if err := line(f.Header, "result", "why"); err != nil {
			return err
		}
	}
	for i := range f.Rows {
		if err := line(f.Rows[i].Fields, string(results[i].Status), results[i].Why); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// RequestOf names the request that a file asks for, by its digest and what else is said: so whatever stopped it, the same file
// with the same words goes on with it, on the page as on the command line.
func RequestOf(a *grant.Act, effective, until string, digest []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q %q %q %q %q %x", a.Kind, a.Reason, string(a.Revocation), effective, until, a.Item, digest)
	return "file-" + hex.EncodeToString(h.Sum(nil)[:12])
}
