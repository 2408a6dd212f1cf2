//go:build integration

package ledger

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

// A status, a history and a dry run need no more than this.
var readerRules = []any{"~granter:*", "+@read", "+@connection", "+info", "+time"}

// setUser gives a user of a Redis these rights and no others, and the password "secret".
func setUser(t *testing.T, admin *redis.Client, name string, rules ...any) {
	t.Helper()
	require.NoError(t, admin.Do(t.Context(), append([]any{"acl", "setuser", name, "reset", "on", ">secret"}, rules...)...).Err())
}

func TestWhoMayOnlyReadSeesOrdersAndGivesNone(t *testing.T) {
	t.Parallel()
	w, server := single(t)
	l := w.withOrders(tomorrow(), &fault{})
	act, err := l.Order(w.ctx, order(grant.ActionPause))
	require.NoError(t, err)
	p := w.join()
	p.grant(1, delta(3, span(0, 3000, 1)))

	setUser(t, w.client.(*redis.Client), "reader", readerRules...)
	reader := newWorldAs(t, Options{Addrs: []string{server.Addr}, Username: "reader", Password: "secret"})
	r := reader.withOrders(tomorrow(), &fault{})
	require.Equal(t, *act.After, reader.ordered(r))
	require.Equal(t, []grant.HistoryEntry{act}, reader.did(r))
	health, err := r.Pulse(w.ctx)
	require.NoError(t, err)
	require.Positive(t, health.MemoryBytes)
	bitmaps, err := r.Bitmaps(w.ctx, []uint64{3, 4})
	require.NoError(t, err)
	require.True(t, same(span(0, 3000, 1), bitmaps[0]))
	require.Nil(t, bitmaps[1])

	var unavailable *UnavailableError
	_, err = r.Order(w.ctx, order(grant.ActionResume))
	require.ErrorAs(t, err, &unavailable)
	require.Equal(t, KindNoPerm, unavailable.Kind)
	require.Equal(t, 1, unavailable.Attempts, "it is no use to try again")
	require.Equal(t, KindNoPerm, Kind(r.Refuse(w.ctx, grant.HistoryEntry{Action: grant.ActionPause, Refused: "x"})))
	_, err = r.Take(w.ctx, 1, 1)
	require.Equal(t, KindNoPerm, Kind(err))
	require.Equal(t, []grant.HistoryEntry{act}, w.did(l))

	setUser(t, w.client.(*redis.Client), "reader", "~other:*", "+@all")
	_, _, err = r.Control(w.ctx)
	require.ErrorAs(t, err, &unavailable)
	require.Equal(t, KindNoPerm, unavailable.Kind)
	require.False(t, unavailable.Temporary())
	require.Equal(t, 1, strings.Count(err.Error(), Hint(KindNoPerm)))
}

func TestOrdersWaitForAClusterThatFailsOver(t *testing.T) {
	t.Parallel()
	cluster := devtest.StartRedisCluster(t, 3, 1)
	w := newWorld(t, Options{Addrs: cluster.Addrs, Cluster: true})
	l := w.withOrders(tomorrow(), &fault{})
	l.retryFor = time.Minute
	_, err := l.Order(w.ctx, order(grant.ActionPause))
	require.NoError(t, err)
	home, err := l.home(w.ctx)
	require.NoError(t, err)
	for _, node := range cluster.Nodes {
		if node.Addr == home.Options().Addr {
			require.NoError(t, home.Wait(w.ctx, 1, time.Minute).Err())
			node.Kill()
		}
	}
	act, err := l.Order(w.ctx, order(grant.ActionResume))
	require.NoError(t, err)
	require.True(t, act.Before.Paused)
	require.Equal(t, grant.Control{Version: 2, Resumed: 2}, w.ordered(l))
	require.Len(t, w.did(l), 2)
	moved, err := l.home(w.ctx)
	require.NoError(t, err)
	require.NotEqual(t, home.Options().Addr, moved.Options().Addr)
}

// Two, then five, ask a real Redis as gates do: all together get the rate by its clock.
func TestTheBudgetHoldsInRealTime(t *testing.T) {
	const rate, lasts = 200_000, 2 * time.Second
	w, _ := single(t)
	for _, callers := range []int{2, 5} {
		l := w.withOrders(tomorrow(), &fault{})
		require.NoError(t, w.client.Del(w.ctx, l.keys.budget).Err())
		require.Zero(t, w.take(l, rate, rate))
		began := w.clock()
		ctx, stop := context.WithTimeout(w.ctx, lasts)
		got := make([]int64, callers)
		var group errgroup.Group
		for i := range callers {
			caller := w.withOrders(tomorrow(), &fault{})
			group.Go(func() error {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
					case <-ctx.Done():
						return nil
					}
					n, err := caller.Take(w.ctx, rate/10, rate)
					if got[i] += n; err != nil {
						return err
					}
				}
			})
		}
		require.NoError(t, group.Wait())
		stop()
		took := w.clock().Sub(began)
		var total int64
		for _, n := range got {
			total += n
		}
		t.Logf("%d callers got %v in %s", callers, got, took)
		require.LessOrEqual(t, float64(total), 1.05*took.Seconds()*rate, "a busy machine asks less often, and gets less")
		require.NotContains(t, got, int64(0), "everybody gets something")
	}
}

// clock is the clock of Redis.
func (w *world) clock() time.Time {
	now, err := w.client.Time(w.ctx).Result()
	require.NoError(w, err)
	return now
}

func TestPulse(t *testing.T) {
	primary := devtest.StartRedis(t, devtest.RedisSet("maxmemory", "200mb"))
	replica := devtest.StartRedis(t, devtest.ReplicaOf(primary))
	w := newWorld(t, Options{Addrs: []string{primary.Addr}})
	l := w.withOrders(tomorrow(), &fault{})
	pulse := func() grant.RedisHealth {
		h, err := l.Pulse(w.ctx)
		require.NoError(t, err)
		return h
	}
	await := func(what string, so func(grant.RedisHealth) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return so(pulse()) }, time.Minute, 20*time.Millisecond, what)
	}
	before := pulse()
	require.EqualValues(t, 200<<20, before.MemoryLimit)
	require.Greater(t, before.MemoryBytes, int64(500_000))
	require.Zero(t, before.LatencySeconds+before.ClockAhead, "that is not asked for here")
	await("a replica in sync has no lag", func(h grant.RedisHealth) bool { return h.ReplicaLag == 0 })

	replica.Freeze()
	const written = 5 << 20
	require.NoError(t, w.client.Set(w.ctx, "granter:ballast", make([]byte, written), 0).Err())
	h := pulse()
	require.Greater(t, h.ReplicaLag, int64(written))
	require.Less(t, h.ReplicaLag, int64(written+1<<20))
	require.Greater(t, h.MemoryBytes, before.MemoryBytes+written)
	replica.Resume()
	await("it catches up", func(h grant.RedisHealth) bool { return h.ReplicaLag == 0 })

	require.NoError(t, w.client.ConfigSet(w.ctx, "maxmemory", "0").Err())
	total := pulse().MemoryLimit
	require.Greater(t, total, int64(200<<20), "without maxmemory, the machine is the limit")

	primary.Freeze()
	ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
	defer cancel()
	_, err := l.Pulse(ctx)
	require.ErrorContains(t, err, primary.Addr)
	require.True(t, errors.Is(err, context.DeadlineExceeded) || Kind(err) == KindTimeout, "%v", err)
	primary.Resume()
}

// The worst of each: one master is nearly full, another one has a replica that lags.
func TestPulseOfAClusterIsThatOfItsWorstMasters(t *testing.T) {
	cluster := devtest.StartRedisCluster(t, 3, 1)
	w := newWorld(t, Options{Addrs: cluster.Addrs, Cluster: true})
	l := w.withOrders(tomorrow(), &fault{})
	limits := []int64{100 << 20, 16 << 20, 400 << 20}
	for i, limit := range limits {
		node := redis.NewClient(&redis.Options{Addr: cluster.Nodes[i].Addr})
		require.NoError(t, node.ConfigSet(w.ctx, "maxmemory", strconv.FormatInt(limit, 10)).Err())
		require.NoError(t, node.Close())
	}
	h, err := l.Pulse(w.ctx)
	require.NoError(t, err)
	require.Equal(t, limits[1], h.MemoryLimit, "of the master that is nearest to its limit")

	cluster.Nodes[5].Freeze() // the replica of the third master
	defer cluster.Nodes[5].Resume()
	var key string
	for i := 0; ; i++ {
		key = "granter:{" + strconv.Itoa(i) + "}"
		node, err := w.client.(*redis.ClusterClient).MasterForKey(w.ctx, key)
		require.NoError(t, err)
		if node.Options().Addr == cluster.Nodes[2].Addr {
			break
		}
	}
	require.NoError(t, w.client.Set(w.ctx, key, make([]byte, 1<<20), 0).Err())
	h, err = l.Pulse(w.ctx)
	require.NoError(t, err)
	require.Greater(t, h.ReplicaLag, int64(1<<20))
	require.Equal(t, limits[1], h.MemoryLimit)
}
