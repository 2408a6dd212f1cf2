package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A module with one function that is tested well, and one that is not.
var module = map[string]string{
	"go.mod": "module example.org/m\n\ngo 1.26\n",
	"count/count.go": `package count

func Add(a, b int) int {
	if a > 100 {
		a = 100
	}
	return a + b
}

func Untested(a int) int { return a + 1 }
func Twin(a int) int     { return a + 1 }
`,
	"count/count_test.go": `package count

import "testing"

func TestAdd(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		if Add(1, 2) != 3 {
			t.Error("wrong")
		}
	})
}
`,
}

const (
	dead = `
mutant dead: sums are wrong
tests ^TestAdd$
-	return a + b
+	return a - b
`
	alive = `
mutant alive: large sums are wrong
tests ^TestAdd$
-if a > 100 {
-a = 100
-}
`
)

func tryModule(t *testing.T, survivors, mutants string) (output string, err error) {
	t.Helper()
	root := t.TempDir()
	for name, text := range module {
		write(t, filepath.Join(root, name), text)
	}
	write(t, filepath.Join(root, "lists", "count.txt"), "package count\n"+mutants)
	write(t, filepath.Join(root, "survivors.txt"), survivors)
	var out strings.Builder
	err = run(t.Context(), &out, root, "lists", "survivors.txt", "", 1, 2, time.Minute)
	return out.String(), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestSurvivorsAreComparedWithTheFile(t *testing.T) {
	out, err := tryModule(t, "# why\ncount/alive: nobody adds so much\n", dead+alive)
	require.NoError(t, err)
	require.Regexp(t, `killed +count/dead .* TestAdd/small`, out)
	require.Regexp(t, `SURVIVED +count/alive .* large sums are wrong`, out)

	_, err = tryModule(t, "", dead+alive)
	require.ErrorContains(t, err, "count/alive survived (large sums are wrong)")

	_, err = tryModule(t, "count/alive: so\ncount/dead: so\n", dead+alive)
	require.ErrorContains(t, err, "count/dead is killed by TestAdd/small: take it off the survivors")

	_, err = tryModule(t, "count/gone: so\n", dead)
	require.ErrorContains(t, err, "count/gone is among the survivors, and in no list")

	_, err = tryModule(t, "count/alive\n", alive)
	require.ErrorContains(t, err, "has no reason")
}

func TestAListThatDoesNotFitTheCodeFails(t *testing.T) {
	for text, want := range map[string]string{
		"mutant a: b\ntests ^TestAdd$\n-a + 1\n+a\n":                "its old text is in count 2 times (count.go, count.go)",
		"mutant a: b\ntests ^TestAdd$\n-a + 2\n+a\n":                "its old text is not in count any more",
		"mutant a: b\ntests ^TestAdd$\n-return a + b\n+c\n":         "undefined: c",
		"mutant a: b\ntests ^TestNone$\n-return a + b\n+return a\n": "there is no such test",
		"mutant a: b\ntests (\n-return a + b\n+return a\n":          "needs tests",
		"mutant a: b\ntests ^TestAdd$\n":                            "and the old text",
		"mutant a\n":                                                "want a package, and then",
		"tests ^Test$":                                              "not of a mutant",
		dead + dead:                                                 "a second mutant of that name",
		dead + "?":                                                  "want tests, - or +",
		"":                                                          "has no list of mutants",
	} {
		_, err := tryModule(t, "", text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestATestThatFailsAnywayKillsNothing(t *testing.T) {
	root := t.TempDir()
	for name, text := range module {
		write(t, filepath.Join(root, name), strings.Replace(text, "!= 3", "!= 4", 1))
	}
	write(t, filepath.Join(root, "lists", "count.txt"), "package count\n"+dead)
	write(t, filepath.Join(root, "survivors.txt"), "")
	err := run(t.Context(), &strings.Builder{}, root, "lists", "survivors.txt", "", 1, 2, time.Minute)
	require.ErrorContains(t, err, "the tests of count fail without a mutant")
}

func TestWhatGoTestSaysIsJudged(t *testing.T) {
	failure := os.ErrInvalid
	for _, c := range []struct {
		output string
		err    error
		what   outcome
		by     string
	}{
		{"ok  \tp\t0.1s\n", nil, survived, ""},
		{"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b (0.1s)\nFAIL\tp\t0.1s\n", failure, killed, "TestA/b"},
		{"panic: test timed out after 1m0s\n\trunning tests:\n\t\tTestA (59s)\n\ngoroutine 1\n", failure, killed, "TestA (it hangs)"},
		{"fatal error: all goroutines are asleep - deadlock!\nFAIL\tp\t0.1s\n", failure, killed, "a crash"},
		{"p.go:1: undefined: c\nFAIL\tp [build failed]\n", failure, broken, "go test: p.go:1: undefined: c\nFAIL\tp [build failed]"},
	} {
		what, by := judge(c.output, c.err)
		require.Equal(t, c.what, what, c.output)
		require.Equal(t, c.by, by)
	}
}

// The lists are tried by make mutants only. Whoever changes the code learns here, at once, that one no longer fits.
func TestTheListsFitTheCode(t *testing.T) {
	mutants, err := readLists("lists")
	require.NoError(t, err)
	b := &bench{root: filepath.Join("..", "..")}
	for _, m := range mutants {
		_, _, err := b.find(m)
		assert.NoError(t, err, m.id)
		top, _, _ := strings.Cut(m.tests, "/") // what is behind it are subtests
		assert.True(t, slices.ContainsFunc(testsOf(t, filepath.Join(b.root, m.testDir)), regexp.MustCompile(top).MatchString),
			"%s: %s has no test %s", m.id, m.testDir, top)
	}
	known, err := readSurvivors("survivors.txt")
	require.NoError(t, err)
	require.NoError(t, unknown(known, mutants))

	tried, lists := 0, map[string]bool{} // by CI, which tries one in three
	for _, m := range mutants {
		if chosen(m.id, 3) {
			list, _, _ := strings.Cut(m.id, "/")
			lists[list] = true
			tried++
		}
	}
	require.GreaterOrEqual(t, tried, 100)
	require.Len(t, lists, 12, "every list has some of them: %v", lists)
}

var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOf returns the names of the tests of a package.
func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range testName.FindAllStringSubmatch(string(data), -1) {
			names = append(names, found[1])
		}
	}
	return names
}
