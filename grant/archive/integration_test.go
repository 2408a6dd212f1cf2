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
	"github.com/granter/granter/grant/ledger"
)

// A campaign moves from one Redis into a real cluster, and back.
func TestACampaignMovesIntoACluster(t *testing.T) {
	from := openBox(t, ledger.Options{Addrs: []string{devtest.StartRedis(t).Addr}, PoolSize: 4})
	from.fill()
	path, end := from.export()
	cluster := devtest.StartRedisCluster(t, 3, 0)
	to := openBox(t, ledger.Options{Addrs: cluster.Addrs, Cluster: true, PoolSize: 4})
	_, err := to.restore(path)
	require.NoError(t, err)
	same(t, from, to)
	proof, err := to.Reader.Prove(t.Context())
	require.NoError(t, err)
	require.Equal(t, end.Users, proof.Digest)
	back := openBox(t, ledger.Options{Addrs: []string{devtest.StartRedis(t).Addr}, PoolSize: 4})
	again, _ := to.export()
	_, err = back.restore(again)
	require.NoError(t, err)
	same(t, from, back)
}

// Another language reads a file by its description alone: with zstd and pyroaring.
func TestPythonReadsAFile(t *testing.T) {
	from := openBox(t, ledger.Options{Addrs: []string{devtest.StartRedis(t).Addr}, PoolSize: 4})
	from.fill()
	path, end := from.export()
	venv := filepath.Join(t.TempDir(), "venv")
	for _, command := range [][]string{
		{"python3", "-m", "venv", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
			"pyroaring==1.2.0", "zstandard==0.25.0"},
	} {
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(venv, "bin", "python"), "testdata/read.py", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	lines := strings.Fields(string(out))
	require.Equal(t, []string{end.Users, end.SHA256}, lines, "its digests, computed by python")
}
