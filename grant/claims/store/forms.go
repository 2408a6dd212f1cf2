package store

import (
	"context"
	"errors"
	"time"
)

// ErrTwice means that what a form asks for was done before. Nothing was done again.
var ErrTwice = errors.New("this was done before, by the same form")

// formsFor is how long a form that was done is known: a tab may be left open over a holiday, and sent again.
const formsFor = 30 * 24 * time.Hour

type formDigest struct{}

// Once returns a context with which one commit is made for a form, by its digest: a second one fails with ErrTwice. A form that
// comes twice at the same time, to whichever process, is done once, because the digest is kept in the commit's own transaction.
func Once(ctx context.Context, digest string) context.Context {
	return context.WithValue(ctx, formDigest{}, digest)
}

// FormDone reports whether a form was done, by its digest.
func (s *Store) FormDone(ctx context.Context, digest string) (bool, error) {
	return formDone(ctx, s.db, digest)
}

func formDone(ctx context.Context, q querier, digest string) (bool, error) {
	rows, err := q.QueryContext(ctx, "SELECT 1 FROM forms WHERE digest = $1", digest)
	if err != nil {
		return false, err
	}
	found := false
	err = each(rows, func(func(...any) error) error {
		found = true
		return nil
	})
	return found, err
}

// once notes the form that a commit is made for, if it is made for one. It has the lock.
func (c *commit) once() error {
	digest, _ := c.ctx.Value(formDigest{}).(string)
	if digest == "" {
		return nil
	}
	done, err := formDone(c.ctx, c.tx, digest)
	if err == nil && done {
		err = ErrTwice
	}
	if err != nil {
		return err
	}
	if _, err := c.tx.ExecContext(c.ctx, "DELETE FROM forms WHERE at < $1", c.at.Add(-formsFor).UnixMicro()); err != nil {
		return err
	}
	_, err = c.tx.ExecContext(c.ctx, "INSERT INTO forms (digest, at) VALUES ($1, $2)", digest, c.at.UnixMicro())
	return err
}
