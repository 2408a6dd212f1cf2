package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// chunk is about how many claims one statement asks SQLite: enough to make it cheap, and few kinds of statement to prepare.
// PostgreSQL is asked about chunkOfArrays: there all of them are one argument, and each statement is a round trip.
const (
	chunk         = 100
	chunkOfArrays = 1000
)

// parts cuts a list into as many as one statement asks about.
func parts[T any](s *Store, list []T) iter.Seq[[]T] {
	if s.postgres {
		return slices.Chunk(list, chunkOfArrays)
	}
	return slices.Chunk(list, chunk)
}

// rows is a statement that ends in a list of rows, such as INSERT … VALUES.
type rows struct {
	head, tail string // the rows are between them: head ends with VALUES
	columns    int
	casts      []string // of the columns, where the database cannot know their types
	args       []any
}

func newRows(head, tail string, columns int) *rows {
	return &rows{head: head, tail: tail, columns: columns}
}

func (r *rows) add(values ...any) { r.args = append(r.args, values...) }

// dropLast takes back the row that was added last.
func (r *rows) dropLast() { r.args = r.args[:len(r.args)-r.columns] }

// exec sends all rows: to PostgreSQL as one array for each column, since each statement is a round trip and one of many
// parameters takes longer to parse than to execute; to SQLite one after the other.
func (r *rows) exec(ctx context.Context, tx *sql.Tx, postgres bool) error {
	if !postgres {
		_, err := r.oneByOne(ctx, tx)
		return err
	}
	if len(r.args) == 0 {
		return nil
	}
	text, arrays, err := r.arrays()
	if err == nil {
		_, err = tx.ExecContext(ctx, text, arrays...)
	}
	return err
}

// arrays is the statement of all rows for PostgreSQL, and an array for each column.
func (r *rows) arrays() (text string, arrays []any, err error) {
	arrays = make([]any, r.columns)
	types, names := make([]string, r.columns), make([]string, r.columns)
	for i := range arrays {
		values, kind := r.array(i)
		if kind == "" {
			return "", nil, fmt.Errorf("column %d of %s: %T is no type of a column", i+1, r.head, r.args[i])
		}
		arrays[i] = values
		types[i], names[i] = fmt.Sprintf("$%d::%s[]", i+1, kind), fmt.Sprintf("column%d", i+1)
	}
	columns := strings.Join(names, ", ")
	return fmt.Sprintf("%s SELECT %s FROM unnest(%s) AS r(%s) %s", strings.TrimSuffix(r.head, "VALUES"),
		columns, strings.Join(types, ", "), columns, r.tail), arrays, nil
}

// array is the column of all rows, and its type.
func (r *rows) array(column int) (values any, kind string) {
	n := len(r.args) / r.columns
	texts, numbers := make([]string, 0, n), make([]int64, 0, n)
	for i := column; i < len(r.args); i += r.columns {
		switch v := r.args[i].(type) {
		case string:
			texts = append(texts, v)
		case int64:
			numbers = append(numbers, v)
		case int:
			numbers = append(numbers, int64(v))
		}
	}
	switch n {
	case len(texts):
		return texts, "text"
	case len(numbers):
		return numbers, "bigint"
	}
	return nil, ""
}

// oneByOne sends row by row, and returns how many rows of the table that changed.
func (r *rows) oneByOne(ctx context.Context, tx *sql.Tx) (changed int64, err error) {
	if len(r.args) == 0 {
		return 0, nil
	}
	one, err := tx.PrepareContext(ctx, r.text()) //nolint:sqlclosecheck // it is, below
	if err != nil {
		return 0, err
	}
	defer one.Close() //nolint:errcheck // the transaction ends with it
	for row := range slices.Chunk(r.args, r.columns) {
		res, err := one.ExecContext(ctx, row...)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// text is the statement of one row.
func (r *rows) text() string {
	cells := make([]string, r.columns)
	for c := range cells {
		cells[c] = "$" + strconv.Itoa(c+1)
		if r.casts != nil {
			cells[c] = "CAST(" + cells[c] + " AS " + r.casts[c] + ")"
		}
	}
	return r.head + " (" + strings.Join(cells, ", ") + ") " + r.tail
}

// among is the condition that a column has one of some texts, whose first argument has the given number.
func (s *Store) among(from int, values []string) (condition string, args []any) {
	if s.postgres { // one argument: a statement of hundreds takes longer to parse than to execute
		return fmt.Sprintf("= ANY($%d::text[])", from), []any{values}
	}
	return "IN " + list(from, len(values)), texts(values)
}

// list is ($1, $2, …) for n arguments from the given one on.
func list(from, n int) string {
	cells := make([]string, n)
	for i := range cells {
		cells[i] = "$" + strconv.Itoa(from+i)
	}
	return "(" + strings.Join(cells, ", ") + ")"
}
