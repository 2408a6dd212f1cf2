package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A list is a text file named after what it is about. A line "package DIRECTORY" says where the text of the mutants below it
// is looked for, and which package's tests are run; a second directory, if these are another one's. Then, for each mutant:
//
//	mutant NAME: what a user would suffer
//	tests REGEXP
//	-text that is in one file of the package, and there once
//	+text instead of it
//
// Either text may have several lines, and the new one none. The blanks at the beginning of a line do not matter, so code may
// be indented anew. Lines that begin with # are comments.

// mutant is one deliberate bug.
type mutant struct {
	id       string // list/name
	breaks   string // what a user would suffer
	dir      string // the package, relative to the module
	testDir  string // the package whose tests are run
	tests    string // for go test -run
	old, new []string
}

// readLists reads every list of a directory: its files whose names end in .txt.
func readLists(dir string) ([]*mutant, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []*mutant
	var errs []error
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, err := parseList(strings.TrimSuffix(filepath.Base(name), ".txt"), string(data))
		all, errs = append(all, list...), append(errs, err)
	}
	if len(all) == 0 {
		errs = append(errs, fmt.Errorf("%s has no list of mutants", dir))
	}
	return all, errors.Join(errs...)
}

func parseList(name, text string) (list []*mutant, err error) {
	dir, testDir := "", ""
	var m *mutant
	wrong := func(line int, format string, args ...any) error {
		return fmt.Errorf("%s.txt:%d: %s", name, line, fmt.Sprintf(format, args...))
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
		case word == "package":
			dir, testDir, _ = strings.Cut(rest, " ")
			testDir, m = cmp.Or(testDir, dir), nil
		case word == "mutant":
			id, breaks, _ := strings.Cut(rest, ": ")
			if id == "" || breaks == "" || dir == "" {
				return nil, wrong(number, "want a package, and then: mutant NAME: what it breaks")
			}
			m = &mutant{id: name + "/" + id, breaks: breaks, dir: dir, testDir: testDir}
			if slices.ContainsFunc(list, func(other *mutant) bool { return other.id == m.id }) {
				return nil, wrong(number, "a second mutant of that name")
			}
			list = append(list, m)
		case m == nil:
			return nil, wrong(number, "not of a mutant: %s", line)
		case word == "tests":
			m.tests = rest
		case line[0] == '-':
			m.old = append(m.old, line[1:])
		case line[0] == '+':
			m.new = append(m.new, line[1:])
		default:
			return nil, wrong(number, "want tests, - or +: %s", line)
		}
	}
	for _, m := range list {
		if _, err := regexp.Compile(m.tests); err != nil || m.tests == "" || len(m.old) == 0 {
			return nil, fmt.Errorf("%s: needs tests (a regular expression) and the old text", m.id)
		}
	}
	return list, nil
}

// survivor is a mutant that no fast test kills, and why that is so.
type survivor struct{ id, reason string }

// readSurvivors reads lines "ID: reason".
func readSurvivors(path string) (list []survivor, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		id, reason, _ := strings.Cut(line, ": ")
		if reason == "" {
			return nil, fmt.Errorf("%s: %q has no reason", path, line)
		}
		list = append(list, survivor{id, reason})
	}
	return list, nil
}
