package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rules of claims, and those by which a council votes, can be computed again by anybody: they know no database, file, network
// or clock.
func TestTheRulesOfClaimsArePure(t *testing.T) {
	const module = "github.com/granter/granter/"
	may := map[string]bool{module + "grant/claims": true, module + "grant/strict": true, module + "grant/text": true}
	never := []string{"os", "net", "database", "io", "context", "sync", "math/rand"}
	for _, dir := range []string{"", "/stagger", "/council/vote"} {
		files, err := filepath.Glob("../../grant/claims" + dir + "/*.go")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NotContains(t, string(text), "time.Now", "%s asks the clock", file)
			parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range parsed.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				require.True(t, may[imported] || !strings.HasPrefix(imported, module), "%s imports %s", file, imported)
				for _, one := range never {
					require.False(t, imported == one || strings.HasPrefix(imported, one+"/"), "%s imports %s", file, imported)
				}
			}
		}
	}
}

// Dependencies point one way: the command, the parts, the engine, what shards keep and what is measured, the vocabulary and
// the foundation. A package may import those that stand lower than itself; the parts may import each other, as far as Go allows.
func TestDependenciesPointOneWay(t *testing.T) {
	const module = "github.com/granter/granter/"
	level := func(pkg string) int {
		switch {
		case strings.HasSuffix(pkg, "test"): // for tests
			return 5
		case pkg == "sharding", pkg == "grant":
			return 0
		case pkg == "sharding/dense", pkg == "sharding/opaque", pkg == "metrics":
			return 1
		case pkg == "grant/engine":
			return 2
		case strings.HasPrefix(pkg, "grant/"):
			return 3
		case strings.HasPrefix(pkg, "cmd/"):
			return 4
		default:
			return 5 // deploy serves development, and nobody imports it
		}
	}
	const root = "../.."
	packages := 0
	require.NoError(t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(name))
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		packages++
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imported, ours := strings.CutPrefix(imported, module)
			// The demo is behind a tag: its servers stand in for real ones.
			demo := pkg == "cmd/granter" && strings.HasPrefix(d.Name(), "demo")
			if !ours || demo || level(pkg) == 5 || level(pkg) == 3 && level(imported) == 3 {
				continue
			}
			require.Less(t, level(imported), level(pkg), "%s imports %s", name, imported)
		}
		return nil
	}))
	require.Greater(t, packages, 100)
}
