//go:build integration

package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

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

// Orders that nobody is there to obey are obeyed by whoever comes.
func TestOrdersWhenNobodyRuns(t *testing.T) {
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
	s.exactlyOnce()

	history := s.order("history")
	for _, what := range []string{"nothing: it was neither", "aborted → goes on", "runs end when what was in the topic then is granted"} {
		require.Contains(t, history, what)
	}
}
