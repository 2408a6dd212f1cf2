//go:build integration

package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/population"
)

// While users keep arriving, a granter that follows them is killed again and again.
func TestKilledWhileUsersArrive(t *testing.T) { devtest.EachKafka(t, killedWhileUsersArrive) }

func killedWhileUsersArrive(t *testing.T) {
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	published := s.trickle(s.users(0, 900_000), population.Options{Rate: 60_000, BatchRecords: 500})
	s.killRepeatedly(14, 1500*time.Millisecond, func(int) *process { return s.run("--follow") })
	published()
	s.finish()
	s.exactlyOnce()
}

// Before each kill there is a backlog, some of it from before, some new, and some of that naming earlier users.
func TestKilledWithABacklog(t *testing.T) {
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 500_000))
	normal := s.slow(200 * time.Millisecond)
	s.killRepeatedly(14, 1500*time.Millisecond, func(round int) *process {
		s.publish(s.users(400_000+int64(round)*100_000, 200_000))
		return s.run("--checkpoint-every=20ms", "--shards=1")
	})
	normal()
	s.finish()
	s.exactlyOnce()
}

// killRepeatedly starts granters and kills each of them once: the moments are random, and spread evenly over the time
// from the start of a process. Each is in the group of the one before, and so waits until Kafka gives that one up; only
// every seventh is in a group of its own, about which Kafka knows nothing, and reads everything again.
func (s *scenario) killRepeatedly(rounds int, reach time.Duration, start func(round int) *process) {
	s.Helper()
	const everySeventh, session = 7, 700 * time.Millisecond
	phases := map[string]int{}
	flags := s.flags
	for i, stratum := range s.rand.Perm(rounds) {
		limit := reach + session
		s.flags = append(slices.Clone(flags), "--session-timeout="+session.String())
		if i%everySeventh == everySeventh-1 {
			limit = reach
			s.flags = append(s.flags, fmt.Sprintf("--group=%s-%d", s.campaign.Name, i))
		}
		granted, checkpoint := s.granted(), s.checkpoint()
		p := start(i)
		p.killAfter(time.Duration(float64(limit) * (float64(stratum) + s.rand.Float64()) / float64(rounds)))
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
			phases["after a checkpoint"]++
		}
	}
	s.flags = flags
	s.Logf("killed %d granters: %v", rounds, phases)
}
