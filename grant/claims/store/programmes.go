package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/programme"
)

// Adopt stores a programme, so that claims can be decided by it later without its file. A programme that has claims stays as it
// was when the first one was received.
func (s *Store) Adopt(ctx context.Context, source []byte) (*claims.Programme, error) {
	p, err := programme.Parse("the programme", source)
	if err != nil {
		return nil, err
	}
	return p, s.inTx(ctx, func(tx *sql.Tx) error {
		var hash string
		var has bool
		err := tx.QueryRowContext(ctx,
			"SELECT hash, EXISTS (SELECT 1 FROM claims WHERE programme = name) FROM programmes WHERE name = $1",
			p.Name).Scan(&hash, &has)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.ExecContext(ctx,
				"INSERT INTO programmes (name, hash, source, budget) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
				p.Name, p.Hash, string(source), int64(p.Budget))
			return err
		case err != nil || hash == p.Hash:
			return err
		case has:
			return fmt.Errorf("programme %s has claims already, received under other rules (%.12s, this file is %.12s): "+
				"what was promised stays; a window can be extended, and another programme needs another name", p.Name, hash,
				p.Hash)
		default:
			_, err = tx.ExecContext(ctx, "UPDATE programmes SET hash = $2, source = $3, budget = $4 WHERE name = $1",
				p.Name, p.Hash, string(source), int64(p.Budget))
			return err
		}
	})
}

// parsed keeps programmes that were read, by hash.
var parsed sync.Map

// Programme returns a programme that was adopted. An empty name is the only one there is.
func (s *Store) Programme(ctx context.Context, name string) (*claims.Programme, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT name, hash, source FROM programmes WHERE $1 = '' OR name = $1 ORDER BY name",
		name)
	if err != nil {
		return nil, err
	}
	var names []string
	var hash, source string
	if err := each(rows, func(scan func(...any) error) error {
		var n string
		err := scan(&n, &hash, &source)
		names = append(names, n)
		return err
	}); err != nil {
		return nil, err
	}
	switch {
	case len(names) == 0 && name == "":
		return nil, errors.New("the database has no programme yet: import claims with --programme FILE")
	case len(names) == 0:
		return nil, fmt.Errorf("the database has no programme %s", name)
	case len(names) > 1:
		return nil, fmt.Errorf("the database has several programmes (%v): say which by its name", names)
	}
	return parse(names[0], hash, source)
}

// parse reads a programme that was adopted.
func parse(name, hash, source string) (*claims.Programme, error) {
	if p, ok := parsed.Load(hash); ok {
		return p.(*claims.Programme), nil
	}
	p, err := programme.Parse("programme "+name, []byte(source))
	if err != nil {
		return nil, err
	}
	parsed.Store(hash, p)
	return p, nil
}
