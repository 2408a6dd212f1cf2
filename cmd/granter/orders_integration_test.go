//go:build integration

package main

import (
	"encoding/json"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// order gives an order by the command line, and returns what it says.
func (s *scenario) order(action string, flags ...string) string {
	s.Helper()
	p := granter(s.T, s.command(action, flags...))
	require.Zero(s, p.wait(), p.err.String())
	return p.out.String()
}

// how returns what granter status says.
func (s *scenario) how() (out status.Status) {
	s.Helper()
	require.NoError(s, json.Unmarshal([]byte(s.order("status", "--json")), &out))
	return out
}

// An abort holds: a follower in a restart loop, as supervisors make one, grants nobody any more, not even after Redis was
// restarted. Who stands by waits, and after resume it goes on where the aborted run left off.
func TestAbortHoldsThroughRestarts(t *testing.T) {
	t.Parallel()
	const users = 200_000
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr)
	s.publish(s.users(0, users))
	s.order("throttle", "20k", "--why=to see the middle")
	p := s.run("--follow")
	s.awaitGranted(p, 5000)
	said := s.order("abort", "--why=wrong emoticon", "--who=minji")
	require.Contains(t, said, "nobody is granted anything until resume")
	require.Equal(t, exitAborted, p.wait())
	require.Contains(t, p.err.String(), "(says minji) at ")
	require.Contains(t, p.err.String(), "wrong emoticon")
	require.Equal(t, grant.RunAborted, s.record(p).State)
	s.order("throttle", "off", "--why=as fast as it goes")

	granted := s.granted()
	require.Less(t, granted, int64(users))
	for restart := range 3 {
		if restart == 2 {
			r.Restart()
		}
		p := s.run("--follow")
		require.Equal(t, exitAborted, p.wait())
		require.Contains(t, p.err.String(), "granter resume", "it says how to go on")
		require.Equal(t, granted, s.granted())
	}
	now := s.how()
	require.Equal(t, status.PhaseAborted, now.Phase)
	require.Regexp(t, `^aborted by .*@.* \(says minji\) at 2\S+: wrong emoticon$`, now.Orders[0].Says)
	require.Len(t, now.Runs, 1, "those that ended at once are no runs")
	text := s.order("status")
	require.Contains(t, text, "aborted")
	require.Contains(t, text, "(says minji)")
	require.Contains(t, s.order("abort", "--why=really"), "nothing: it was aborted")

	waits := s.run("--follow", "--stand-by")
	await(t, "it stands by", func() bool { h := s.record(waits).Holds; return len(h) == 1 && h[0].Cause == grant.CauseAborted })
	require.Equal(t, granted, s.granted())
	require.Contains(t, s.order("resume", "--why=the spec is right"), "aborted → goes on")
	await(t, "it goes on", func() bool { return s.granted() == users })
	s.order("finish", "--why=everybody has it")
	require.Zero(t, waits.wait(), waits.err.String())
	require.Less(t, waits.summary().Consumed, int64(users+users/20), "it goes on from the checkpoint")
	s.exactlyOnce()
}

// A budget that somebody broke ends the run after --retry-for, with the key named, instead of holding it for ever.
func TestABrokenBudgetEndsTheRun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 100_000))
	s.order("throttle", "1k", "--why=to see the middle")
	p := s.run("--retry-for=2s")
	s.awaitGranted(p, 100)
	key := "granter:{" + s.campaign.Name + "}:budget"
	_, err := s.client.TxPipelined(t.Context(), func(p redis.Pipeliner) error { // or else the run makes it again in between
		p.Del(t.Context(), key)
		return p.LPush(t.Context(), key, "broken").Err()
	})
	require.NoError(t, err)
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, p.err.String(), key+" is broken: delete it")
	require.NoError(t, s.client.Del(t.Context(), key).Err())
	s.order("throttle", "off", "--why=on with it")
	s.finish()
	s.exactlyOnce()
}

// A run that waits for a producer's transaction says so: which partition, how many records, since when.
func TestAnOpenTransactionIsNamed(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 10_000))
	producer, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.TransactionalID(s.campaign.Name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer producer.Close()
	require.NoError(t, producer.BeginTransaction())
	topic := s.campaign.Input.Topic
	require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("777777")}).FirstErr())

	p := s.run("--listen=127.0.0.1:0")
	var held []grant.Hold
	await(t, "it is held", func() bool { held = s.record(p).Holds; return len(held) == 1 })
	require.Equal(t, grant.CauseTransaction, held[0].Cause)
	require.Regexp(t, `^partition 1: \d+ records wait behind offset \d+ since \d\d:\d\d:\d\d UTC$`, held[0].Detail)
	now := s.how()
	require.Equal(t, status.PhaseThrottled, now.Phase)
	require.Equal(t, held[0].Detail, now.Holds[0].Detail)
	require.Contains(t, s.order("status"), "open_transaction since ")
	require.InDelta(t, 1, p.metric("granter_hold"), 0, "the only cause")
	require.NoError(t, producer.EndTransaction(t.Context(), kgo.TryCommit))
	require.Zero(t, p.wait(), p.err.String())
	require.Equal(t, int64(10_001), s.granted())
	s.proven() // published by others than the scenario
}

// Orders that nobody is there to obey are obeyed by whoever comes.
func TestOrdersWhenNobodyRuns(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 10_000))
	require.Contains(t, s.order("abort", "--why=not yet"), "no replica runs at the moment; those that start will end with exit code 6")
	require.Equal(t, exitAborted, s.run().wait())
	require.Equal(t, exitUsage, s.run("--resume").wait(), "without a reason")
	require.Zero(t, s.granted())
	require.EqualValues(t, 10_000, s.finish("--resume", "--why=now").Granted)

	// The same flags in a restart loop do not undo the next abort.
	s.order("abort", "--why=once more")
	p := s.run("--resume", "--why=now")
	require.Equal(t, exitAborted, p.wait())
	require.Contains(t, p.err.String(), "has been given before")
	s.finish("--resume", "--why=now again")

	// An order to finish holds for who comes later, whatever is in the topic by then.
	require.Contains(t, s.order("finish", "--why=over"), "no replica runs at the moment; those that start will end there")
	s.publish(s.users(10_000, 10_000))
	require.Zero(t, s.finish("--follow").Granted)
	now := s.how()
	require.Equal(t, status.PhaseFinished, now.Phase)
	require.Zero(t, *now.FinishLag)
	require.Positive(t, now.Lag)
	require.Regexp(t, `^ordered to finish by .* at .*: over$`, now.Orders[0].Says)
	s.order("pause", "--why=to look")
	require.Contains(t, s.order("status"), "ordered to finish by", "it is shown while paused, too")
	require.Contains(t, s.order("resume", "--why=seen"), "paused → goes on, up to where it was ordered to finish")

	waits := s.run("--follow", "--stand-by")
	await(t, "it stands by", func() bool { h := s.record(waits).Holds; return len(h) == 1 && h[0].Cause == grant.CauseFinished })
	require.Contains(t, s.order("resume", "--why=late users"), "ordered to finish → goes on")
	await(t, "late users have it", func() bool { return s.granted() == 20_000 })
	require.Contains(t, s.order("resume", "--why=once more"), "nothing: it was neither paused nor aborted nor ordered to finish")
	s.order("finish", "--why=over again")
	require.Zero(t, waits.wait())
	history := s.order("history")
	for _, what := range []string{"nothing: it was neither", "aborted → goes on", "runs end when what was in the topic then is granted"} {
		require.Contains(t, history, what)
	}
	s.exactlyOnce()
}
