//go:build integration

package ledger

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// dumped is a Redis with what an older granter left in it.
func dumped(t *testing.T, revision string) redis.UniversalClient {
	t.Helper()
	server := devtest.StartRedis(t)
	server.Stop()
	dump, err := os.ReadFile(filepath.Join("testdata", revision+".rdb"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(server.Dir, "dump.rdb"), dump, 0o600))
	server.Restart()
	client, err := Connect(Options{Addrs: []string{server.Addr}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// A finished campaign of 300,000 users as granter 0c10d32 left it in Redis: it is proven, its checkpoint, which does not
// say what it counts in, is adopted, and it is continued.
func TestALedgerOf0c10d32IsContinued(t *testing.T) {
	t.Parallel()
	client := dumped(t, "0c10d32")
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

// A finished campaign of 3,000 UUIDs as granter c9cd6fb, which granted the first ones, left it: by a canary, a run that was
// killed, and one that finished. Each user is looked up, it is proven, and continued where it was: nobody is granted again.
func TestALedgerOfUUIDsOfC9cd6fbIsContinued(t *testing.T) {
	t.Parallel()
	client := dumped(t, "c9cd6fb")
	spec, err := client.HGetAll(t.Context(), "granter:{old-uuids}:spec").Result()
	require.NoError(t, err)
	c := &grant.Campaign{
		Name: "old-uuids", Hash: spec["hash"], Canonical: []byte(spec["canonical"]), Population: 3000,
		Input: grant.Input{IDs: grant.IDsUUID},
	}
	l, err := open(client, c, 7, Config{})
	require.NoError(t, err)
	var users []grant.UserID
	for i := range 3001 { // the last one was not granted
		s := sha256.Sum256(fmt.Appendf(nil, "old user %d", i))
		users = append(users, grant.TextID(fmt.Sprintf("%x-%x-%x-%x-%x", s[:4], s[4:6], s[6:8], s[8:10], s[10:16])))
	}
	granted := func(n int) {
		found, err := l.LookupAll(t.Context(), users)
		require.NoError(t, err)
		for i, g := range found {
			require.Equal(t, i < n, g != nil, users[i])
		}
		proof, err := l.Prove(t.Context())
		require.NoError(t, err)
		require.True(t, proof.Holds(), "%+v", proof)
		require.EqualValues(t, n, proof.Granted)
	}
	granted(3000)

	found, err := l.Checkpoints(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Offsets{0: 780, 1: 780, 2: 750, 3: 780}, found.Next)
	require.NotEmpty(t, found.Topic)
	_, err = l.Begin(t.Context(), found.Topic)
	require.NoError(t, err)
	require.NoError(t, l.EnsureSpec(t.Context(), c))
	pool := opaque.New(opaque.Config{Config: sharding.Config{Shards: 2}, Layout: LayoutOf(c)}, l.Grants, map[int]int64{0: 780})
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(t.Context()) }()
	for i, user := range users {
		member, fault := l.Store.form.Member(nil, []byte(user.String()))
		require.Empty(t, fault)
		require.NoError(t, pool.Lane(0).AddMember(t.Context(), int64(780+i), opaque.Hash(member), member))
	}
	marked := pool.Lane(0).Mark(t.Context(), int64(780+len(users)), true)
	pool.Close()
	require.NoError(t, <-ended)
	require.NoError(t, marked)
	positions, err := pool.Positions()
	require.NoError(t, err)
	require.EqualValues(t, 1, positions[0].Granted)
	granted(3001)
	require.Equal(t, "3", client.HGet(t.Context(), "granter:{old-uuids}:format", "version").Val())
}
