package payout

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// mostWrong is how many wrong lines of a statement are named.
const mostWrong = 100

// ReadStatement reads a bank's statement. Every line that is wrong is named, and then none is returned: a statement that is half
// understood says nothing of money. One that the shape gives a last line is not whole without it, and its count and sum.
func (s *Shape) ReadStatement(r io.Reader) ([]store.Answer, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	in := &statement{shape: s}
	if s.Fixed {
		err = in.fixed(data)
	} else {
		err = in.csv(data)
	}
	if err = errors.Join(err, errors.Join(in.errs...)); err != nil {
		return nil, err
	}
	return in.out, nil
}

// statement is one that is read.
type statement struct {
	shape *Shape
	out   []store.Answer
	sum   claims.Won
	errs  []error
}

func (in *statement) wrong(line int, err error) {
	if err != nil {
		in.errs = append(in.errs, fmt.Errorf("line %d: %w", line, err))
	}
}

// csv reads a statement whose columns have names, in any order.
func (in *statement) csv(data []byte) error {
	plain, err := in.shape.decode(data)
	if err != nil {
		return err
	}
	rows := csv.NewReader(strings.NewReader(strings.TrimPrefix(plain, "\ufeff")))
	head, err := rows.Read()
	if err != nil {
		return fmt.Errorf("the statement's first line names its columns: %w", err)
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.ToLower(strings.TrimSpace(name))] = i
	}
	fields := in.shape.Statement.Each
	for i := range fields {
		if _, ok := column[strings.ToLower(fields[i].Name)]; !ok && !fields[i].Optional {
			return fmt.Errorf("the statement has no column %s: it has %s", fields[i].Name, strings.Join(head, ", "))
		}
	}
	whole := len(in.shape.Statement.Last) == 0
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return in.ended(whole)
		}
		if err != nil {
			return err
		}
		line, _ := rows.FieldPos(0)
		switch {
		case whole && len(in.shape.Statement.Last) > 0:
			in.wrong(line, errors.New("stands behind the last one, which has count and sum"))
		case len(in.shape.Statement.Last) == len(row) && in.isLast(row):
			whole = true
			in.wrong(line, in.total(in.shape.Statement.Last, row))
		default:
			cells := make([]string, len(fields))
			for i := range fields {
				if c, ok := column[strings.ToLower(fields[i].Name)]; ok {
					cells[i] = row[c]
				}
			}
			in.wrong(line, in.answer(fields, cells))
		}
		if len(in.errs) > mostWrong {
			return nil
		}
	}
}

// isLast reports whether a row has what is always in the last one.
func (in *statement) isLast(row []string) bool {
	found := false
	for i := range in.shape.Statement.Last {
		if f := &in.shape.Statement.Last[i]; f.Is == Literal && f.Text != "" {
			if strings.TrimSpace(row[i]) != f.Text {
				return false
			}
			found = true
		}
	}
	return found
}

func (in *statement) ended(whole bool) error {
	if !whole {
		return errors.New("the statement has no last line with count and sum: it was cut off; get it from the bank again")
	}
	return nil
}

// fixed reads a statement of lines of fixed width.
func (in *statement) fixed(data []byte) error {
	lines := bytes.Split(bytes.TrimRight(data, "\r\n\x1a"), []byte("\n")) // 0x1a: how old systems end a file
	width := bytesOf(in.shape.Statement.Each)
	kinds := &in.shape.Statement
	for i, line := range lines {
		line = bytes.TrimSuffix(line, []byte("\r"))
		fields := kinds.Each
		switch {
		case i == 0 && len(kinds.First) > 0:
			fields = kinds.First
		case i == len(lines)-1 && len(kinds.Last) > 0:
			fields = kinds.Last
		}
		if len(line) != width {
			in.wrong(i+1, fmt.Errorf("has %d bytes, and the shape %d: it was cut off or changed, or is of another bank",
				len(line), width))
		} else if cells, err := in.cut(fields, line); err != nil {
			in.wrong(i+1, err)
		} else if i == 0 && len(kinds.First) > 0 || i == len(lines)-1 && len(kinds.Last) > 0 {
			in.wrong(i+1, in.total(fields, cells))
		} else {
			in.wrong(i+1, in.answer(fields, cells))
		}
		if len(in.errs) > mostWrong {
			return nil
		}
	}
	if len(kinds.First) > 0 && len(kinds.Last) > 0 && len(lines) < 2 {
		return in.ended(false)
	}
	return nil
}

// cut cuts a fixed line into its fields, and sees to what must always be there.
func (in *statement) cut(fields []Field, line []byte) ([]string, error) {
	out := make([]string, len(fields))
	for i := range fields {
		f := &fields[i]
		part := line[:f.Width]
		line = line[f.Width:]
		if f.Is == Skip {
			continue
		}
		cell, err := in.shape.decode(part)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Is, err)
		}
		out[i] = strings.TrimSpace(cell)
		if f.Is == Literal && out[i] != f.Text {
			return nil, fmt.Errorf("has %.40q where the shape says %q: a line is missing, or the file is of another form",
				out[i], f.Text)
		}
	}
	return out, nil
}

// total holds count and sum of a line against what was read.
func (in *statement) total(fields []Field, cells []string) error {
	for i := range fields {
		if fields[i].Is != Count && fields[i].Is != Sum {
			continue
		}
		want := int64(len(in.out))
		if fields[i].Is == Sum {
			want = int64(in.sum)
		}
		got, err := strconv.ParseInt(strings.TrimSpace(cells[i]), 10, 64)
		if len(in.errs) == 0 && (err != nil || got != want) {
			return fmt.Errorf("says %s %.40q, and the lines come to %d: the statement is not whole; get it from the bank again",
				fields[i].Is, cells[i], want)
		}
	}
	return nil
}

// answer takes an answer from a line.
func (in *statement) answer(fields []Field, cells []string) error {
	cell := func(part Part) string {
		if i := slices.IndexFunc(fields, func(f Field) bool { return f.Is == part }); i >= 0 {
			return strings.TrimSpace(cells[i])
		}
		return ""
	}
	a := store.Answer{Payment: cell(Payment), Why: cell(Reason)}
	for i := range fields {
		if fields[i].Is == Reference { // several make one together, such as a day and a number
			a.ID = strings.Trim(a.ID+"-"+strings.TrimSpace(cells[i]), "-")
		}
	}
	means, why, err := in.shape.status(cell(StatusOf))
	if err != nil {
		return err
	}
	a.Status = means
	if a.Why == "" {
		a.Why = why
	}
	amount, err := strconv.ParseInt(cell(Amount), 10, 64)
	if err != nil {
		return fmt.Errorf("amount %.40q: want whole won", cell(Amount))
	}
	a.Amount = claims.Won(amount)
	if sending := cell(Sending); sending != "" {
		if a.Sending, err = strconv.Atoi(sending); err != nil {
			return fmt.Errorf("sending %.40q: want the number that the order had, or nothing", sending)
		}
	}
	if err := check(&a); err != nil {
		return err
	}
	in.out = append(in.out, a)
	in.sum += a.Amount
	return nil
}
