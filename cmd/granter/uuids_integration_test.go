//go:build integration

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// Two replicas share a topic of UUIDs. Each is killed, others go on, and everybody is granted once.
func TestUUIDsAreGrantedOnceThroughKills(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).ofUUIDs()
	s.publish(s.users(0, 150_000))
	normal := s.throttle(40_000)
	s.flags = append(s.flags, "--session-timeout=700ms")
	a, b := s.run(), s.run()
	a.awaitLog("partitions assigned")
	b.awaitLog("partitions assigned")
	s.awaitGranted(a, 1000)
	a.kill()
	s.awaitGranted(b, s.granted()+1000)
	b.kill()
	s.publish(s.users(100_000, 100_000)) // half of whom were there before
	last := s.run()
	s.awaitGranted(last, s.granted()+1)
	last.killAfter(s.upTo(300 * time.Millisecond))
	normal()
	s.finish()
	user := s.someUser()
	verified := granter(t, s.command("verify", user.String()))
	require.Zero(t, verified.wait(), verified.err.String())
	require.Contains(t, verified.out.String(), "user "+user.String()+": granted")
	s.exactlyOnce()
}

// someUser is one who was published.
func (s *scenario) someUser() grant.UserID {
	for id := range s.plans[0].IDs {
		return id
	}
	return grant.UserID{}
}

// membersExactlyOnce is exactlyOnce where IDs are not dense: who was published is granted, each in one entry, and nobody else.
func (s *scenario) membersExactlyOnce() {
	s.Helper()
	published := map[grant.UserID]bool{}
	malformed := int64(0)
	for _, plan := range s.plans {
		for id := range plan.IDs {
			published[id] = true
		}
		malformed += plan.Counts().Malformed
	}
	buckets, err := s.reader.Chunks(s.Context())
	require.NoError(s, err)
	stored, err := s.reader.BucketMembers(s.Context(), buckets)
	require.NoError(s, err)
	form := userid.FormOf(&s.campaign.Input)
	granted := map[grant.UserID]bool{}
	for _, entries := range stored {
		for _, e := range entries {
			for members := e.Members; len(members) > 0; members = members[form.Width():] {
				id := form.ID(members[:form.Width()])
				require.False(s, granted[id], "%s is granted twice", id)
				require.True(s, published[id], "%s is granted, and nobody published it", id)
				granted[id] = true
			}
		}
	}
	require.Len(s, granted, len(published))
	proof, err := s.reader.Prove(s.Context())
	require.NoError(s, err)
	require.True(s, proof.Holds(), "%+v", proof)
	require.EqualValues(s, len(published), proof.Granted)
	checkpoint, err := s.reader.Checkpoints(s.Context(), s.campaign)
	require.NoError(s, err)
	require.Equal(s, s.ends(s.campaign.Input.Topic), checkpoint.Next)
	letters := int64(0)
	for _, end := range s.ends(s.campaign.Input.DeadLetterTopic()) {
		letters += end
	}
	require.GreaterOrEqual(s, letters, malformed)
	r := s.proven()
	require.True(s, r.Over)
	require.EqualValues(s, len(published), r.Topic.Users)
	require.Equal(s, proof.Digest, r.Topic.Digest)
	require.Equal(s, proof.Digest, r.Ledger.Digest)
}

// A rollout of UUIDs, step by step: a share of the users, some of a list, a pause, a limit, and everybody, while more of them
// arrive. Each is granted once, and who is withheld is counted.
func TestUUIDsAreRolledOutStepByStep(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 2, devtest.StartRedis(t, durable()...).Addr).ofUUIDs()
	plan := s.users(0, 20_000)
	plan.Duplicates, plan.Malformed = 0, 0
	s.publish(plan)

	canary := s.finish("--canary=10%")
	require.EqualValues(t, 20_000, canary.Granted+canary.Withheld)
	require.InDelta(t, 2000, canary.Granted, 250)
	require.Equal(t, canary.Granted, s.granted())
	again := s.finish("--canary=10%")
	require.Zero(t, again.Granted, "the same users, from the checkpoint of the same canary")

	list := filepath.Join(t.TempDir(), "list")
	var ids []string
	for id := range plan.IDs {
		if ids = append(ids, "{"+strings.ToUpper(id.String())+"}"); len(ids) == 50 {
			break
		}
	}
	absent := "ffffffff-ffff-4fff-bfff-ffffffffffff"
	require.NoError(t, os.WriteFile(list, []byte(strings.Join(append(ids, absent), "\n")), 0o600))
	only := s.finish("--only=" + list)
	require.EqualValues(t, 51, *only.Listed)
	require.EqualValues(t, 1, *only.Missing)
	require.Equal(t, absent, only.Absent[0].String())
	require.EqualValues(t, 20_000, only.Granted+only.Duplicate+only.Withheld)
	require.EqualValues(t, 50, only.Granted+only.Duplicate)

	before := s.granted()
	s.order("pause", "--why=test")
	p := s.run("--follow")
	p.awaitLog("paused by")
	require.Equal(t, before, s.granted())
	normal := s.throttle(2000)
	s.order("resume", "--why=test")
	s.awaitGranted(p, before+1)
	require.Less(t, s.granted(), int64(20_000), "it is limited")
	normal()
	s.awaitGranted(p, 20_000)
	s.publish(s.users(20_000, 100))
	s.awaitGranted(p, 20_100)
	p.interrupt()
	require.Equal(t, exitStopped, p.wait())
	s.exactlyOnce()
}
