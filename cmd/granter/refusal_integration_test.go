//go:build integration

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

// Redis refuses every write from some moment on. Granter says why, and goes on when the cause is gone; or it gives up,
// says what to do, and the next run goes on.
func TestRedisRefusesWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, kind, advice string
		options            []devtest.RedisOption
		refuse, allow      func(s *scenario, r *devtest.Redis)
	}{
		{
			name: "memory", kind: "oom", advice: "raise maxmemory",
			refuse: func(s *scenario, _ *devtest.Redis) { s.config("maxmemory", "1mb") },
			allow:  func(s *scenario, _ *devtest.Redis) { s.config("maxmemory", "0") },
		},
		{
			// A full disk, as Redis sees it: the snapshot cannot be put in its place.
			name: "disk", kind: "misconf", advice: "free the disk",
			options: []devtest.RedisOption{devtest.RedisSet("save", "3600", "1000000000")},
			refuse: func(s *scenario, r *devtest.Redis) {
				require.NoError(s, os.Mkdir(filepath.Join(r.Dir, "dump.rdb"), 0o700))
				s.snapshot("err")
			},
			allow: func(s *scenario, r *devtest.Redis) {
				require.NoError(s, os.Remove(filepath.Join(r.Dir, "dump.rdb")))
				s.snapshot("ok")
			},
		},
	} {
		begin := func(t *testing.T, flags ...string) (*scenario, *devtest.Redis, *process, func()) {
			r := devtest.StartRedis(t, append(durable(), c.options...)...)
			s := newScenario(t, 4, r.Addr).drawn()
			s.publish(s.users(0, s.share(600_000)))
			normal := s.throttle(s.share(100_000))
			p := s.run(append(flags, "--shards=1")...)
			s.awaitGranted(p, s.share(100_000))
			c.refuse(s, r)
			p.awaitLog(`"kind":"` + c.kind + `"`)
			return s, r, p, normal
		}
		t.Run(c.name+" for a while", func(t *testing.T) {
			t.Parallel()
			s, r, p, normal := begin(t)
			c.allow(s, r)
			normal()
			require.Zero(t, p.wait(), p.err.String())
			require.Equal(t, s.share(600_000), p.summary().Granted)
			s.exactlyOnce()
		})
		t.Run(c.name+" for too long", func(t *testing.T) {
			t.Parallel()
			s, r, p, normal := begin(t, "--retry-for=3s")
			require.Equal(t, exitFailed, p.wait())
			last := tail(p.err.String(), 1)
			require.True(t, strings.HasPrefix(last, "granter: "), last)
			require.Contains(t, last, c.advice)
			require.Equal(t, grant.RunFailed, p.summary().State)
			c.allow(s, r)
			normal()
			s.finish()
			s.exactlyOnce()
		})
	}
}

func (s *scenario) config(name, value string) {
	s.Helper()
	require.NoError(s, s.client.ConfigSet(s.Context(), name, value).Err())
}

// snapshot makes Redis save, and waits until it says that this came out as wanted.
func (s *scenario) snapshot(want string) {
	s.Helper()
	await(s.T, "the last snapshot is "+want, func() bool {
		info, err := s.client.Info(s.Context(), "persistence").Result()
		require.NoError(s, err)
		if strings.Contains(info, "rdb_last_bgsave_status:"+want) {
			return true
		}
		_ = s.client.BgSave(s.Context()).Err() // one may be under way
		return false
	})
}

// A replica takes no writes: preflight says so, and so does the run itself if it is told to go on.
func TestReplicaIsRefused(t *testing.T) {
	t.Parallel()
	master := devtest.StartRedis(t, durable()...)
	replica := devtest.StartRedis(t, append(durable(), devtest.ReplicaOf(master))...)
	s := newScenario(t, 1, master.Addr)
	s.publish(s.users(0, 1000))
	s.redis = []string{replica.Addr}
	p := s.run()
	require.Equal(t, exitPreflight, p.wait())
	require.Contains(t, p.err.String(), "replica")
	p = s.run("--force", "--why=a test", "--retry-for=1s")
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, tail(p.err.String(), 1), "point the granter at the master")
	s.redis = []string{master.Addr}
	s.finish()
	s.exactlyOnce()
}

// Status and verify answer while a run goes on, from anywhere.
func TestStatusOfARun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 400_000))
	normal := s.throttle(40_000)
	p := s.run("--shards=1")
	s.awaitGranted(p, 40_000)
	var during Status
	await(t, "status shows the rate", func() bool {
		require.True(t, p.running())
		during = s.status()
		return during.Rate > 0
	})
	require.Len(t, during.Runs, 1)
	run := during.Runs[0]
	require.Equal(t, grant.RunRunning, run.State)
	require.Equal(t, p.cmd.Process.Pid, run.PID)
	require.Equal(t, []int{0, 1, 2, 3}, run.Partitions)
	require.Equal(t, run.Tally.Consumed, outcomes(run.Tally), "%+v", run.Tally)
	require.Positive(t, during.Lag)
	require.Positive(t, during.Granted)
	require.NotNil(t, during.SecondsLeft)
	require.NotNil(t, during.EstimatedEnd)
	require.NotNil(t, during.LastCheckpoint)
	normal()
	require.Zero(t, p.wait())

	after := s.status("--prove")
	require.Zero(t, after.Lag)
	require.Zero(t, after.Rate)
	require.Nil(t, after.EstimatedEnd)
	require.EqualValues(t, 400_000, after.Granted)
	require.Equal(t, grant.RunFinished, after.Runs[0].State)
	require.Equal(t, p.summary().Tally, after.Runs[0].Tally)
	require.True(t, after.Proof.Holds)
	s.exactlyOnce()
}

func (s *scenario) status(flags ...string) Status {
	s.Helper()
	p := granter(s.T, s.command("status", append(flags, "--json")...))
	require.Zero(s, p.wait(), p.err.String())
	var status Status
	require.NoError(s, json.Unmarshal([]byte(p.out.String()), &status))
	return status
}

// Passwords work on real servers, and are in nothing that granter writes or stores.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const redisPassword = "redis-hunter2"
	k := devtest.StartKafka(t, devtest.KafkaOptions{SASL: true})
	r := devtest.StartRedis(t, append(durable(), devtest.RedisSet("requirepass", redisPassword))...)
	s := newScenarioOn(t, k, 2, r.Addr)
	s.login(redisPassword)
	s.publish(s.users(0, 10_000))
	s.brokers = k.SASLBrokers
	s.flags = append(s.flags, "--kafka-sasl=scram-sha-512", "--kafka-user="+devtest.SASLUser)
	s.env = []string{"GRANTER_REDIS_PASSWORD=" + redisPassword, "GRANTER_KAFKA_PASSWORD=" + devtest.SASLPassword}

	wrong := *s
	for _, name := range []string{"GRANTER_REDIS_PASSWORD", "GRANTER_KAFKA_PASSWORD"} {
		wrong.env = append(slices.Clone(s.env), name+"=hunter3")
		p := wrong.run()
		require.Equal(t, exitPreflight, p.wait(), p.err.String())
		p = wrong.run("--force", "--why=a test", "--retry-for=1s")
		require.Equal(t, exitFailed, p.wait(), p.err.String())
		require.Contains(t, tail(p.err.String(), 1), "password")
		require.NotContains(t, p.err.String()+p.out.String(), "hunter")
	}

	p := s.run("--listen=127.0.0.1:0")
	require.Zero(t, p.wait(), p.err.String())
	status := granter(t, s.command("status", "--kafka-sasl=scram-sha-512", "--kafka-user="+devtest.SASLUser))
	require.Zero(t, status.wait(), status.err.String())
	for _, output := range []string{p.err.String(), p.out.String(), status.err.String(), status.out.String()} {
		require.NotContains(t, output, redisPassword)
		require.NotContains(t, output, devtest.SASLPassword)
	}
	records, err := s.client.HGetAll(t.Context(), "granter:{"+s.campaign.Name+"}:runs").Result()
	require.NoError(t, err)
	for _, record := range records {
		require.NotContains(t, record, redisPassword)
		require.NotContains(t, record, devtest.SASLPassword)
	}
	s.brokers = k.Brokers
	s.exactlyOnce()
}
