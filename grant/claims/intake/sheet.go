package intake

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant/claims/resident"
)

// table is what the rows of a file mean: each is read into a T.
type table[T any] struct {
	columns  []column[T]
	required []string // columns that must be there
	added    []string // columns that the file has when it comes back; they are read over
}

// column reads the cells of one column. The second name is what Korean files call it.
type column[T any] struct {
	name, korean string
	read         func(to *T, cell string) error
}

// Columns of a file that are none of the table's.
const (
	unknownColumn = -1 - iota // without a name
	addedColumn               // by an earlier import
)

// heading says which column of the table each cell of a row is.
func (t *table[T]) heading(row []string) ([]int, error) {
	var errs []error
	out := make([]int, len(row))
	seen := map[int]bool{}
	for i, cell := range row {
		name := strings.ToLower(strings.ReplaceAll(plain(cell), " ", ""))
		out[i] = slices.IndexFunc(t.columns, func(c column[T]) bool {
			return name == c.name || name != "" && name == c.korean
		})
		switch {
		case slices.Contains(t.added, name):
			out[i] = addedColumn
		case out[i] < 0 && name != "":
			errs = append(errs, unsaid(fmt.Errorf("column %d: %.40q is not known", i+1, cell)))
		case out[i] >= 0 && seen[out[i]]:
			errs = append(errs, fmt.Errorf("column %d: %s is there twice", i+1, t.columns[out[i]].name))
		}
		seen[out[i]] = true
	}
	for i, c := range t.columns {
		if slices.Contains(t.required, c.name) && !seen[i] {
			errs = append(errs, fmt.Errorf("column %s (%s) is missing", c.name, c.korean))
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w: its first row names the columns (docs/claims.md lists them):\n%w", ErrFile,
			errors.Join(errs...))
	}
	return out, nil
}

// without is a row without the columns that an earlier import added, and with as many cells as the heading.
func (t *table[T]) without(row []string, read []int) []string {
	out := make([]string, 0, len(read)+2)
	for i, c := range read {
		if c == addedColumn {
			continue
		}
		cell := ""
		if i < len(row) {
			cell = plain(row[i])
		}
		out = append(out, cell)
	}
	return out
}

// read reads a row. The error joins what is wrong with each cell, and the T has the others.
func (t *table[T]) read(row []string, read []int) (*T, error) {
	to := new(T)
	var errs []error
	if len(row) > len(read) {
		errs = append(errs, fmt.Errorf("the row has %d cells, its heading %d: put quotes around a cell with a comma",
			len(row), len(read)))
	}
	for i := range min(len(row), len(read)) {
		if read[i] < 0 {
			continue
		}
		c := t.columns[read[i]]
		if err := c.read(to, plain(row[i])); err != nil {
			// What is said of a cell may be a part of it.
			errs = append(errs, cmp.Or(resident.Refuse(c.name, row[i], true), fmt.Errorf("%s: %w", c.name, err)))
		}
	}
	return to, errors.Join(errs...)
}

// emptyRow reports whether a row has nothing in it; spreadsheets have such rows at their end.
func emptyRow(row []string) bool {
	return !slices.ContainsFunc(row, func(c string) bool { return strings.TrimSpace(c) != "" })
}
