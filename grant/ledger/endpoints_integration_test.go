//go:build integration

package ledger

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// Behind a load balancer a cluster may not know by which host its nodes are reached.
func TestOnARedisClusterThatNamesNoHosts(t *testing.T) {
	t.Parallel()
	cluster := devtest.StartRedisCluster(t, 3, 0, devtest.RedisSet("cluster-preferred-endpoint-type", "unknown-endpoint"))
	client, err := Connect(Options{Addrs: cluster.Addrs[:1], Cluster: true})
	require.NoError(t, err)
	defer client.Close()
	for i := range 50 { // on every master
		require.NoError(t, client.Set(t.Context(), fmt.Sprint("key ", i), i, 0).Err())
	}
	masters := make(chan string, 3)
	require.NoError(t, client.(*redis.ClusterClient).ForEachMaster(t.Context(), func(_ context.Context, c *redis.Client) error {
		masters <- c.Options().Addr
		return nil
	}))
	require.ElementsMatch(t, cluster.Addrs, []string{<-masters, <-masters, <-masters})
}
