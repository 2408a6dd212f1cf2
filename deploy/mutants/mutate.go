package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// outcome is what became of a mutant.
type outcome string

const (
	killed   outcome = "killed"
	survived outcome = "SURVIVED"
	broken   outcome = "BROKEN" // the list is wrong: the text is not there, or what comes of it does not compile
)

type result struct {
	*mutant
	outcome outcome
	by      string // the test that killed it, or what is wrong
	took    time.Duration
}

// bench runs tests against mutants of the module at root. The files of the module stay as they are: the compiler is shown others.
type bench struct {
	root    string
	timeout time.Duration // for the tests of a mutant
}

// find returns the only file of the mutant's package that has its old text, and that file with the new text.
func (b *bench) find(m *mutant) (path, text string, err error) {
	names, err := filepath.Glob(filepath.Join(b.root, m.dir, "*"))
	if err != nil {
		return "", "", err
	}
	quoted := make([]string, len(m.old))
	for i, line := range m.old {
		quoted[i] = regexp.QuoteMeta(strings.TrimLeft(line, " \t"))
	}
	old := regexp.MustCompile(strings.Join(quoted, `\n[ \t]*`))
	var at []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.IsDir() || strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		places := old.FindAllIndex(data, -1)
		for _, place := range places {
			at = append(at, filepath.Base(name))
			path, text = name, string(data[:place[0]])+strings.Join(m.new, "\n")+string(data[place[1]:])
		}
	}
	switch len(at) {
	case 0:
		return "", "", fmt.Errorf("its old text is not in %s any more", m.dir)
	case 1:
		return path, text, nil
	default:
		return "", "", fmt.Errorf("its old text is in %s %d times (%s): give more of what is around it",
			m.dir, len(at), strings.Join(at, ", "))
	}
}

// try makes a mutant and runs the tests that should notice it.
func (b *bench) try(ctx context.Context, m *mutant) result {
	began := time.Now()
	what, by := b.outcome(ctx, m)
	return result{m, what, by, time.Since(began)}
}

func (b *bench) outcome(ctx context.Context, m *mutant) (what outcome, by string) {
	path, text, err := b.find(m)
	if err != nil {
		return broken, err.Error()
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return broken, err.Error()
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir, path, text)
	if err != nil {
		return broken, err.Error()
	}
	output, err := b.test(ctx, m.testDir, m.tests, "-failfast", "-overlay", overlay)
	return judge(output, err)
}

func writeOverlay(dir, path, text string) (string, error) {
	changed, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	return overlay, errors.Join(err, os.WriteFile(changed, []byte(text), 0o600), os.WriteFile(overlay, list, 0o600))
}

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hangedTest = regexp.MustCompile(`(?m)^panic: test timed out[\s\S]*?running tests:\s+(\S+)`)
	panicked   = regexp.MustCompile(`(?m)^(?:panic|fatal error|--- FAIL|FAIL\s+\S+\s+[\d.]+s$)`)
)

// judge says what the output of go test means.
func judge(output string, err error) (what outcome, by string) {
	if err == nil {
		if strings.Contains(output, "[no tests to run]") {
			return broken, "there is no such test"
		}
		return survived, ""
	}
	// The last one: subtests stand behind the test that they belong to.
	if found := failedTest.FindAllStringSubmatch(output, -1); len(found) > 0 {
		return killed, found[len(found)-1][1]
	}
	if found := hangedTest.FindStringSubmatch(output); found != nil {
		return killed, found[1] + " (it hangs)"
	}
	if panicked.MatchString(output) {
		return killed, "a crash"
	}
	return broken, "go test: " + strings.TrimSpace(output)
}

// baseline runs the tests of a package without any mutant: a test that fails anyway kills none.
func (b *bench) baseline(ctx context.Context, dir string, mutants []*mutant) error {
	var tests []string
	for _, m := range mutants {
		if m.testDir == dir {
			tests = append(tests, m.tests)
		}
	}
	patient := bench{root: b.root, timeout: 10 * b.timeout} // all of them at once, perhaps on a busy machine
	if output, err := patient.test(ctx, dir, strings.Join(tests, "|")); err != nil {
		return fmt.Errorf("the tests of %s fail without a mutant: %w\n%s", dir, err, output)
	}
	return nil
}

func (b *bench) test(ctx context.Context, dir, tests string, more ...string) (output string, err error) {
	args := []string{"test", "-vet=off", "-ldflags=-s -w", "-timeout", b.timeout.String(), "-run", tests} // links in half the time
	args = append(append(args, more...), "./"+dir)
	if b.hasProperties(dir) {
		args = append(args, "-rapid.nofailfile") // or it would leave what it found in the working tree
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// hasProperties reports whether a package has property tests, which take flags of their own.
func (b *bench) hasProperties(dir string) bool {
	names, _ := filepath.Glob(filepath.Join(b.root, dir, "*_test.go")) // the pattern is well-formed
	return slices.ContainsFunc(names, func(name string) bool {
		data, err := os.ReadFile(name)
		return err == nil && bytes.Contains(data, []byte(`"pgregory.net/rapid"`))
	})
}
