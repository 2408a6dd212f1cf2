package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// chunk is how many rows one statement has: enough to make a round trip cheap, and few kinds of statement to prepare.
const chunk = 100

// rows is a statement that ends in a list of rows, such as INSERT … VALUES, in statements of at most chunk rows.
type rows struct {
	head, tail string
	columns    int
	casts      []string // of the columns, where the database cannot know their types
	args       []any
}

func newRows(head, tail string, columns int) *rows {
	return &rows{head: head, tail: tail, columns: columns}
}

func (r *rows) add(values ...any) { r.args = append(r.args, values...) }

// exec sends all rows.
func (r *rows) exec(ctx context.Context, tx *sql.Tx) error {
	for args := r.args; len(args) > 0; {
		n := min(len(args), chunk*r.columns)
		if _, err := tx.ExecContext(ctx, r.text(n/r.columns), args[:n]...); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

func (r *rows) text(n int) string {
	lines := make([]string, n)
	for i := range lines {
		cells := make([]string, r.columns)
		for c := range cells {
			cells[c] = "$" + strconv.Itoa(i*r.columns+c+1)
			if r.casts != nil {
				cells[c] = "CAST(" + cells[c] + " AS " + r.casts[c] + ")"
			}
		}
		lines[i] = "(" + strings.Join(cells, ", ") + ")"
	}
	return r.head + " " + strings.Join(lines, ", ") + " " + r.tail
}

// list is ($1, $2, …) for n arguments from the given one on.
func list(from, n int) string {
	cells := make([]string, n)
	for i := range cells {
		cells[i] = "$" + strconv.Itoa(from+i)
	}
	return "(" + strings.Join(cells, ", ") + ")"
}
