package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// flagName is a flag as texts name it.
var flagName = regexp.MustCompile(`(?:^|[^-\w])--([a-z][a-z0-9-]+)`)

// ofOthers are flags of other programs that texts name.
var ofOthers = slices.Concat(
	[]string{"add", "add-config", "allow-principal", "alter", "delete", "describe", "entity-name", "entity-type", "operation",
		"resource-pattern-type", "topic"}, // Kafka's tools
	[]string{"cluster", "latency", "pattern", "scan"}, // redis-cli
	[]string{"profile", "rm", "scale", "volumes"},     // docker compose
	[]string{"for", "from-file"},                      // kubectl
	[]string{"data", "data-binary"},                   // curl
	[]string{"keep", "no-open"},                       // granter demo, which is a build of its own
)

// toldToUsers are the folders whose Go code speaks to users of granter, not to its developers.
var toldToUsers = regexp.MustCompile(`^(cmd|grant|metrics|sharding|deploy/grafana)/`)

// Every flag that an error, a help text or a document names is one that some command has.
func TestFlagsThatTextsNameExist(t *testing.T) {
	known := map[string]bool{"help": true, "version": true}
	var note func(c *cobra.Command)
	note = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		for _, sub := range c.Commands() {
			note(sub)
		}
	}
	note(complete())
	unknown := map[string][]string{}
	look := func(path, text string) {
		for _, found := range flagName.FindAllStringSubmatch(text, -1) {
			if !known[found[1]] && !slices.Contains(ofOthers, found[1]) {
				unknown[found[1]] = append(unknown[found[1]], path)
			}
		}
	}
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == ".ci"):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"), inside == "deploy/compose/compose.yaml": // it starts other programs
		case strings.HasSuffix(path, ".go"):
			// The demo has commands of its own, which this build has not.
			built, err := build.Default.MatchFile(filepath.Dir(path), entry.Name())
			if err != nil || !built || !toldToUsers.MatchString(filepath.ToSlash(inside)) {
				return err
			}
			for _, text := range literals(t, path) {
				look(inside, text)
			}
		case strings.HasSuffix(path, ".md"), strings.HasSuffix(path, ".yaml"),
			strings.HasSuffix(path, ".yml"), strings.HasSuffix(path, ".js"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			look(inside, string(text))
		}
		return nil
	}))
	require.Empty(t, unknown)
}

// literals returns the strings in a Go file.
func literals(t *testing.T, path string) (texts []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			texts = append(texts, text)
		}
		return true
	})
	return texts
}
