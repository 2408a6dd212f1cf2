//go:build integration

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
)

// SIGTERM lets a granter finish what is in hand. Its checkpoint is then exactly what it consumed, so that the next run
// reads no record a second time.
func TestStoppedAndContinued(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 8, devtest.StartRedis(t, durable()...).Addr)
	// Few malformed records: storing them takes time, in which queues become empty.
	rarely := func(plan population.Plan) population.Plan { plan.Malformed = 0.00002; return plan }
	const rounds = 10
	s.publish(rarely(s.users(0, 200_000)))
	normal := s.slow(200 * time.Millisecond)
	var consumed, stopped int64
	for round := range int64(rounds) {
		s.publish(rarely(s.users(150_000+round*50_000, 75_000)))
		p := s.run("--shards=1")
		await(t, "it has begun", func() bool { return s.record(p).State != "" })
		select {
		case <-time.After(s.upTo(time.Second)):
			p.interrupt()
		case <-p.ended:
		}
		code := p.waitFor(patience) // it would try for much longer
		require.Contains(t, []int{exitOK, exitStopped}, code, p.err.String())
		sum := p.summary()
		if code == exitStopped {
			stopped++
			require.Equal(t, grant.RunStopped, sum.State)
			require.Contains(t, p.err.String(), "start it again to continue")
		}
		consumed += sum.Consumed
		var checkpoint int64
		for _, next := range s.checkpoint() {
			checkpoint += next
		}
		require.Equal(t, consumed, checkpoint, p.err.String())
	}
	normal()
	consumed += s.finish().Consumed
	require.Equal(t, s.read(s.campaign.Input.Topic).records, consumed)
	require.Positive(t, stopped)
	t.Logf("%d of %d runs were stopped before their end", stopped, rounds)
	s.exactlyOnce()
}

// A second SIGTERM does not wait for a Redis that does not answer.
func TestStoppedAtOnce(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr).drawn()
	s.publish(s.users(0, s.share(600_000)))
	normal := s.throttle(s.share(100_000))
	p := s.run("--shards=1", "--timeout=10m", "--retry-for=1h")
	s.awaitGranted(p, s.share(100_000))
	r.Freeze()
	p.interrupt()
	p.awaitLog("stopping soon")
	second := time.Now()
	p.interrupt()
	code := p.waitFor(20 * time.Second)
	t.Logf("ended %s after the second signal", time.Since(second).Round(time.Millisecond))
	require.Equal(t, exitStopped, code)
	r.Resume()
	normal()
	s.finish()
	s.exactlyOnce()
}

// A SIGTERM is obeyed while the group is waiting for a member that was killed.
func TestStoppedWhileJoining(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 200_000))
	normal := s.throttle(50_000)
	first := s.run("--shards=1", "--session-timeout=20s")
	s.awaitGranted(first, 50_000)
	first.kill()
	normal()
	p := s.run("--session-timeout=20s")
	await(t, "it joins the group", func() bool { return s.record(p).State == grant.RunRunning })
	p.interrupt()
	p.awaitLog("stopping soon")
	p.interrupt()
	require.Equal(t, exitStopped, p.waitFor(5*time.Second))
	require.NotContains(t, p.err.String(), "partitions assigned")
	s.finish("--group=" + s.campaign.Name)
	s.exactlyOnce()
}

// A granter that its operator, or the machine, stops for longer than the group waits comes back as a zombie: others have
// its partitions. Its last grants are on their way to Redis when it is stopped, and arrive long after the others began; and
// it goes on with what it has in hand. None of it does harm.
func TestZombie(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	link := newProxy(t, r.Addr)
	s := newScenario(t, 8, r.Addr).drawn()
	s.publish(s.users(0, s.share(2_000_000)))
	normal := s.throttle(s.share(150_000))
	s.redis = []string{link.addr}
	zombie := s.run("--shards=1")
	s.redis = []string{r.Addr}
	s.awaitGranted(zombie, s.share(100_000))
	await(t, "a grant is on its way", link.hold(":journal"))
	zombie.freeze()
	other := s.run("--shards=1")
	other.awaitLog(`"msg":"partitions assigned"`)
	require.Equal(t, 8, other.partitions(), "the zombie is out of the group")
	before := s.granted()
	s.awaitGranted(other, before+s.share(100_000))

	link.release() // Redis gets what the zombie granted before it was stopped
	zombie.thaw()
	await(t, "the zombie joins again", func() bool {
		return strings.Count(zombie.err.String(), `"msg":"partitions assigned"`) == 2
	})
	before = s.granted()
	s.awaitGranted(other, before+s.share(100_000))
	normal()
	require.Zero(t, zombie.wait())
	require.Zero(t, other.wait())
	t.Logf("the zombie granted %d, the other %d", zombie.summary().Granted, other.summary().Granted)
	s.exactlyOnce()
}
