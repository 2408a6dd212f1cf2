// Package store keeps claims in SQLite or PostgreSQL, with the same promises on both: a claim's state is what its history says;
// history is only added to and is chained by hashes; steps that package claims does not allow, a second claim of a unit, and
// more
// money than the budget are refused by the database itself; and of two people who change one claim, the second is told.
package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/granter/granter/grant/claims"
)

// Store is a database of claims. It is safe for concurrent use, by several processes too.
type Store struct {
	db       *database
	postgres bool
	now      func() time.Time
	windows  windowsRead
	chances  sync.Map // by the hash of the rules
}

// busyFor is how long a writer waits for the others, in milliseconds: they are done within a few of them.
const busyFor = "30000"

// Open opens a database, and creates its tables or brings them up to date. Where is a file, or a URL
// postgres://user@host/database;
// a password, if one is needed, is given apart.
func Open(ctx context.Context, where, password string) (*Store, error) {
	return open(ctx, where, password, "&_pragma=journal_mode(wal)")
}

// OpenMemory opens an SQLite database in memory, which is gone with the last one who has it open: for tests and simulations.
func OpenMemory(ctx context.Context, name string) (*Store, error) {
	return open(ctx, "/"+name, "", "&vfs=memdb") // the slash: shared by all its connections
}

func open(ctx context.Context, where, password, sqlite string) (*Store, error) {
	s := &Store{now: time.Now, windows: windowsRead{known: map[string]knownWindows{}}}
	s.postgres = strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
	driver := "sqlite"
	// FULL: what was said to be committed survives a power failure, also in WAL mode.
	name := "file:" + (&url.URL{Path: where}).EscapedPath() + "?_txlock=immediate&_pragma=busy_timeout(" + busyFor +
		")&_pragma=synchronous(full)&_pragma=foreign_keys(1)" + sqlite
	if s.postgres {
		u, err := url.Parse(where)
		if err != nil {
			return nil, errors.New("the database's URL cannot be read: write postgres://user@host:5432/database")
		}
		if _, has := u.User.Password(); has {
			return nil, errors.New("the database's URL holds a password, which others could read: give it apart")
		}
		if password != "" {
			u.User = url.UserPassword(u.User.Username(), password)
		}
		q := u.Query() // plans are made for what is asked: one that was made for an empty table would be kept for a full one
		q.Set("default_query_exec_mode", "cache_describe")
		u.RawQuery = q.Encode()
		driver, name = "pgx", u.String()
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		return nil, fmt.Errorf("opening the database of claims: %w", err)
	}
	s.db = &database{DB: db}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the database of claims: %w", err), db.Close())
	}
	return s, nil
}

// Ping returns whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// SetClock makes a store tell the time by another clock, for tests and demonstrations; before anybody uses it.
func (s *Store) SetClock(now func() time.Time) { s.now = now }

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

var (
	//go:embed schema/tables.sql
	tables string
	//go:embed schema/payments.sql
	payments string
	//go:embed schema/owners.sql
	ownersOwn string
	//go:embed schema/notices.sql
	noticesToo string
	//go:embed schema/topics.sql
	topics string
	//go:embed schema/freezes.sql
	freezing string
	//go:embed schema/sendings.sql
	sendings string
	//go:embed schema/records.sql
	recording string
	//go:embed schema/records_sqlite.sql
	recordingSQLite string
	//go:embed schema/records_postgres.sql
	recordingPostgres string
	//go:embed schema/secrets.sql
	secrets string
	//go:embed schema/speed.sql
	speed string
	//go:embed schema/assigned.sql
	assigned string
	//go:embed schema/purge_sqlite.sql
	purgingSQLite string
	//go:embed schema/purge_postgres.sql
	purgingPostgres string
	//go:embed schema/redacted.sql
	redacted string
	//go:embed schema/reads.sql
	reading string
	//go:embed schema/reads_sqlite.sql
	readingSQLite string
	//go:embed schema/reads_postgres.sql
	readingPostgres string
	//go:embed schema/reports.sql
	reporting string
	//go:embed schema/reports_sqlite.sql
	reportingSQLite string
	//go:embed schema/reports_postgres.sql
	reportingPostgres string
	//go:embed schema/forms.sql
	forms string
	//go:embed schema/triggers_sqlite.sql
	triggersSQLite string
	//go:embed schema/triggers_postgres.sql
	triggersPostgres string
	//go:embed schema/at_once_postgres.sql
	atOncePostgres string
)

// migrate brings the schema up to date. Several processes may do so at once: on PostgreSQL one is let in at a time, SQLite
// does that itself.
func (s *Store) migrate(ctx context.Context) error {
	dialect, triggers, added, purging := goose.DialectSQLite3, triggersSQLite, recordingSQLite, purgingSQLite
	read, reported := readingSQLite, reportingSQLite
	atOnce := "-- SQLite checks row by row, within the process"
	if s.postgres {
		dialect, triggers, added, purging = goose.DialectPostgres, triggersPostgres, recordingPostgres, purgingPostgres
		atOnce, read, reported = atOncePostgres, readingPostgres, reportingPostgres
	}
	steps := []string{
		tables + triggers, payments, ownersOwn, noticesToo, topics, freezing, sendings, recording + added, secrets, speed,
		assigned, purging, redacted, atOnce, reading + read, reporting + reported, forms,
	}
	migrations := make([]*goose.Migration, len(steps))
	for i, text := range steps {
		migrations[i] = goose.NewGoMigration(int64(i+1), &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, text)
			return err
		}}, nil)
	}
	release, err := s.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	p, err := goose.NewProvider(
		dialect,
		s.db.DB,
		nil,
		goose.WithGoMigrations(migrations...),
		goose.WithDisableGlobalRegistry(true),
	)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	return s.transitions(ctx)
}

// alone keeps other processes from preparing the same database meanwhile.
func (s *Store) alone(ctx context.Context) (release func(), err error) {
	if !s.postgres {
		return func() {}, nil
	}
	const lock = 0x6772616e746572 // "granter"
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() {
		// Without it the lock ends with the connection.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(lock))
		_ = conn.Close()
	}, nil
}

// transitions writes the legal steps into the table that history refers to. What an older program knew stays where history
// has it.
func (s *Store) transitions(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		rows := newRows("INSERT INTO transitions (from_state, action, to_state) VALUES", "ON CONFLICT DO NOTHING", 3)
		for _, t := range steps() {
			rows.add(string(t.From), string(t.Action), string(t.To))
		}
		return rows.exec(ctx, tx, s.postgres)
	})
}

// steps are the legal steps, and the entries that change no state: those are possible in each.
func steps() []claims.Transition {
	out := claims.Transitions()
	for _, state := range claims.States() {
		for _, action := range remarks {
			out = append(out, claims.Transition{From: state, Action: action, To: state})
		}
	}
	return out
}

func (s *Store) inTx(ctx context.Context, work func(*sql.Tx) error) (err error) {
	defer func() { s.db.failed(err) }()
	return transaction(ctx, s.db.BeginTx, work)
}

// transaction commits what work did, unless that failed.
func transaction(
	ctx context.Context, begin func(context.Context, *sql.TxOptions) (*sql.Tx, error), work func(*sql.Tx) error,
) error {
	tx, err := begin(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		_ = tx.Rollback() // what the work failed with is what to say
		return err
	}
	return tx.Commit()
}
