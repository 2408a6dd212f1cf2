//go:build integration

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
)

// digestOf is what granter digest says of a ledger or a file.
func (s *scenario) digestOf(args ...string) exported {
	s.Helper()
	var out exported
	p := granter(s.T, s.command("digest", args...))
	require.Zero(s, p.wait(), p.err.String())
	require.NoError(s, json.Unmarshal([]byte(p.out.String()), &out))
	return out
}

// A ledger is exported and imported into a cluster, whoever is killed; and it is made again of Kafka.
func TestALedgerIsExportedImportedAndRebuilt(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	const users = 300_000
	s.publish(s.users(0, users))
	first := s.finish()
	path := filepath.Join(t.TempDir(), "campaign.ledger")
	for range 3 {
		p := start(t, s.command("export", "--why=a test", path))
		await(t, "the export begins, or is over", func() bool {
			parts, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*.part"))
			return !p.running() || err == nil && len(parts) > 0
		})
		p.kill()
		p.wait()
	}
	if _, err := os.Stat(path); err == nil { // it was quicker, and then it is whole
		require.Zero(t, granter(t, command{args: []string{"digest", path}}).wait())
	}
	p := granter(t, s.command("export", "--why=a test", path))
	require.Zero(t, p.wait(), p.err.String())
	info, err := os.Stat(path)
	require.NoError(t, err)
	t.Logf("%d bytes, %.2f for each user: %s", info.Size(), float64(info.Size())/float64(first.Granted), p.out.String())
	was := s.digestOf("--json")
	require.Equal(t, first.Granted, was.End.Granted)

	cluster := devtest.StartRedisCluster(t, 3, 0, durable()...)
	there := []string{"--redis", strings.Join(cluster.Addrs, ",")}
	restore := command{args: append([]string{"import", "--why=moved", path}, there...)}
	format := "granter:{" + s.campaign.Name + "}:format"
	target, err := ledger.Connect(ledger.Options{Addrs: cluster.Addrs, Cluster: true})
	require.NoError(t, err)
	defer target.Close()
	for range 3 { // as soon as it has begun to write
		p := start(t, restore)
		await(t, "the import begins, or is over", func() bool {
			return !p.running() || target.Exists(t.Context(), format).Val() == 1
		})
		p.kill()
		p.wait()
		left, err := target.HGet(t.Context(), format, "import").Result()
		t.Logf("left behind: %q %v", left, err)
	}
	for range 2 { // the second one finds that nothing is to be done
		p = granter(t, restore)
		require.Zero(t, p.wait(), p.err.String())
	}
	require.Contains(t, p.out.String(), "nothing was changed")
	old := s.redis
	s.redis, s.cluster = cluster.Addrs, true
	now := s.digestOf("--json")
	require.Equal(t, was.End.Users, now.End.Users)
	require.Equal(t, was.End.Ledger, now.End.Ledger)
	s.useRedis(s.redis...)
	s.publish(s.users(users, 1000))
	require.EqualValues(t, 1000, s.finish().Granted, "the run goes on from the file's checkpoint")
	s.exactlyOnce()

	// The Redis of before is lost: it is made again of the topic, with the same users.
	was = s.digestOf("--json")
	s.redis, s.cluster = old, false
	s.useRedis(s.redis...)
	refused := granter(t, s.command("rebuild", "--why=a test"))
	require.Equal(t, exitUsage, refused.wait())
	require.Contains(t, refused.err.String(), "not empty")
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	require.Zero(t, granter(t, s.command("rebuild", "--dry-run")).wait())
	require.Empty(t, s.client.Keys(t.Context(), "granter:*").Val())
	p = granter(t, s.command("rebuild", "--why=it was lost"))
	require.Zero(t, p.wait(), p.err.String())
	require.Contains(t, p.out.String(), was.End.Users)
	s.exactlyOnce()

	// And of the export and the rest of the topic, after a kill in the middle, too.
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	for range 2 {
		p = start(t, s.command("rebuild", "--why=it was lost", "--from="+path))
		await(t, "it has begun, or is over", func() bool {
			return !p.running() || len(s.client.Keys(t.Context(), "granter:*").Val()) > 0
		})
		p.kill()
	}
	p = granter(t, s.command("rebuild", "--why=it was lost", "--from="+path))
	require.Zero(t, p.wait(), p.err.String())
	require.Contains(t, p.out.String(), was.End.Users)
	s.exactlyOnce()

	// Retention has passed: of the topic alone it is refused, and says what is gone; of the export and the rest it is the same.
	for partition := range 4 {
		s.remove(int32(partition), 1000)
	}
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	refused = granter(t, s.command("rebuild", "--why=it was lost"))
	require.NotZero(t, refused.wait())
	require.Contains(t, refused.err.String(), "the topic no longer has 4,000 records that the ledger is to be made of")
	require.Contains(t, refused.err.String(), "--accept-gap 0:0-1000")
	require.Empty(t, s.client.Keys(t.Context(), "granter:*").Val())
	p = granter(t, s.command("rebuild", "--why=it was lost", "--from="+path))
	require.Zero(t, p.wait(), p.err.String())
	require.Contains(t, p.out.String(), was.End.Users)
	require.Equal(t, was.End.Granted, s.granted())
	r := s.audit()
	require.Equal(
		t,
		audit.NotProven,
		r.Verdict,
		"what is gone from the topic cannot be held against it; nothing contradicts: %+v",
		r.Findings,
	)
	require.Equal(t, was.End.Users, r.Ledger.Digest)
	ends := s.ends(s.campaign.Input.Topic)
	s.remove(0, ends[0]) // also what came after the export
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	refused = granter(t, s.command("rebuild", "--why=it was lost", "--from="+path))
	require.NotZero(t, refused.wait())
	gap := regexp.MustCompile(`--accept-gap (0:\S+)`).FindStringSubmatch(refused.err.String())
	require.NotNil(t, gap, refused.err.String())
	require.Empty(t, s.client.Keys(t.Context(), "granter:*").Val())
	p = granter(t, s.command("rebuild", "--why=it was lost", "--from="+path, "--accept-gap="+gap[1]))
	require.Zero(t, p.wait(), p.err.String())
	r = s.finds(audit.RecordsGone, audit.Unprovable)
	require.Less(t, r.Ledger.Granted, was.End.Granted)
}
