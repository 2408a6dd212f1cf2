//go:build integration

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// Replicas share the partitions; when one joins or dies, the others give or take over, and all who live finish together.
func TestReplicasComeAndGo(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 8, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 800_000))
	normal := s.throttle(60_000)
	first, killed := s.run("--shards=1"), s.run("--shards=1")
	killed.awaitLog(`"msg":"partitions assigned"`)
	s.awaitGranted(first, 40_000)
	joined := s.run("--shards=1")
	joined.awaitLog(`"msg":"partitions assigned"`)
	s.awaitGranted(joined, s.granted()+20_000)
	killed.kill()
	normal()
	require.Zero(t, first.wait())
	require.Zero(t, joined.wait())
	t.Logf("of 800,000 users the first granted %d, the one that joined %d, and the one that was killed the rest",
		first.summary().Granted, joined.summary().Granted)
	s.exactlyOnce()
}

// A replica that has granted its own partitions and waits for the others notices when Redis loses them.
func TestLossWhileAReplicaWaits(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 8, r.Addr).drawn()
	s.flags = append(s.flags, "--session-timeout=8s", "--shards=1")
	s.publish(s.users(0, s.share(1_000_000)))
	normal := s.throttle(s.share(100_000))
	waits, works := s.run(), s.run()
	await(t, "both have half of the partitions", func() bool { return waits.partitions() == 4 && works.partitions() == 4 })
	s.awaitGranted(works, s.granted()+s.share(50_000))
	works.freeze()
	normal()
	waits.awaitLog("waiting for the other replicas")
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	works.thaw()
	require.Zero(t, waits.wait())
	require.Zero(t, works.wait())
	require.True(t, waits.says("older checkpoint"))
	require.True(t, works.says("older checkpoint"))
	s.exactlyOnce()
}
