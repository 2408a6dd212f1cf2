//go:build integration

package archive

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// A campaign moves from one Redis into a real cluster, and back.
func TestACampaignMovesIntoACluster(t *testing.T) {
	one, other := devtest.StartRedis(t), devtest.StartRedis(t)
	cluster := devtest.StartRedisCluster(t, 3, 0)
	for _, ids := range []grant.IDs{"", grant.IDsUUID} {
		from := openBoxOf(t, ledger.Options{Addrs: []string{one.Addr}, PoolSize: 4}, ids)
		from.empty()
		from.fillAny()
		path, end := from.export()
		to := openBoxOf(t, ledger.Options{Addrs: cluster.Addrs, Cluster: true, PoolSize: 4}, ids)
		to.empty()
		_, err := to.restore(path)
		require.NoError(t, err)
		same(t, from, to)
		proof, err := to.Reader.Prove(t.Context())
		require.NoError(t, err)
		require.Equal(t, end.Users, proof.Digest)
		back := openBoxOf(t, ledger.Options{Addrs: []string{other.Addr}, PoolSize: 4}, ids)
		back.empty()
		again, _ := to.export()
		_, err = back.restore(again)
		require.NoError(t, err)
		same(t, from, back)
	}
}

// Another language reads a file by its description alone: with zstd and pyroaring.
func TestPythonReadsAFile(t *testing.T) {
	server := devtest.StartRedis(t)
	venv := filepath.Join(t.TempDir(), "venv")
	for _, command := range [][]string{
		{"python3", "-m", "venv", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
			"pyroaring==1.2.0", "zstandard==0.25.0", "xxhash==3.6.0"},
	} {
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	for _, ids := range []grant.IDs{"", grant.IDsUUID, grant.IDsString} {
		from := openBoxOf(t, ledger.Options{Addrs: []string{server.Addr}, PoolSize: 4}, ids)
		from.empty()
		from.fillAny()
		path, end := from.export()
		cmd := exec.CommandContext(t.Context(), filepath.Join(venv, "bin", "python"), "testdata/read.py", path)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		lines := strings.Fields(string(out))
		require.Equal(t, []string{end.Users, end.SHA256}, lines, "its digests, computed by python")
	}
}
