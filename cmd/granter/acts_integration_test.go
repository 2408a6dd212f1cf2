//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
)

// Two replicas grant, people act on single users and on lists, and replicas and commands are killed in the middle: everybody
// who is listed is excluded, each act is done once, the proof and an audit agree, and a replay grants nobody again.
func TestActsWhileReplicasAreKilled(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	spec, err := os.ReadFile(s.spec)
	require.NoError(t, err)
	excludes := fmt.Sprintf("exclude: [{file: out.csv, reason: foreign phone number}, {topic: %s.out}]\n", s.campaign.Name)
	require.NoError(t, os.WriteFile(s.spec, append(spec, excludes...), 0o600))
	s.campaign, err = campaign.Load(s.spec)
	require.NoError(t, err)
	s.useRedis(s.redis...)
	s.list("out.csv", 0, 150_086, 101)
	s.excludedByTopic(150_086, 300_000, 101) // 150,086 is a multiple of 101
	listed := 300_000/101 + 1
	s.publish(s.users(0, 300_000))
	lift := s.throttle(60_000)

	replicas := []*process{s.run("--session-timeout=700ms"), s.run("--session-timeout=700ms")}
	s.awaitGranted(replicas[0], 1)
	totals, err := s.reader.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, listed, totals.Excluded, "before the first grant of any replica")

	fraud := s.list("fraud.csv", 3, 300_000, 40)
	late := s.list("late.csv", 400_000, 430_000, 2)
	never := s.list("never.csv", 500_000, 520_000, 20)
	byHand := 520_000/20 - 500_000/20
	bulk := []command{ // each names its request, so that it is done once, however often it is sent
		s.command("revoke", "--kind=fraud", "--reason=bots", "--request=fraud", "--users="+fraud),
		s.command("grant-user", "--reason=late", "--users="+late),
		s.command("exclude", "--reason=foreign", "--users="+never),
		s.command("reinstate", "--reason=wrong", "--request=wrong", "43"),
		s.command("extend", "--reason=late", "--request=late", "--until=2030-01-01T00:00:00Z", "1"),
		s.command("move", "--reason=merged", "--request=merged", "2", "900000"),
		s.command("note", "--reason=called", "--request=called", "4"),
	}
	for round, some := range [][]command{bulk[:1], bulk[1:3], bulk[3:5], bulk[5:]} {
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
		granter(t, c) // some rows of the first are excluded, and refused
	}
	s.actedOnce(fraud, late, listed, byHand)

	fresh := s.finish("--group=" + s.campaign.Name + "-fresh")
	require.Zero(t, fresh.Granted, "a replay grants nobody again")
	s.actedOnce(fraud, late, listed, byHand)
	s.proven()
}

// excludedByTopic writes every so manieth user of a range into the topic of those who are excluded, with a reason each and some
// twice; and one of all others into a transaction that is given up.
func (s *scenario) excludedByTopic(from, to, step int) {
	s.Helper()
	topic := s.campaign.Name + ".out"
	devtest.SharedKafka(s.T).CreateTopic(s.T, topic, 3, 1, nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.DefaultProduceTopic(topic), kgo.TransactionalID(topic))
	require.NoError(s, err)
	defer client.Close()
	send := func(end kgo.TransactionEndTry, users ...int) {
		require.NoError(s, client.BeginTransaction())
		var records []*kgo.Record
		for _, user := range users {
			records = append(records, &kgo.Record{Key: []byte(strconv.Itoa(user)), Value: []byte("left the service")})
		}
		require.NoError(s, client.ProduceSync(s.Context(), records...).FirstErr())
		require.NoError(s, client.EndTransaction(s.Context(), end))
	}
	users := []int{from}
	for user := from; user < to; user += step {
		users = append(users, user)
	}
	send(kgo.TryCommit, users...)
	send(kgo.TryAbort, from+1)
}

// list writes every so manieth user of a range into a file beside the spec.
func (s *scenario) list(name string, from, to, step int) (path string) {
	s.Helper()
	var b strings.Builder
	for user := from; user < to; user += step {
		fmt.Fprintln(&b, user)
	}
	path = filepath.Join(filepath.Dir(s.spec), name)
	require.NoError(s, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

// actedOnce checks what acts made of users, and that the ledger is proven.
func (s *scenario) actedOnce(fraud, late string, listed, byHand int) {
	s.Helper()
	proof, err := s.reader.Prove(s.Context())
	require.NoError(s, err)
	require.True(s, proof.Holds(), "%+v", proof.Violations)
	require.EqualValues(s, listed+byHand, proof.Excluded)
	require.EqualValues(s, 300_000-listed+15_000+1, proof.Granted, "the topic, those by hand, and one account that has another's")
	for _, path := range []string{fraud, late} {
		text, err := os.ReadFile(path)
		require.NoError(s, err)
		var ids []grant.UserID
		for line := range strings.Lines(string(text)) {
			ids = append(ids, grant.TextID(strings.TrimSpace(line)))
		}
		users, err := s.reader.Users(s.Context(), ids)
		require.NoError(s, err)
		for i := range users {
			u := &users[i]
			if u.Place == grant.PlaceExcluded {
				require.Zero(s, u.User.Number()%101)
				continue
			}
			acts := slices.Clone(u.State.Acts)
			slices.Sort(acts)
			require.Len(s, slices.Compact(acts), len(acts), "user %s: an act was done twice", u.User)
			if path == fraud && u.User.Number() != 43 {
				require.NotNil(s, u.State.Revoked, "user %s", u.User)
				require.Len(s, u.State.Acts, 1)
			}
			if path == late {
				require.Equal(s, grant.ActHand, u.Settled.Act.Kind)
			}
		}
	}
}
