//go:build integration

package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/prometheus"
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

func TestPrometheusAcceptsQuickerRules(t *testing.T) {
	name := filepath.Join(t.TempDir(), "quicker.yml")
	rules := prometheus.Scale{Factor: 6, Interval: time.Second, Shortest: 5 * time.Second}.Rules()
	require.NoError(t, os.WriteFile(name, rules, 0o600))
	promtool(t, "check", "rules", name)
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	files, err := filepath.Glob("granter.rules.*.test.yml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(name, func(t *testing.T) { promtool(t, "test", "rules", name) })
	}
}
