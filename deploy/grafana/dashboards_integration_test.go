//go:build integration

package grafana_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/prometheus/promtest"
)

// promtool reads queries only as rules.
func TestEveryQueryParses(t *testing.T) {
	list, err := promtest.Expressions()
	require.NoError(t, err)
	var text strings.Builder
	text.WriteString("groups:\n  - name: queries\n    rules:\n")
	queries := 0
	for _, e := range list {
		if strings.Contains(e.Where, ".json: ") {
			fmt.Fprintf(&text, "      - {record: 'query:%d', expr: %q} # %s\n", queries, e.Expr, e.Where)
			queries++
		}
	}
	require.Greater(t, queries, 50)
	file := filepath.Join(t.TempDir(), "queries.yml")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", file).CombinedOutput()
	require.NoError(t, err, "promtool (Debian package prometheus)\n%s\n%s", out, text.String())
	require.Contains(t, string(out), fmt.Sprintf("%d rules found", queries))
}
