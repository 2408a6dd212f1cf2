//go:build integration

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// instance writes a unit as it is when it is started for a campaign, with the binary of the tests.
func instance(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile("systemd/" + name)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), strings.Replace(name, "@", "@sorry", 1))
	unit := strings.NewReplacer(append(replace, "/usr/local/bin/granter", binary(t).path)...).Replace(string(text))
	require.NoError(t, os.WriteFile(file, []byte(unit), 0o644))
	return file
}

// analyze runs systemd-analyze, which needs no running systemd for this.
func analyze(args ...string) (string, error) {
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

func TestSystemdUnitsAreValid(t *testing.T) {
	for _, name := range units {
		out, err := analyze("verify", "--man=no", "--recursive-errors=no", instance(t, name))
		require.NoError(t, err, "%s (this test needs Debian's package systemd)", out)
		require.Empty(t, out)
	}
	// It does find what is wrong.
	out, err := analyze("verify", "--man=no", "--recursive-errors=no", instance(t, units[0], "ProtectHome", "ProtectHom"))
	require.Error(t, err)
	require.Contains(t, out, "ProtectHom")
}

// systemd's own judgement, from 0 (nothing can be done with it) to 10 (everything); 0.2 of ours is for the network.
func TestSystemdUnitsAreConfined(t *testing.T) {
	for _, name := range units {
		out, err := analyze("security", "--offline=true", "--no-pager", "--threshold=15", instance(t, name))
		require.NoError(t, err, "%s", out)
	}
}
