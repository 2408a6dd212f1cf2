//go:build integration

package take

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/dense"
)

// replicaOf names the Redis of a process that takes, whose seed is in replicaSeed; it goes on until it is killed, or nothing is
// left.
const (
	replicaOf   = "GRANTER_TEST_TAKES_REDIS"
	replicaSeed = "GRANTER_TEST_TAKES_SEED"
	replicaIDs  = "GRANTER_TEST_TAKES_IDS"
	// howMany is the quota to try by hand; the population is half as much again.
	howMany = "GRANTER_TEST_TAKES_FIRST"
)

func first() int64 {
	if n, err := strconv.ParseInt(os.Getenv(howMany), 10, 64); err == nil {
		return n
	}
	return 20_000
}

func quotaCampaign(ids grant.IDs) *grant.Campaign {
	c := &grant.Campaign{Name: "storage", Hash: "aa11", Canonical: []byte("spec\n"), Items: []grant.Item{
		{ID: "month", Kind: grant.KindItem, Validity: grant.Validity{Days: 30, Taken: true}, First: first()},
	}}
	if ids != grant.IDsDense {
		c.Population, c.Input.IDs = population(), ids
	}
	return c
}

// userOf is the n-th user.
func userOf(ids grant.IDs, n int64) grant.UserID {
	if ids == grant.IDsUUID {
		return grant.TextID(fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", n))
	}
	return grant.NumberID(uint64(n))
}

func population() int64 { return first() * 3 / 2 }

// openStore opens the store in the Redis at an address, or, where there are several, in the Cluster.
func openStore(addrs string, ids grant.IDs) (redis.UniversalClient, *ledger.Store, error) {
	all := strings.Split(addrs, ",")
	client, err := ledger.Connect(ledger.Options{Addrs: all, Cluster: len(all) > 1})
	if err != nil {
		return nil, nil, err
	}
	store, err := ledger.Open(client, quotaCampaign(ids), ledger.Config{RetryFor: 30 * time.Second})
	return client, store, err
}

// TestReplica is the other process. It asks for users at random, many of them again and again, until none gets the item.
func TestReplica(t *testing.T) {
	addr := os.Getenv(replicaOf)
	if addr == "" {
		return // it is none
	}
	ids := grant.IDs(os.Getenv(replicaIDs))
	client, store, err := openStore(addr, ids)
	require.NoError(t, err)
	defer client.Close()
	seed, err := strconv.ParseUint(os.Getenv(replicaSeed), 10, 64)
	require.NoError(t, err)
	r, takes := rand.New(rand.NewPCG(seed, 1)), ledger.NewTakes(store, grant.NewRunID(time.Now()))
	for exhausted := 0; exhausted < 20; {
		wishes := make([]ledger.Take, 1+r.IntN(int(first()/200)))
		for i := range wishes {
			wishes[i].User = userOf(ids, r.Int64N(population()))
		}
		taken, err := takes.Take(context.Background(), quotaCampaign(ids), wishes)
		require.NoError(t, err)
		got := 0
		for _, one := range taken {
			if one.Outcome == grant.OutcomeTaken {
				got++
			}
		}
		if exhausted++; got > 0 {
			exhausted = 0
		}
	}
}

// Two processes let users take the first N of an item. Ten times one of them is killed; its place is taken by another.
func TestAQuotaIsExactWhateverIsKilled(t *testing.T) {
	for _, ids := range []grant.IDs{grant.IDsDense, grant.IDsUUID} {
		t.Run(string(ids), func(t *testing.T) { quotaIsExact(t, devtest.StartRedis(t).Addr, ids) })
		t.Run(string(ids)+" on a cluster", func(t *testing.T) {
			quotaIsExact(t, strings.Join(devtest.StartRedisCluster(t, 3, 0).Addrs, ","), ids)
		})
	}
}

func quotaIsExact(t *testing.T, addrs string, ids grant.IDs) {
	client, store, err := openStore(addrs, ids)
	require.NoError(t, err)
	defer client.Close()
	grantAll(t, store, ids)
	reader, c := ledger.NewReader(store), quotaCampaign(ids)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	replicas, started := make([]*exec.Cmd, 2), uint64(0)
	start := func(i int) {
		started++
		cmd := exec.Command(os.Args[0], "-test.run", "^TestReplica$")
		cmd.Env = append(os.Environ(), replicaOf+"="+addrs, replicaIDs+"="+string(ids),
			fmt.Sprintf("%s=%d", replicaSeed, seed+started))
		cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
		require.NoError(t, cmd.Start())
		replicas[i] = cmd
	}
	start(0)
	start(1)
	const kills = 10
	for kill := range kills {
		at := first() * int64(kill+1) / (kills + 2)
		require.Eventually(t, func() bool {
			taken, err := reader.Taken(t.Context(), c)
			return err == nil && taken[0].Taken >= at
		}, 5*time.Minute, time.Millisecond)
		victim := replicas[kill%2]
		require.NoError(t, victim.Process.Kill())
		require.Error(t, victim.Wait(), "it must be killed, not end")
		start(kill % 2)
	}
	for _, replica := range replicas {
		require.NoError(t, replica.Wait())
	}

	var proof ledger.Proof
	require.NoError(t, reader.ProveTakes(t.Context(), c, &proof))
	require.Empty(t, proof.Violations)
	require.Equal(t, first(), proof.Taken)
	counts := map[grant.Outcome]int64{}
	takes := ledger.NewTakes(store, 9)
	for from := int64(0); from < population(); from += 10_000 {
		var wishes []ledger.Take
		for user := from; user < min(from+10_000, population()); user++ {
			wishes = append(wishes, ledger.Take{User: userOf(ids, user)})
		}
		taken, err := takes.Take(t.Context(), c, wishes)
		require.NoError(t, err)
		for _, one := range taken {
			counts[one.Outcome]++
		}
	}
	require.Equal(t, map[grant.Outcome]int64{
		grant.OutcomeAlready: first(), grant.OutcomeExhausted: population() - first(),
	}, counts, "everybody has it, or is told that it is exhausted")
}

// grantAll grants the campaign to the whole population.
func grantAll(t *testing.T, store *ledger.Store, ids grant.IDs) {
	t.Helper()
	grants := ledger.NewGrants(store, 1)
	_, err := grants.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	require.NoError(t, grants.EnsureSpec(t.Context(), quotaCampaign(ids)))
	if ids == grant.IDsUUID {
		form := userid.FormOf(&grant.Input{IDs: ids})
		var members [][]byte
		for n := range population() {
			member, _ := form.Member(nil, []byte(userOf(ids, n).String()))
			members = append(members, member)
		}
		granted, err := grants.AddSome(t.Context(), new(uint64), nil, members)
		require.NoError(t, err)
		require.Len(t, granted, len(members))
		return
	}
	for chunk := int64(0); chunk*dense.ChunkSize < population(); chunk++ {
		members := new(dense.Bitmap)
		n := min(population()-chunk*dense.ChunkSize, dense.ChunkSize)
		for low := range n {
			members.Set(uint16(low))
		}
		require.NoError(t, grants.Grant(t.Context(), &dense.Flush{
			Seq: uint64(chunk) + 1, Deltas: []dense.Delta{{Chunk: uint64(chunk), Members: members, Count: int(n)}},
		}))
	}
}
