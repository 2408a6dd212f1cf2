package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/granter/granter/grant/claims"
)

// ErrorKind is what kind of thing went wrong when the database was asked.
type ErrorKind string

// The kinds of errors. The first four are refusals that whoever asked is told about, and nothing is wrong with the database.
const (
	ErrorConflict    ErrorKind = "conflict"    // somebody else was first
	ErrorIllegal     ErrorKind = "illegal"     // a step that is not possible
	ErrorFrozen      ErrorKind = "frozen"      // nothing is decided or paid at the moment
	ErrorNoBudget    ErrorKind = "budget"      // more than is left of it
	ErrorBusy        ErrorKind = "busy"        // it waited for other writers for too long
	ErrorUnreachable ErrorKind = "unreachable" // the database does not answer
	ErrorFull        ErrorKind = "full"        // the database has no room, or its disk fails
	ErrorRefused     ErrorKind = "refused"     // a constraint: the database was asked for what the program must not do
	ErrorFiles       ErrorKind = "files"       // the folder of documents has no room, or fails
	ErrorOther       ErrorKind = "other"
)

// ErrorKinds are all of them.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{
		ErrorConflict, ErrorIllegal, ErrorFrozen, ErrorNoBudget, ErrorBusy, ErrorUnreachable, ErrorFull, ErrorRefused,
		ErrorFiles, ErrorOther,
	}
}

// Failed notes an error of what is kept beside the database, such as a FilesError.
func (s *Store) Failed(err error) { s.db.failed(err) }

// FilesError means that the folder of documents could not be written or read. Nothing was kept.
type FilesError struct{ Err error }

func (e *FilesError) Error() string { return e.Err.Error() }

func (e *FilesError) Unwrap() error { return e.Err }

// Passing reports whether an error is one of those that end without anybody changing what was asked: the database or the folder
// of documents does not answer, has no room, or is busy. Who asked is told to try again.
func Passing(err error) bool {
	switch KindOf(err) {
	case ErrorBusy, ErrorUnreachable, ErrorFull, ErrorFiles:
		return true
	default:
		return false
	}
}

// Undone reports whether an error of a transaction means that it did not happen. Otherwise it may have: its answer was lost.
func Undone(err error) bool {
	switch KindOf(err) {
	case ErrorConflict, ErrorIllegal, ErrorFrozen, ErrorNoBudget, ErrorRefused, ErrorBusy:
		return !errors.Is(err, context.DeadlineExceeded)
	default:
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff != sqlite3.SQLITE_IOERR
	}
	_, said := errors.AsType[*pgconn.PgError](err)
	return said || errors.Is(err, ErrFull) || errors.Is(err, ErrNotFound)
}

// OnError has somebody told of the kind of each error; before anybody uses the store. It is called concurrently.
func (s *Store) OnError(tell func(ErrorKind)) { s.db.tell = tell }

// database tells of its errors, whoever asks it.
type database struct {
	*sql.DB

	tell func(ErrorKind)
}

func (d *database) failed(err error) {
	if kind := KindOf(err); kind != "" && d.tell != nil {
		d.tell(kind)
	}
}

func (d *database) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := d.DB.QueryContext(ctx, query, args...)
	d.failed(err)
	return rows, err
}

func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := d.DB.QueryRowContext(ctx, query, args...)
	d.failed(row.Err())
	return row
}

func (d *database) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	res, err := d.DB.ExecContext(ctx, query, args...)
	d.failed(err)
	return res, err
}

// KindOf is what kind of error it is; empty: none, or nothing that went wrong.
func KindOf(err error) ErrorKind {
	if _, ok := errors.AsType[*FilesError](err); ok {
		return ErrorFiles
	}
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, ErrNotFound), errors.Is(err, sql.ErrNoRows),
		errors.Is(err, ErrFull), errors.Is(err, ErrTwice):
		return ""
	case errors.Is(err, claims.ErrIllegal), errors.Is(err, claims.ErrNoExtension):
		return ErrorIllegal
	case errors.Is(err, ErrBudget):
		return ErrorNoBudget
	}
	if _, ok := errors.AsType[*ConflictError](err); ok {
		return ErrorConflict
	}
	if _, ok := errors.AsType[*FrozenError](err); ok {
		return ErrorFrozen
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return ofPostgres(e.Code)
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return ofSQLite(e.Code())
	}
	if _, ok := errors.AsType[net.Error](err); ok || pgconn.SafeToRetry(err) {
		return ErrorUnreachable
	}
	for _, cut := range []error{ // in the middle of an answer
		driver.ErrBadConn, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, sql.ErrConnDone,
	} {
		if errors.Is(err, cut) {
			return ErrorUnreachable
		}
	}
	return ErrorOther
}

// ofPostgres is what a code of PostgreSQL means: its first two characters are the class.
func ofPostgres(code string) ErrorKind {
	switch {
	case strings.HasPrefix(code, "40"), code == "55P03", code == "57014": // rolled back, a lock, a time limit
		return ErrorBusy
	case strings.HasPrefix(code, "23"), code == "P0001": // a constraint, a trigger
		return ErrorRefused
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"):
		return ErrorFull
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57"):
		return ErrorUnreachable
	}
	return ErrorOther
}

func ofSQLite(code int) ErrorKind {
	switch code & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrorBusy
	case sqlite3.SQLITE_CONSTRAINT:
		return ErrorRefused
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return ErrorFull
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return ErrorUnreachable
	}
	return ErrorOther
}
