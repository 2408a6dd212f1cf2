//go:build integration

package store

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims"
)

func TestConformanceOnPostgreSQL(t *testing.T) {
	server := devtest.StartPostgres(t)
	admin := opened(t, server.URL)
	n := 0
	conformance(t, func(t *testing.T, where string) *Store {
		if where == "" {
			n++
			name := fmt.Sprintf("store_%d", n)
			_, err := admin.db.Exec("CREATE SCHEMA " + name)
			require.NoError(t, err)
			where = server.Schema(name)
		}
		return opened(t, where)
	})

	t.Run("rows that belong to nothing are refused", func(t *testing.T) {
		_, err := admin.db.Exec("CREATE SCHEMA guarded")
		require.NoError(t, err)
		guarded(t, opened(t, server.Schema("guarded")))
	})

	t.Run("several processes prepare one database at once", func(t *testing.T) {
		_, err := admin.db.Exec("CREATE SCHEMA together")
		require.NoError(t, err)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				s, err := Open(t.Context(), server.Schema("together"), "")
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Close()
			})
		}
		group.Wait()
	})

	t.Run("what was committed survives a kill", func(t *testing.T) {
		_, err := admin.db.Exec("CREATE SCHEMA killed")
		require.NoError(t, err)
		s := opened(t, server.Schema("killed"))
		list := receive(t, s, 3)
		server.Kill()
		server.Restart()
		again := opened(t, server.Schema("killed"))
		require.Equal(t, 3, sound(t, again).Claims)
		c, err := again.Get(t.Context(), list[2].ID)
		require.NoError(t, err)
		require.Equal(t, list[2].Head, c[0].Head)
	})
}

// What foreign keys said of each row PostgreSQL is asked of all rows of a statement at once.
func guarded(t *testing.T, s *Store) {
	c := receive(t, s, 2)[0]
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Check, By: Rules}}, nil))
	const entry = "INSERT INTO history SELECT '%s', %d, %s, %d, at, who, duty, '%s', '%s', '%s', '', '{}', '%s', 'x' || %d " +
		"FROM history WHERE claim = 'c-000000' AND seq = 1"
	commit := "INSERT INTO commits SELECT number + 1, 1, %d, hash, 'h' FROM head"
	next := "(SELECT MAX(number) FROM commits)"
	note := fmt.Sprintf(entry, c.ID, 3, next, 0, "checking", "note", "checking", c.Head, 1)
	for _, test := range []struct {
		want       string
		statements []string
	}{
		{"with its commit", []string{
			fmt.Sprintf(entry, c.ID, 3, "1", 9, "checking", "note", "checking", c.Head, 1),
		}},
		{"with its commit", []string{fmt.Sprintf(entry, c.ID, 3, "99", 0, "checking", "note", "checking", c.Head, 1)}},
		{"has not the entries", []string{fmt.Sprintf(commit, 2), note}},
		{"has not the entries", []string{fmt.Sprintf(commit, 1)}},
		{"of no claim", []string{
			fmt.Sprintf(commit, 1), fmt.Sprintf(entry, "c-nobody", 1, next, 0, "draft", "hand_in", "received", "", 1),
		}},
		{"no step", []string{
			fmt.Sprintf(commit, 1), fmt.Sprintf(entry, c.ID, 3, next, 0, "checking", "settle", "paid", c.Head, 1),
		}},
		{"not what history says", []string{
			fmt.Sprintf(commit, 1), note, "UPDATE claims SET seq = 3, head = 'y' WHERE id = 'c-000000'",
		}},
		{"not what history says", []string{"UPDATE claims SET state = 'approved' WHERE id = 'c-000001'"}},
		{"not what history says", []string{ // each but one of many
			"INSERT INTO claims SELECT id || unit, programme, rules, id, channel, entered_by, received_at, industry, " +
				"state, seq, head, tier, loss, owed, changed_at, due, tries FROM claims",
		}},
		{"owners of a claim that is not there", []string{"INSERT INTO owners VALUES ('c-nobody', 's', '{}')"}},
		{"marks of a claim that is not there", []string{
			"INSERT INTO marks VALUES ('k', 'd', 'c-000000'), ('k', 'd', 'c-nobody')",
		}},
		{"does not change the claim", []string{"UPDATE owners SET claim = 'c-nobody' WHERE claim = 'c-000000'"}},
		{"do not change", []string{"UPDATE marks SET claim = 'c-nobody'"}},
		{"has steps by these rules", []string{"DELETE FROM transitions WHERE action = 'check'"}},
		{"not deleted", []string{"TRUNCATE claims CASCADE"}},
	} {
		err := s.inTx(t.Context(), func(tx *sql.Tx) error {
			for _, text := range test.statements {
				if _, err := tx.ExecContext(t.Context(), text); err != nil {
					return err
				}
			}
			return nil
		})
		require.ErrorContains(t, err, test.want, test.statements)
	}
	require.NoError(t, s.inTx(t.Context(), func(tx *sql.Tx) error { // what is right is let through
		for _, text := range []string{
			fmt.Sprintf(commit, 1), note, "UPDATE claims SET seq = 3, head = 'x1' WHERE id = 'c-000000'",
		} {
			if _, err := tx.ExecContext(t.Context(), text); err != nil {
				return err
			}
		}
		return nil
	}))
}
