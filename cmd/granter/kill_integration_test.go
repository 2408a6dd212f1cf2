//go:build integration

package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/population"
)

// While users keep arriving, a granter that follows them is killed again and again.
func TestKilledWhileUsersArrive(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	published := s.trickle(s.users(0, 360_000), population.Options{Rate: 24_000, BatchRecords: 200})
	normal := s.throttle(12_000) // fewer than arrive
	s.killRepeatedly(14, func(int) *process { return s.run("--follow") })
	published()
	normal()
	s.finish()
	s.exactlyOnce()
}

// Before each kill there is a backlog, some of it from before, some new, and some of that naming earlier users.
func TestKilledWithABacklog(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 200_000))
	refusing, normal := s.slow(50*time.Millisecond), s.throttle(40_000)
	s.killRepeatedly(14, func(round int) *process {
		s.publish(s.users(160_000+int64(round)*40_000, 80_000))
		return s.run("--checkpoint-every=20ms", "--shards=1")
	})
	refusing()
	normal()
	s.finish()
	s.exactlyOnce()
}

// killRepeatedly starts granters, which must have work for seconds, and kills each of them once. Three of four are killed
// between two flushes: a while after users were granted, with more to come. Every fourth is killed at a random moment
// from its start on, so most of those have not begun; they are spread evenly. Each is in the group of the one before, and
// so waits until Kafka gives that one up; only every seventh is in a group of its own, about which Kafka knows nothing,
// and reads everything again.
func (s *scenario) killRepeatedly(rounds int, start func(round int) *process) {
	s.Helper()
	const everyFourth, everySeventh, session, reach = 4, 7, 700 * time.Millisecond, 300 * time.Millisecond
	phases := map[string]int{}
	flags := s.flags
	for i, stratum := range s.rand.Perm(rounds) {
		share := (float64(stratum) + s.rand.Float64()) / float64(rounds)
		s.flags = append(slices.Clone(flags), "--session-timeout="+session.String())
		if i%everySeventh == everySeventh-1 {
			s.flags = append(s.flags, fmt.Sprintf("--group=%s-%d", s.campaign.Name, i))
		}
		granted, checkpoint := s.granted(), s.checkpoint()
		p := start(i)
		if i%everyFourth == everyFourth-1 {
			p.killAfter(time.Duration(float64(session+time.Second) * share))
		} else {
			p.awaitLog("partitions assigned") // by then Redis has had the last of the one before
			s.awaitGranted(p, s.granted()+1)
			p.began = time.Now()
			p.killAfter(time.Duration(float64(reach) * share))
			require.Negative(s, p.cmd.ProcessState.ExitCode(), "it must be killed, not end: give it more to do")
			require.Positive(s, s.toGo(), "it must be killed before its last flush: give it more to do")
		}
		switch {
		case p.cmd.ProcessState.ExitCode() >= 0:
			phases["after its end"]++
		case !p.says("partitions assigned"):
			phases["before it had partitions"]++
		case s.granted() == granted:
			phases["before its first flush"]++
		case maps.Equal(checkpoint, s.checkpoint()):
			phases["between a flush and its first checkpoint"]++
		default:
			phases["between two flushes, after a checkpoint"]++
		}
	}
	s.flags = flags
	s.Logf("killed %d granters: %v", rounds, phases)
}

// toGo returns how many records of the topic are beyond the checkpoint.
func (s *scenario) toGo() (records int64) {
	s.Helper()
	checkpoint := s.checkpoint()
	for partition, end := range s.ends(s.campaign.Input.Topic) {
		records += end - checkpoint[partition]
	}
	return records
}
