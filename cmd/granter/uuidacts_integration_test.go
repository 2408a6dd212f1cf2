//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
)

// everyOf is every so manieth ID of a list.
func everyOf(ids []string, step int) (some []string) {
	for i := 0; i < len(ids); i += step {
		some = append(some, ids[i])
	}
	return some
}

// listed writes IDs into a file beside the spec.
func (s *scenario) listed(name string, ids []string) (path string) {
	s.Helper()
	path = filepath.Join(filepath.Dir(s.spec), name)
	require.NoError(s, os.WriteFile(path, []byte(strings.Join(ids, "\n")+"\n"), 0o600))
	return path
}

// Two replicas grant UUIDs, people act on single users and on lists, and replicas and commands are killed in the middle: who is
// listed is excluded before anybody is granted, each act is done once, proof and audit agree, and a fresh group that replays the
// topic grants nobody again, counts who is excluded as withheld, and gives nobody back what was revoked.
func TestActsOnUUIDsWhileReplicasAreKilled(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr).ofUUIDs()
	plan := s.users(0, 100_000)
	var ids []string
	for id := range plan.IDs {
		ids = append(ids, id.String())
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	require.Len(t, ids, 100_000)
	out, fraud := everyOf(ids[1:], 101), everyOf(ids, 40)
	out = slices.DeleteFunc(out, func(id string) bool { return slices.Contains(fraud, id) })
	s.listed("out.csv", append([]string{"{" + strings.ToUpper(out[0]) + "}"}, out...))
	spec, err := os.ReadFile(s.spec)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.spec, append(spec, "exclude: [{file: out.csv, reason: foreign phone number}]\n"...), 0o600))
	s.campaign, err = campaign.Load(s.spec)
	require.NoError(t, err)
	s.useRedis(s.redis...)
	s.publish(plan)
	lift := s.throttle(30_000)

	replicas := []*process{s.run("--session-timeout=700ms"), s.run("--session-timeout=700ms")}
	s.awaitGranted(replicas[0], 1)
	totals, err := s.reader.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(out), totals.Excluded, "before the first grant of any replica")
	var late []string
	for n := range 5000 {
		late = append(late, fmt.Sprintf("ffffffff-ffff-4fff-bfff-%012x", n))
	}
	bulk := []command{
		s.command("revoke", "--kind=fraud", "--reason=bots", "--request=fraud", "--users="+s.listed("fraud.csv", fraud)),
		s.command("grant-user", "--reason=late", "--request=late", "--users="+s.listed("late.csv", late)),
		s.command("reinstate", "--reason=wrong", "--request=wrong", fraud[7]),
		s.command("move", "--reason=merged", "--request=merged", fraud[7], "eeeeeeee-eeee-4eee-beee-eeeeeeeeeeee"),
		s.command("note", "--reason=called", "--request=called", late[0]),
	}
	for round, some := range [][]command{bulk[:1], bulk[1:3], bulk[3:]} {
		i := round % len(replicas)
		var killed []*process
		for _, c := range some {
			killed = append(killed, start(t, c))
		}
		replicas[i].killAfter(time.Since(replicas[i].began) + s.upTo(500*time.Millisecond))
		for _, p := range killed {
			p.killAfter(s.upTo(600 * time.Millisecond))
		}
		replicas[i] = s.run("--session-timeout=700ms")
	}
	lift()
	for _, p := range replicas {
		require.Zero(t, p.wait(), p.err.String())
	}
	s.finish()
	for _, c := range bulk {
		granter(t, c).wait() // a user who was moved before all of the first was done is refused there
	}
	erased := granter(t, s.command("erase-user", "--reason=request 88", "--confirm="+late[0], late[0]))
	require.Zero(t, erased.wait(), erased.err.String())
	check := func() {
		t.Helper()
		proof, err := s.reader.Prove(t.Context())
		require.NoError(t, err)
		require.True(t, proof.Holds(), "%+v", proof.Violations)
		require.EqualValues(t, len(out), proof.Excluded)
		require.EqualValues(t, len(ids)-len(out)+len(late)+1, proof.Granted)
		var asked []grant.UserID
		for _, id := range fraud {
			asked = append(asked, grant.TextID(id))
		}
		users, err := s.reader.Users(t.Context(), asked)
		require.NoError(t, err)
		for i := range users {
			if u := &users[i]; i != 7 {
				require.NotNil(t, u.State.Revoked, "user %s", u.User)
				require.Len(t, u.State.Acts, 1)
			}
		}
		require.NotNil(t, users[7].State.MovedTo)
	}
	check()
	fresh := s.finish("--group=" + s.campaign.Name + "-fresh")
	require.Zero(t, fresh.Granted, "a replay grants nobody again")
	require.GreaterOrEqual(t, fresh.Withheld, int64(len(out)))
	check()
	dry := granter(t, s.command("run", "--dry-run", "--json"))
	require.Zero(t, dry.wait(), dry.out.String()+dry.err.String())
	s.proven()
}
