//go:build integration

package pagetest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// devHome is where tools of the tests are kept.
func devHome(t *testing.T) string {
	t.Helper()
	if home := os.Getenv("GRANTER_DEV_HOME"); home != "" {
		return home
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(cache, "granter-dev")
}

// axe returns the script of axe-core, which is installed once, into a folder that is kept for the next time.
func axe(t *testing.T) string {
	t.Helper()
	home := devHome(t)
	const list = "testdata/requirements.txt"
	requirements, err := os.ReadFile(list)
	require.NoError(t, err)
	folder := filepath.Join(home, "axe")
	script, installed := filepath.Join(folder, "axe_playwright_python", "axe.min.js"), filepath.Join(folder, "requirements.txt")
	if have, err := os.ReadFile(installed); err != nil || !bytes.Equal(have, requirements) {
		out, err := exec.Command("python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
			"--upgrade", "--require-hashes", "--target", folder, "-r", list).CombinedOutput()
		require.NoError(t, err, "installing axe-core: %s", out)
		require.NoError(t, os.WriteFile(installed, requirements, 0o644)) // the last step
	}
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	return string(text)
}

// clean requires that axe-core finds nothing, by all its rules: those of WCAG 2.2 A and AA, and its best practices.
func (p *page) clean(script, name string) {
	p.t.Helper()
	eval[bool](p, script+"\n;true")
	found := eval[[]string](p, `axe.run(document, {resultTypes: ["violations"]}).then((r) =>
		r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" ")))`)
	require.Empty(p.t, found, "axe on %s", name)
}
