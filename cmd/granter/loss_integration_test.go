//go:build integration

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

// lossy is a scenario in which Redis loses something in the middle of a run: what it loses is different each time, what
// granter must do is the same.
func (s *scenario) lossy(lose func()) {
	s.Helper()
	s.publish(s.users(0, s.share(1_000_000)))
	normal := s.throttle(s.share(150_000))
	p := s.run("--shards=1", "--timeout=2s")
	s.awaitGranted(p, s.share(300_000))
	lose()
	normal()
	require.Zero(s, p.wait(), p.err.String())
	require.True(s, p.says("older checkpoint"), p.err.String())
	s.Logf("%d records of %d were read, some of them again: %v", p.summary().Consumed, s.plans[0].Counts().Records,
		p.logged("reading again from the ledger's older checkpoint", "reason"))
	s.exactlyOnce()
}

// share is how many users stand for so many at full size: fewer, at a rate that is as much lower, so that all takes its time as it
// would, and fewer still where each takes the test several times as long.
func (s *scenario) share(users int64) int64 {
	if s.campaign.Input.Opaque() {
		return users / 10
	}
	return users * 2 / 5
}

// A machine that loses its power loses what was not written to disk yet: with appendfsync everysec, up to a second.
func TestRedisLosesItsLastWrites(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr).drawn()
	s.lossy(func() {
		r.Kill()
		truncateTail(t, r.Dir, 0.3)
		r.Restart()
	})
}

// truncateTail cuts a part off the end of an append-only file.
func truncateTail(t *testing.T, dir string, share float64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	require.NoError(t, os.Truncate(files[0], int64(float64(info.Size())*(1-share))))
}

// A backup is restored that was made while the run was going on.
func TestRedisIsRestoredFromABackup(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr).drawn()
	backup := filepath.Join(t.TempDir(), "backup")
	s.lossy(func() {
		live := filepath.Join(r.Dir, "appendonlydir")
		require.NoError(t, os.CopyFS(backup, os.DirFS(live)))
		before := s.granted()
		await(t, "the run goes on", func() bool { return s.granted() > before+s.share(200_000) })
		r.Kill()
		require.NoError(t, os.RemoveAll(live))
		require.NoError(t, os.CopyFS(live, os.DirFS(backup)))
		r.Restart()
	})
}

func TestFlushallInMidRun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.lossy(func() { require.NoError(t, s.client.FlushAll(t.Context()).Err()) })
}

// A run that has finished promised that everybody is granted. While it lingers it still sees when that is no longer so.
func TestFlushallWhileItLingers(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.publish(s.users(0, s.share(250_000)))
	p := s.run("--linger=10m", "--listen=127.0.0.1:0")
	p.awaitLog("serving the final metrics")
	p.awaitReady("ready")
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, tail(p.err.String(), 1), "the ledger lost acknowledged writes after everything had been granted: start it again")
	require.Equal(t, grant.RunFailed, p.summary().State)
	s.finish()
	s.exactlyOnce()
}

// Kafka's offsets say that everything is done, and Redis has nothing: Redis is right.
func TestFlushallBetweenRuns(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.publish(s.users(0, s.share(250_000)))
	s.finish()
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	require.Equal(t, s.share(250_000), s.finish().Granted)
	s.exactlyOnce()
}

// A granter that follows a topic to which nobody publishes any more notices a loss all the same, and says so.
func TestFlushallWhileNobodyPublishes(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.publish(s.users(0, s.share(250_000)))
	p := s.run("--follow", "--listen=127.0.0.1:0")
	s.awaitGranted(p, s.share(250_000))
	require.Zero(t, p.metric("granter_ledger_regressions_total"))
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	await(t, "the loss is noticed", func() bool { return p.metric("granter_ledger_regressions_total") == 1 })
	s.awaitGranted(p, s.share(250_000))
	p.interrupt()
	require.Equal(t, exitStopped, p.wait())
	s.exactlyOnce()
}

// The master dies, and the replica that takes its place has not seen its last seconds.
func TestFailoverToALaggingReplica(t *testing.T) {
	t.Parallel()
	master := devtest.StartRedis(t, durable()...)
	link := newProxy(t, master.Addr)
	replica := devtest.StartRedis(t, append(durable(), devtest.ReplicaOf(&devtest.Redis{Addr: link.addr}))...)
	service := newProxy(t, master.Addr)
	s := newScenario(t, 4, master.Addr).drawn()
	s.redis = []string{service.addr}
	s.lossy(func() {
		link.freeze()
		before := s.granted()
		await(t, "the run goes on", func() bool { return s.granted() > before+s.share(200_000) })
		master.Kill()
		link.close()
		s.useRedis(replica.Addr)
		require.NoError(t, s.client.(*redis.Client).ReplicaOf(t.Context(), "NO", "ONE").Err())
		service.redirect(replica.Addr)
	})
}
