package main

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/audit"
)

// A ledger that is made again of the topic alone lacks what people did. Whoever does that is told before, and of how many users;
// the ledger says so from then on; and the audit that follows the one of before names it. With an export nothing is lacking.
func TestARebuildSaysWhatItDoesNotBringBack(t *testing.T) {
	k := startKept(t)
	k.load(numbers(65_530, 65_570))
	k.put([]string{"u70000"})
	k.ends(exitOK, "exclude", "--reason=foreign number", "65540")
	k.does(nil, "run")
	k.ends(exitOK, "grant-user", "--reason=late", "900000")
	k.ends(exitOK, "revoke", "--kind=fraud", "--reason=bots", "65550")
	k.ends(exitOK, "rejected replay", "--command=tr -d u", "--why=a test")
	key, reports := k.file("key"), k.file("reports")+"/"
	p := granter(t, command{args: []string{"audit", "keygen", key}})
	require.Zero(t, p.wait(), p.err.String())
	signed := []string{"--complete", "--key", key, "--report", reports}
	k.ends(exitOK, "audit", signed...)
	files, err := filepath.Glob(reports + "*.report")
	require.NoError(t, err)
	require.Len(t, files, 1)
	last := []string{"--report", files[0], "--public", key + ".pub"}
	ledger := k.file("campaign.ledger")
	k.ends(exitOK, "export", "--why=a test", ledger)

	require.NoError(t, k.client.FlushAll(t.Context()).Err())
	said := k.ends(exitOK, "rebuild", append(last, "--dry-run")...)
	require.Contains(t, said, "a rebuild of the topic alone does not bring back")
	require.Contains(t, said, "there were 1 users granted by hand, 1 excluded, "+
		"1 with other acts (revoked, extended, moved, noted), 1 granted by replays")
	require.Contains(t, k.ends(exitUsage, "rebuild", "--why=a test", "--report", files[0]), "Name the public key by --public")
	require.Contains(t, k.ends(exitOK, "rebuild", "--dry-run"), "An export has all of that")
	require.Empty(t, k.client.Keys(t.Context(), "granter:*").Val(), "nothing is written yet")
	k.ends(exitOK, "exclude", "--reason=foreign number, again", "65540")
	said = k.ends(exitOK, "rebuild", append(last, "--why=it was lost")...)
	require.Contains(t, said, "they are NOT the users of the report of")
	require.Contains(t, k.ends(exitOK, "status"), "of the topic alone: what people did about users before is not in it")
	k.marked(true, true)
	require.Contains(t, k.ends(exitUsage, "rebuild", "--why=again"), "not empty")

	said = k.ends(exitRefuted, "audit", signed...)
	require.Contains(t, said, "ACTS_GONE: when the report before was made there were 1 users granted by hand, 1 excluded")
	require.Contains(t, said, "LEDGER_CHANGED: run ")
	require.Contains(t, said, "now there are 0 users granted by hand, 1 excluded")
	require.Contains(t, said, "(3)", "so many users")
	said = k.ends(exitOK, "audit", signed...)
	require.Contains(t, said, "PROVEN: all 41 users", "nobody is missing, and the excluded one is not granted")
	require.Regexp(t, `excluded +1\n`, said)
	require.Contains(t, said, "The ledger was made again at ", "and it stays known what is")
	verify := []string{"audit", "verify", "--public", key + ".pub"}
	verified := granter(t, command{args: append(verify, sortedReports(t, reports)...)})
	require.Zero(t, verified.wait(), verified.err.String())
	require.Contains(t, verified.out.String(), "The ledger was made again at ")

	require.NoError(t, k.client.FlushAll(t.Context()).Err())
	said = k.ends(exitOK, "rebuild", append(last, "--why=it was lost", "--from", ledger)...)
	require.Contains(t, said, "they are the users of the report of")
	k.marked(true, false)
	require.Contains(t, k.ends(exitUsage, "rebuild", "--why=again", "--from", ledger), "not empty")
	r := k.proven()
	require.Equal(t, audit.LedgerReport{
		Granted: 42, ByRun: 40, ByReplay: 1, ByHand: 1, Excluded: 1, Acted: 1, Chunks: r.Ledger.Chunks, Entries: r.Ledger.Entries,
		Digest: r.Ledger.Digest, GrantedDigest: r.Ledger.GrantedDigest,
	}, r.Ledger)
	require.NotNil(t, r.Rebuilt[0].Export)
}

func sortedReports(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "*.report")
	require.NoError(t, err)
	return files // by their times
}

// numbers are the numbers from one up to, and including, another.
func numbers(from, to int) (out []string) {
	for i := from; i <= to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}
