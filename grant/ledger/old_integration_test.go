//go:build integration

package ledger

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// A finished campaign of 300,000 users as granter 0c10d32 left it in Redis: it is proven, its checkpoint, which does not
// say what it counts in, is adopted, and it is continued.
func TestALedgerOf0c10d32IsContinued(t *testing.T) {
	t.Parallel()
	server := devtest.StartRedis(t)
	server.Stop()
	dump, err := os.ReadFile(filepath.Join("testdata", "0c10d32.rdb"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(server.Dir, "dump.rdb"), dump, 0o600))
	server.Restart()
	client, err := Connect(Options{Addrs: []string{server.Addr}})
	require.NoError(t, err)
	defer client.Close()
	spec, err := client.HGetAll(t.Context(), "granter:{old-dump}:spec").Result()
	require.NoError(t, err)
	c := &grant.Campaign{Name: "old-dump", Hash: spec["hash"], Canonical: []byte(spec["canonical"])}
	l, err := open(client, c, 7, Config{})
	require.NoError(t, err)
	proof, err := l.Prove(t.Context())
	require.NoError(t, err)
	require.True(t, proof.Holds(), "%+v", proof)
	require.EqualValues(t, 300_000, proof.Granted)

	found, err := l.Begin(t.Context(), aTopic)
	require.NoError(t, err)
	require.Equal(t, grant.Offsets{0: 74683, 1: 21790, 2: 96348, 3: 113479}, found.Next)
	require.NoError(t, l.EnsureSpec(t.Context(), c))
	f := &dense.Flush{Seq: 1, Deltas: []dense.Delta{delta(5, bitmap(1))}}
	require.NoError(t, l.Grant(t.Context(), f))
	require.NoError(t, l.Checkpoint(t.Context(), grant.Offsets{0: 74684}, map[int]int32{0: 3}))
	found, err = l.Checkpoints(t.Context())
	require.NoError(t, err)
	require.Equal(t, aTopic, found.Topic)
	require.Equal(t, grant.Offsets{0: 74684, 1: 21790, 2: 96348, 3: 113479}, found.Next)
	require.Equal(t, map[int]int32{0: 3}, found.Epochs)
	proof, err = l.Prove(t.Context())
	require.NoError(t, err)
	require.True(t, proof.Holds(), "%+v", proof)
	require.EqualValues(t, 300_001, proof.Granted)
	for _, user := range grant.NumberIDs(0, 299_999, 5<<16|1) { // the last one was granted just now
		_, granted, err := l.Lookup(t.Context(), user)
		require.NoError(t, err)
		require.True(t, granted, user)
	}
	require.Equal(t, "2", client.HGet(t.Context(), "granter:{old-dump}:format", "version").Val())
}
