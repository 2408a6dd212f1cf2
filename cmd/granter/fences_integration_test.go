//go:build integration

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
)

// version makes another version of the scenario's spec, with old text replaced by new.
func (s *scenario) version(name string, replace ...string) *scenario {
	s.Helper()
	text, err := os.ReadFile(s.spec)
	require.NoError(s, err)
	changed := strings.NewReplacer(replace...).Replace(string(text))
	require.NotEqual(s, string(text), changed)
	other := *s
	other.spec = filepath.Join(s.TempDir(), name+".yaml")
	require.NoError(s, os.WriteFile(other.spec, []byte(changed), 0o600))
	other.campaign, err = campaign.Load(other.spec)
	require.NoError(s, err)
	other.opened, err = openLedger(s.client, other.campaign, patience)
	require.NoError(s, err)
	return &other
}

// entries hands every journal entry of the ledger to fn.
func (s *scenario) entries(fn func(e *ledger.Entry)) {
	s.Helper()
	keys, err := s.client.Keys(s.Context(), "granter:{"+s.campaign.Name+"/*}:journal").Result()
	require.NoError(s, err)
	for _, key := range keys {
		list, err := s.client.LRange(s.Context(), key, 0, -1).Result()
		require.NoError(s, err)
		for _, text := range list {
			var e ledger.Entry
			if s.campaign.Input.Opaque() {
				_, err = e.UnmarshalBucket([]byte(text))
			} else {
				err = e.UnmarshalBinary([]byte(text))
			}
			require.NoError(s, err)
			fn(&e)
		}
	}
}

// clock is Redis's.
func (s *scenario) clock() time.Time {
	s.Helper()
	now, err := s.client.Time(s.Context()).Result()
	require.NoError(s, err)
	return now
}

// Two versions of a spec are started together, again and again: one is decided on before the first grant, and nobody is
// granted by the other.
func TestTwoVersionsOfASpecStartTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, to, says string }{
		{"items", "validity: 90d", "validity: 30d", "items[cheer-up-90d].validity"},
		{"topics", "topic: ", "topic: other-", "source.topic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
			other := s.version("other", c.from, c.to)
			if other.campaign.Input.Topic != s.campaign.Input.Topic {
				devtest.SharedKafka(t).CreateTopic(t, other.campaign.Input.Topic, 4, 1, nil)
				other.publish(other.users(0, other.share(250_000)))
			}
			s.publish(s.users(0, s.share(250_000)))
			for range 3 {
				require.NoError(t, s.client.FlushAll(t.Context()).Err())
				both := map[*scenario]*process{s: s.run("--shards=1", "--group="+s.campaign.Name), other: other.run("--shards=1", "--group=other-"+s.campaign.Name)}
				won, lost := s, other
				if both[s].wait() != 0 {
					won, lost = other, s
				}
				require.Zero(t, both[won].wait(), both[won].err.String())
				require.Equal(t, exitUsage, both[lost].wait())
				require.Contains(t, both[lost].err.String(), c.says)
				winner := both[won].summary().Run
				users := 0
				won.entries(func(e *ledger.Entry) {
					require.Equal(t, winner, e.Run, "somebody was granted by the version that lost")
					users += e.Count
				})
				require.EqualValues(t, both[won].summary().Granted, users)
				require.Zero(t, both[lost].record(lost).Tally.Granted)
				won.proven()
			}
		})
	}
}

func (p *process) record(s *scenario) grant.RunRecord { return s.record(p) }

// A replica that is frozen over ends_at grants nobody when it thaws, whatever it has in hand.
func TestFrozenOverTheEnd(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.publish(s.users(0, s.share(1_000_000)))
	end := s.clock().Add(12 * time.Second).Truncate(time.Second)
	s = s.version("ends", "source:", "ends_at: "+end.Format(time.RFC3339)+"\nsource:")
	s.throttle(s.share(50_000))
	p := s.run("--shards=1")
	s.awaitGranted(p, s.share(10_000))
	p.freeze()
	frozen := s.granted()
	await(t, "the campaign ends", func() bool { return !s.clock().Before(end) })
	p.thaw()
	require.Equal(t, exitFailed, p.wait(), p.err.String())
	require.Contains(t, tail(p.err.String(), 1), "the campaign has ended")
	require.Equal(t, frozen, s.granted())
	s.entries(func(e *ledger.Entry) { require.True(t, e.At.Before(end), "%s is not before %s", e.At, end) })
	require.Equal(t, exitPreflight, s.run().wait(), "nobody may grant any more")
	require.Equal(t, exitFailed, s.run("--force", "--why=test").wait(), "not even by force")
	r := s.finds(audit.NotComplete) // who was granted in time has it, once; the others wait for ever
	require.Equal(t, frozen, r.Ledger.Granted)
}

// behind starts a Redis whose clock is behind: a library of a few lines stands before the C library's clock.
func behind(t *testing.T, seconds int) *devtest.Redis {
	t.Helper()
	dir := t.TempDir()
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	require.NoError(t, os.WriteFile(source, fmt.Appendf(nil, `#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
  int failed = syscall(SYS_clock_gettime, id, at);
  if (!failed && id == CLOCK_REALTIME) at->tv_sec -= %d;
  return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec, at->tv_usec = now.tv_nsec / 1000;
  return failed;
}
`, seconds), 0o600))
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", library, source).CombinedOutput()
	require.NoError(t, err, string(out))
	return devtest.StartRedis(t, append(durable(), devtest.RedisEnv("LD_PRELOAD="+library))...)
}

// With Redis's clock behind, the run waits until that has come to the start, and nobody is dated before it.
func TestRedisWhoseClockIsBehindIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, behind(t, 8).Addr).drawn()
	s.publish(s.users(0, s.share(50_000)))
	require.Less(t, s.clock(), time.Now().Add(-5*time.Second), "the clock is not behind")
	begins := time.Now().Add(time.Second).Truncate(time.Second)
	s = s.version("begins", "2023-01-05T00:00:00+09:00", begins.UTC().Format(time.RFC3339))
	p := s.run()
	await(t, "it is held by the schedule", func() bool {
		r := s.record(p)
		return r.State == grant.RunWaiting && len(r.Holds) > 0 && r.Holds[0].Cause == grant.CauseSchedule && time.Now().After(begins)
	})
	require.Zero(t, s.granted())
	require.Zero(t, p.wait(), p.err.String())
	s.entries(func(e *ledger.Entry) { require.False(t, e.At.Before(begins), "%s is before %s", e.At, begins) })
	s.exactlyOnce()
}

// A right is taken away in mid-run. The run says which, nothing is half done, and the next one goes on.
func TestRightsAreTakenAwayInMidRun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.publish(s.users(0, s.share(1_000_000)))
	user := func(rules ...any) {
		require.NoError(t, s.client.Do(t.Context(), append([]any{"acl", "setuser", "runner"}, rules...)...).Err())
	}
	user("reset", "on", ">secret", "~granter:*", "+@all")
	s.env = append(s.env, "GRANTER_REDIS_PASSWORD=secret")
	s.flags = append(s.flags, "--redis-user=runner")
	commands := []string{"rpush", "hset"}
	if !s.campaign.Input.Opaque() {
		commands = append(commands, "bitop")
	}
	for _, command := range commands {
		normal := s.throttle(s.share(100_000))
		p := s.run("--shards=1")
		s.awaitGranted(p, s.granted()+s.share(50_000))
		user("-" + command)
		require.Equal(t, exitFailed, p.wait(), p.err.String())
		require.Contains(t, tail(p.err.String(), 1), "ACL")
		proof, err := s.reader.Prove(t.Context())
		require.NoError(t, err)
		require.True(t, proof.Holds(), "without %s: %+v", command, proof)
		user("+" + command)
		normal()
	}
	s.finish()
	s.exactlyOnce()
}

// The index of chunks is damaged in each way that is easy by accident. Nobody is overlooked, no other spec gets in, and the
// next run repairs it.
func TestADamagedIndexIsNotBelieved(t *testing.T) { //nolint:tparallel // one ledger is hurt and repaired, time after time
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).drawn()
	s.publish(s.users(0, s.share(350_000))) // in three chunks, or each bucket
	s.finish()
	other := s.version("other", "validity: 90d", "validity: 30d")
	index := "granter:{" + s.campaign.Name + "}:chunks"
	chunks, err := s.reader.Chunks(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(chunks), 3)
	first := slices.Min(chunks) // it is named before others that are missing
	for name, hurt := range map[string]func() error{
		"a chunk is removed": func() error { return s.client.SRem(t.Context(), index, first).Err() },
		"it is deleted":      func() error { return s.client.Del(t.Context(), index).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, hurt())
			p := granter(t, s.command("status", "--prove"))
			require.Equal(t, exitFailed, p.wait())
			require.Contains(t, p.out.String(), "NOT PROVEN")
			require.Contains(t, p.out.String(), fmt.Sprintf("chunk %d: %s", first, index))
			p = granter(t, s.command("status"))
			require.Contains(t, p.out.String(), index, "the plain status says so, too")
			p = other.run()
			require.Contains(t, []int{exitUsage, exitPreflight}, p.wait())
			require.Contains(t, p.err.String(), "another spec")
			p = other.run("--force", "--why=test")
			require.Equal(t, exitUsage, p.wait())
			p = granter(t, other.command("run", "--dry-run"))
			require.Contains(t, []int{exitUsage, exitPreflight}, p.wait())
			s.finish()
			p = granter(t, s.command("status", "--prove"))
			require.Zero(t, p.wait(), p.out.String())
			s.exactlyOnce()
		})
	}
	runs := "granter:{" + s.campaign.Name + "}:runs"
	require.NoError(t, s.client.Rename(t.Context(), runs, runs+"-kept").Err())
	require.NoError(t, s.client.Set(t.Context(), runs, "x", 0).Err())
	p := granter(t, s.command("status", "--prove"))
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, p.out.String()+p.err.String(), runs)
	require.Contains(t, p.out.String(), "WRONGTYPE")
	require.NoError(t, s.client.Rename(t.Context(), runs+"-kept", runs).Err())
	s.proven()
}
