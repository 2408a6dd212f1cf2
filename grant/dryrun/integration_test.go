//go:build integration

package dryrun

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// What an administrator must allow the user of a dry run. The client of a cluster also asks who has which slots.
var (
	readOnly        = []any{"~granter:*", "+@read", "+@connection", "+info", "+time"}
	readOnlyCluster = append(slices.Clone(readOnly), "+cluster|slots")
)

func TestADryRunNeedsNoMoreThanToRead(t *testing.T) {
	t.Run("one Redis", func(t *testing.T) {
		dryRunAsReader(t, ledger.Options{Addrs: []string{devtest.StartRedis(t).Addr}}, readOnly)
	})
	t.Run("a cluster", func(t *testing.T) {
		dryRunAsReader(t, ledger.Options{Addrs: devtest.StartRedisCluster(t, 3, 0).Addrs, Cluster: true}, readOnlyCluster)
	})
}

func dryRunAsReader(t *testing.T, options ledger.Options, rules []any) {
	admin, err := ledger.Connect(options)
	require.NoError(t, err)
	defer admin.Close()
	c := &grant.Campaign{Name: "sorry-2022", Hash: "aa11", Canonical: []byte("spec: one\n"), StartsAt: time.Now().Add(-time.Hour)}
	full, err := ledger.Open(admin, c, ledger.Config{})
	require.NoError(t, err)
	grants := ledger.NewGrants(full, grant.NewRunID(time.Now()))
	require.NoError(t, grants.EnsureSpec(t.Context(), c))
	_, err = grants.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	f := &dense.Flush{Shard: 0, Seq: 1}
	for chunk := range uint64(30) {
		f.Deltas = append(f.Deltas, delta(3*chunk, 1, 2, 3))
	}
	require.NoError(t, grants.Grant(t.Context(), f))
	_, err = ledger.NewCoordination(full).Order(t.Context(), grant.Order{Action: grant.ActionThrottle, Throttle: 7, Who: "jiyoon", Via: "cli", Why: "a test"})
	require.NoError(t, err)

	eachMaster(t, admin, func(ctx context.Context, node *redis.Client) error {
		rules := append([]any{"acl", "setuser", "reader", "reset", "on", ">secret"}, rules...)
		return node.Do(ctx, rules...).Err()
	})
	before, wrote := digests(t, admin), writes(t, admin)

	options.Username, options.Password = "reader", "secret"
	client, err := ledger.Connect(options)
	require.NoError(t, err)
	defer client.Close()
	store, err := ledger.Open(client, c, ledger.Config{})
	require.NoError(t, err)
	coordination, reader := ledger.NewCoordination(store), ledger.NewReader(store)
	topic := &records{t: t, parts: [][]int64{{malformed}, {}}}
	for chunk := range int64(90) { // of each third one, users 1, 2 and 3 are granted already
		topic.parts[chunk%2] = append(topic.parts[chunk%2], chunk<<16|3, chunk<<16|4, chunk<<16|3)
	}
	tally, dry, err := rehearse(t.Context(), topic, c, reader, nil)
	require.NoError(t, err)
	require.Equal(t, Outcome{WouldGrant: 150, AlreadyGranted: 30, Chunks: 90, LedgerBytes: 150 + 60*1e6}, outcome(dry))
	require.Equal(t, grant.Tally{Consumed: 271, Granted: 150, Duplicate: 120, Rejected: 1}, tally)

	// What preflight and the report of a dry run ask for besides.
	facts, err := reader.Inspect(t.Context(), false)
	require.NoError(t, err)
	for _, node := range facts.Masters {
		require.Equal(t, "master", node.Role)
		require.Positive(t, node.UsedMemory)
	}
	control, _, err := coordination.Control(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 7, control.Throttle)
	totals, err := reader.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 90, totals.Granted)
	require.Positive(t, totals.Bytes)
	acts, err := coordination.History(t.Context())
	require.NoError(t, err)
	require.Len(t, acts, 1)

	require.Equal(t, before, digests(t, admin), "the data is what it was")
	require.Equal(t, wrote, writes(t, admin), "no command that can write was called")
	require.NotEmpty(t, wrote, "it would have been seen: granting was")
	require.Error(t, ledger.NewGrants(store, 1).EnsureSpec(t.Context(), c), "writing is what this user may not")
}

func eachMaster(t *testing.T, client redis.UniversalClient, fn func(context.Context, *redis.Client) error) {
	t.Helper()
	if cluster, ok := client.(*redis.ClusterClient); ok {
		require.NoError(t, cluster.ForEachMaster(t.Context(), fn))
		return
	}
	require.NoError(t, fn(t.Context(), client.(*redis.Client)))
}

// digests returns a checksum of all data of each master.
func digests(t *testing.T, client redis.UniversalClient) map[string]string {
	t.Helper()
	var mu sync.Mutex
	out := map[string]string{}
	eachMaster(t, client, func(ctx context.Context, node *redis.Client) error {
		digest, err := node.Do(ctx, "debug", "digest").Text()
		mu.Lock()
		defer mu.Unlock()
		out[node.Options().Addr] = digest
		return err
	})
	return out
}

// writes returns how often each command that may write was called at each master. Those that scripts call count too.
func writes(t *testing.T, client redis.UniversalClient) map[string]string {
	t.Helper()
	var mu sync.Mutex
	out := map[string]string{}
	eachMaster(t, client, func(ctx context.Context, node *redis.Client) error {
		commands, err := node.CommandList(ctx, &redis.FilterBy{ACLCat: "write"}).Result()
		if err != nil {
			return err
		}
		text, err := node.Info(ctx, "commandstats").Result()
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(text) {
			name, stats, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			if calls, _, _ := strings.Cut(stats, ","); found && slices.Contains(append(commands, "eval", "evalsha", "script|load"), name) {
				out[node.Options().Addr+" "+name] = calls
			}
		}
		return err
	})
	return out
}
