package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// Whoever lists or shows claims at the command line is in the access log, too.
func TestReadsAtTheCommandLineLeaveALine(t *testing.T) {
	where := filepath.Join(t.TempDir(), "claims.db")
	s, p := storetest.At(t, where)
	_, err := s.Receive(t.Context(), []store.Filing{storetest.Filing(p, 0, 400_000)}, nil)
	require.NoError(t, err)
	var whats []store.ReadWhat
	for _, args := range [][]string{{"list"}, {"show", "c-000000"}} {
		code, _, errs := ask(append(args, "--database", where)...)
		require.Zero(t, code, errs)
	}
	code, out, errs := ask("access", "--database", where, "--claim", "c-000000", "--json")
	require.Zero(t, code, errs)
	var got struct {
		Access []store.Looked `json:"access"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	for _, l := range got.Access {
		require.Equal(t, store.CommandLine, l.From)
		require.NotEmpty(t, l.By.Name)
		whats = append(whats, l.What)
	}
	require.Equal(t, []store.ReadWhat{store.ReadClaim, store.ReadList}, whats)
}
