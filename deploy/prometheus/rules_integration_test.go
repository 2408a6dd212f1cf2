//go:build integration

package prometheus_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
	require.NoError(t, err, "promtool %q (Debian package prometheus)\n%s", args, out)
}

func TestPrometheusAcceptsRulesAndConfiguration(t *testing.T) {
	promtool(t, "check", "rules", "granter.rules.yml")
	promtool(t, "check", "config", "prometheus.yml")
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	files, err := filepath.Glob("granter.rules.*.test.yml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(name, func(t *testing.T) { promtool(t, "test", "rules", name) })
	}
}
