package acts

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
// first column is the user. Separators are commas; lines may end with CRLF; a byte order mark may come first.
type File struct {
	Header []string // nil: there is none
	Rows   []Row
}

// ReadFile reads a file of users whose IDs are bounded by a topic's max_id. A row that cannot be read is kept with its error;
// what is no CSV is an error.
func ReadFile(r io.Reader, maxID uint64) (*File, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	c := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	c.FieldsPerRecord, c.TrimLeadingSpace = -1, true
	f := &File{}
	columns := map[string]int{columnUser: 0}
	for first := true; ; first = false {
		fields, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			if len(f.Rows) == 0 {
				return nil, errors.New("the file names no user")
			}
			return f, nil
		case err != nil:
			return nil, err
		case len(f.Rows) == maxRows:
			return nil, fmt.Errorf("the file has more than %d rows: split it", maxRows)
		case first && slices.Contains(lowered(fields), columnUser):
			f.Header = fields
			columns = map[string]int{}
			for i, name := range lowered(fields) {
				columns[name] = i
			}
			continue
		}
		f.Rows = append(f.Rows, readRow(fields, columns, maxID))
	}
}

func lowered(fields []string) []string {
	out := make([]string, len(fields))
	for i, field := range fields {
		out[i] = strings.ToLower(strings.TrimSpace(field))
	}
	return out
}

func readRow(fields []string, columns map[string]int, maxID uint64) Row {
	row := Row{Fields: fields}
	cell := func(name string) string {
		if i, ok := columns[name]; ok && i < len(fields) {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	row.User, row.Err = userid.Parse(cell(columnUser), maxID)
	if to := cell(columnTo); to != "" && row.Err == nil {
		id, err := userid.Parse(to, maxID)
		row.To, row.Err = &id, err
	}
	if row.Reason = cell(columnReason); row.Reason != "" && row.Err == nil {
		row.Err = grant.ValidateWhy(row.Reason)
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
