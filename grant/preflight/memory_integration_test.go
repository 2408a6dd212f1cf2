//go:build integration

package preflight

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// What is projected for users of each kind is what they take in a Redis, granted in bulk.
func TestTheProjectionIsWhatRedisTakes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	member := func(kind string) []byte {
		id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, random.Uint64()), random.Uint64())
		switch kind {
		case "int64":
			return id[:8]
		case "string":
			return fmt.Appendf(nil, "user-%015d", random.Uint64N(1e15))
		}
		return id
	}
	for kind, users := range map[string]int{"dense": 4 << 20, "uuid": 1 << 20, "int64": 1 << 20, "string": 1 << 20} {
		t.Run(kind, func(t *testing.T) {
			c := parse(t, strings.Replace(specText, "{topic: users}", "{topic: users, id: "+kind+"}", 1))
			c.Population, c.EndsAt = int64(users), time.Time{}
			server := durable(t)
			empty := usedMemory(t, server)
			client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
			store, err := ledger.Open(client, c, ledger.Config{})
			require.NoError(t, err)
			grants := ledger.NewGrants(store, grant.NewRunID(time.Now()))
			require.NoError(t, grants.EnsureSpec(t.Context(), c))
			_, err = grants.Begin(t.Context(), grant.TopicID{Cluster: "c", Topic: [16]byte{1}})
			require.NoError(t, err)

			cfg, starts := sharding.Config{Shards: 1, BlockIDs: 1024}, map[int]int64{0: 0}
			projected := MemoryOf(float64(users), float64(users/dense.ChunkSize))
			var pool *sharding.Pool
			if kind == "dense" {
				pool = dense.New(dense.Config{Config: cfg}, grants, starts)
			} else {
				pool = opaque.New(opaque.Config{Config: cfg, Layout: ledger.LayoutOf(c)}, grants, starts)
				projected = MembersMemory(c, float64(users))
			}
			shards, ctx := errgroup.WithContext(t.Context())
			shards.Go(func() error { return pool.Run(ctx) })
			lane, order := pool.Lane(0), random.Perm(users)
			var stopped error
			for i := int64(0); i < int64(users) && stopped == nil; i++ {
				if kind == "dense" {
					stopped = lane.Add(ctx, i, uint64(order[i]))
				} else {
					id := member(kind)
					stopped = lane.AddMember(ctx, i, opaque.Hash(id), id)
				}
			}
			stopped = errors.Join(stopped, lane.Mark(ctx, int64(users), true))
			pool.Close()
			require.NoError(t, errors.Join(shards.Wait(), stopped))

			require.NoError(t, client.Close()) // its buffers are none of the ledger's
			taken := usedMemory(t, server) - empty
			t.Logf("%s: %.2f bytes a user, projected %.2f", kind, taken/float64(users), projected/float64(users))
			require.InEpsilon(t, taken, projected, 0.15)
		})
	}
}

func usedMemory(t *testing.T, server *devtest.Redis) float64 {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	info, err := client.InfoMap(t.Context(), "memory").Result()
	require.NoError(t, err)
	n, err := strconv.ParseFloat(info["Memory"]["used_memory"], 64)
	require.NoError(t, err)
	return n
}
