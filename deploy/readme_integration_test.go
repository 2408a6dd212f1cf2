//go:build integration

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	return string(text)
}

// Every block of commands in the README works as it is printed, in a copy of the tree: on real servers of its own, and with
// the output going nowhere, as in CI. Only make test is left out, which is what runs this.
func TestCommandsOfTheReadme(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "granter")
	require.NoError(t, copyTree(tree, func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return first != "bin" && first != "dist"
	}))
	home := filepath.Join(t.TempDir(), "dev")
	borrowJars(t, home)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	require.NotEmpty(t, blocks)
	var lines []string
	for _, block := range blocks {
		script := regexp.MustCompile(`(?m)^make test .*\n`).ReplaceAllString(block[1], "")
		lines = append(lines, script)
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = tree
		// What make test was told is not for the README's make.
		cmd.Env = append(os.Environ(), "GRANTER_DEV_HOME="+home, "GRANTER_LISTEN=127.0.0.1:0", "MAKEFLAGS=", "MAKELEVEL=0", "ARGS=", "PKG=./...")
		out, err := cmd.CombinedOutput()
		if err != nil {
			stop := exec.Command("deploy/dev/down.sh")
			stop.Dir, stop.Env = tree, cmd.Env
			_ = stop.Run() // it has no servers, or they are to end
		}
		require.NoError(t, err, "%s\n%s", script, out)
	}
	text := strings.Join(lines, "")
	require.Contains(t, text, "make demo")
	require.Contains(t, text, "granter run ")
}

// borrowJars makes a home for dev services of its own, so that a developer's are left alone, without fetching jars again.
func borrowJars(t *testing.T, home string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(home, 0o755))
	out, err := exec.Command("bash", "-c", `source dev/lib.sh; for v in "${kafka_versions[@]}"; do kafka_home "$v"; done`).Output()
	require.NoError(t, err)
	for jars := range strings.FieldsSeq(string(out)) {
		require.NoError(t, os.Symlink(jars, filepath.Join(home, filepath.Base(jars))))
	}
}

// What the README only mentions is there: commands, flags, targets of make, and the files that it links to.
func TestWhatTheReadmeMentionsExists(t *testing.T) {
	text := readme(t)
	b := binary(t)
	var known []string
	for command := range b.help {
		for flag := range b.flags(command) {
			known = append(known, flag)
		}
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1) {
		if names, found := strings.CutPrefix(m[1], "granter "); found {
			for name := range strings.SplitSeq(names, "|") { // as in pause | resume
				assert.Contains(t, b.help, strings.Fields(name)[0], m[0])
			}
		}
		for _, flag := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(m[1], -1) {
			assert.True(t, slices.Contains(known, flag[1]), "no command has --%s", flag[1])
		}
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
		assert.Contains(t, string(makefile), "\n"+m[1]+":", "make has no target %s", m[1])
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1) {
		_, err := os.Stat(filepath.Join(root, m[1]))
		assert.NoError(t, err)
	}
}
