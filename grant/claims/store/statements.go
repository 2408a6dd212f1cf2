package store

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// statement is one of those that a transaction ends with: nobody waits for what it finds.
type statement struct {
	text string
	args []any
	rows *rows                 // instead of both
	said func(err error) error // what an error of it is told as; nil: as it is
	want int64                 // how many rows it has to change; 0: any
	less func() error          // what to say when it does not
}

// later has a statement executed when everything before it is, at the end of the transaction: then all of them take PostgreSQL
// one round trip.
func (c *commit) later(list ...statement) {
	for _, st := range list {
		if st.rows == nil || len(st.rows.args) > 0 {
			c.statements = append(c.statements, st)
		}
	}
}

// flush executes what was to be executed later.
func (c *commit) flush() error {
	list := c.statements
	c.statements = nil
	if len(list) == 0 {
		return nil
	}
	if c.store.postgres {
		return c.pipelined(list)
	}
	for i := range list {
		changed, err := list[i].exec(c.ctx, c.tx)
		if err := list[i].judge(changed, err); err != nil {
			return err
		}
	}
	return nil
}

func (st *statement) exec(ctx context.Context, tx *sql.Tx) (changed int64, err error) {
	if st.rows != nil {
		return st.rows.oneByOne(ctx, tx)
	}
	res, err := tx.ExecContext(ctx, st.text, st.args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (st *statement) judge(changed int64, err error) error {
	switch {
	case err != nil && st.said != nil:
		return st.said(err)
	case err != nil:
		return err
	case st.want > 0 && changed != st.want:
		return st.less()
	}
	return nil
}

// pipelined sends PostgreSQL all statements before it waits for what became of the first one. They belong to the transaction,
// which has the connection.
func (c *commit) pipelined(list []statement) error {
	batch := &pgx.Batch{}
	for i := range list {
		text, args := list[i].text, list[i].args
		if list[i].rows != nil {
			var err error
			if text, args, err = list[i].rows.arrays(); err != nil {
				return err
			}
		}
		batch.Queue(text, args...)
	}
	return c.conn.Raw(func(driver any) error {
		results := driver.(*stdlib.Conn).Conn().SendBatch(c.ctx, batch) //nolint:forcetypeassert // no other driver is opened
		for i := range list {
			tag, err := results.Exec()
			if err := list[i].judge(tag.RowsAffected(), err); err != nil {
				_ = results.Close() // the transaction ends with the first error
				return err
			}
		}
		return results.Close()
	})
}
