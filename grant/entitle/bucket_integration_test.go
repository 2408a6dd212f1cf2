//go:build integration

package entitle_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
)

// Users in buckets of a real Redis, alone and in a cluster, are checked exactly; also by whoever finds that it has forgotten the
// scripts.
func TestBucketsOfARealRedisAreAsked(t *testing.T) {
	one, cluster := devtest.StartRedis(t), devtest.StartRedisCluster(t, 3, 0)
	for name, options := range map[string]ledger.Options{
		"one": {Addrs: []string{one.Addr}}, "cluster": {Addrs: cluster.Addrs, Cluster: true},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := ledger.Connect(options)
			require.NoError(t, err)
			defer client.Close()
			for _, kind := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
				c := sorryTo(kind)
				c.Name += "-" + string(kind)
				store, err := ledger.Open(client, c, ledger.Config{})
				require.NoError(t, err)
				grants := ledger.NewGrants(store, 7)
				_, err = grants.Begin(t.Context(), grant.TopicID{})
				require.NoError(t, err)
				users := ids(kind, 0, 900)
				form, seq := userid.FormOf(&c.Input), uint64(0)
				for part := range 2 {
					var members [][]byte
					for _, user := range users[300*part : 300*part+300] {
						member, fault := form.Member(nil, []byte(user.String()))
						require.Empty(t, fault)
						members = append(members, member)
					}
					_, err := grants.AddSome(t.Context(), &seq, []sharding.Range{{First: 1, Last: 1}}, members)
					require.NoError(t, err)
				}
				w := &world{T: t, client: client, campaigns: []entitle.Campaign{{Campaign: c, Ledger: ledger.NewReader(store)}}}
				want := make([]grant.State, len(users))
				for i := range want {
					if want[i] = none; i < 600 {
						want[i] = active
					}
				}
				checker := w.checker(patient)
				require.Equal(t, want, w.states(checker, "cheer-up", time.Time{}, users...))
				forget := func(c *redis.Client) { require.NoError(t, c.ScriptFlush(t.Context()).Err()) }
				if all, ok := client.(*redis.ClusterClient); ok {
					for _, addr := range all.Options().Addrs {
						node := redis.NewClient(&redis.Options{Addr: addr})
						forget(node)
						require.NoError(t, node.Close())
					}
				} else {
					forget(client.(*redis.Client))
				}
				require.Equal(t, want[590:610], w.states(checker, "cheer-up", time.Time{}, users[590:610]...))
			}
		})
	}
}
