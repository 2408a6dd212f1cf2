//go:build integration

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// instance writes a unit as it is when it is started for a campaign, with the binary of the tests.
func instance(t *testing.T, name string, replace ...string) string {
	t.Helper()
	dir := t.TempDir()
	files, _ := unitFiles(t, name)
	for i, from := range files {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		to := filepath.Join(dir, name)
		if i > 0 {
			to = filepath.Join(to+".d", filepath.Base(from))
			require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		}
		unit := strings.NewReplacer(append(replace, "/usr/local/bin/granter", binary(t).path)...).Replace(string(text))
		require.NoError(t, os.WriteFile(to, []byte(unit), 0o644))
	}
	return filepath.Join(dir, name)
}

// analyze runs systemd-analyze, which needs no running systemd for this.
func analyze(args ...string) (string, error) {
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

func TestSystemdUnitsAreValid(t *testing.T) {
	timers := []string{"granter-claims-money.timer", "granter-claims-purge.timer"}
	for _, name := range slices.Concat(services, timers) {
		if strings.HasSuffix(name, ".timer") { // it wants its service beside it
			out, err := analyze("verify", "--man=no", "--recursive-errors=no", "systemd/"+name)
			require.NoError(t, err, "%s", out)
			continue
		}
		out, err := analyze("verify", "--man=no", "--recursive-errors=no", instance(t, name))
		require.NoError(t, err, "%s (this test needs Debian's package systemd)", out)
		require.Empty(t, out)
	}
	// It does find what is wrong.
	out, err := analyze("verify", "--man=no", "--recursive-errors=no", instance(t, services[0], "ProtectHome", "ProtectHom"))
	require.Error(t, err)
	require.Contains(t, out, "ProtectHom")
}

// systemd's own judgement, from 0 (nothing can be done with it) to 10 (everything); 0.2 of ours is for the network.
func TestSystemdUnitsAreConfined(t *testing.T) {
	for _, name := range services {
		out, err := analyze("security", "--offline=true", "--no-pager", "--threshold=15", instance(t, name))
		require.NoError(t, err, "%s", out)
	}
}
