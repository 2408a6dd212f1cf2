//go:build integration

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// One of three masters comes back without its last writes. Its part of the checkpoint is what counts for all. The cluster
// does not know by which hosts its nodes are reached, and granter is told one of them.
func TestClusterMasterLosesItsLastWrites(t *testing.T) {
	t.Parallel()
	c := devtest.StartRedisCluster(t, 3, 0, append(durable(),
		devtest.RedisSet("cluster-preferred-endpoint-type", "unknown-endpoint"))...)
	s := newScenario(t, 4, c.Addrs...).drawn()
	s.redis, s.env = c.Addrs[:1], []string{"GRANTER_REDIS_CLUSTER=true"}
	s.lossy(func() {
		c.Nodes[1].Kill()
		truncateTail(t, c.Nodes[1].Dir, 0.4)
		c.Nodes[1].Restart()
	})
	p := granter(t, s.command("audit", "--complete", "--independent"))
	require.Zero(t, p.wait(), p.out.String()+p.err.String())
	s.proven()
}

// A master dies while its replica is down. The cluster promotes the replica when it is back, with what it had. What is published
// meanwhile is what the ledger holds then.
func TestClusterFailoverToALaggingReplica(t *testing.T) {
	t.Parallel()
	c := devtest.StartRedisCluster(t, 3, 1, durable()...)
	s := newScenario(t, 4, c.Addrs...).drawn()
	events := s.publishesUUIDs()
	s.lossy(func() {
		replica := c.Nodes[3]
		replica.Kill()
		before := s.granted()
		if events != nil {
			s.throttle(s.share(20_000)) // so that it catches up
			await(t, "what will be lost is published", func() bool { return events.sent() > before+s.share(20_000) })
		} else {
			await(t, "the run goes on", func() bool { return s.granted() > before+s.share(200_000) })
		}
		c.Nodes[0].Kill()
		replica.Restart()
	})
	events.agrees(s.share(1_000_000))
}

// Redis stops answering for five seconds, with calls under way: they time out, are sent again, and Redis then executes
// both. Nobody is counted twice, or as a duplicate of himself.
func TestRedisFreezes(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr).drawn()
	s.publish(s.users(0, s.share(1_000_000)))
	normal := s.throttle(s.share(150_000))
	p := s.run("--shards=1", "--timeout=1s", "--listen=127.0.0.1:0")
	s.awaitGranted(p, s.share(200_000))
	r.Freeze()
	thaw := time.After(5 * time.Second)
	await(t, "calls time out", func() bool { return p.metric("granter_redis_errors_total") > 0 })
	p.awaitReady("not ready: Redis does not answer, or refuses")
	<-thaw
	r.Resume()
	p.awaitReady("ready")
	normal()
	require.Zero(t, p.wait(), p.err.String())
	sum := p.summary()
	require.Equal(t, s.share(1_000_000), sum.Granted)
	require.Equal(t, s.plans[0].Counts().Repeats, sum.Duplicate)
	require.False(t, p.says("older checkpoint"))
	s.exactlyOnce()
}
