//go:build integration

package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
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
