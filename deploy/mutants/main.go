// Command mutants plants deliberate bugs, one at a time, and says which of them no test notices: make mutants.
//
// The lists beside it have the bugs of the data path that matter. Every one must be killed by a fast test of its package, or
// be among the survivors, with the reason why no fast test can do so. CONTRIBUTING.md says how to add one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

func main() {
	root := flag.String("root", ".", "folder of the module")
	lists := flag.String("lists", "deploy/mutants/lists", "folder of the lists, relative to the module")
	survivors := flag.String("survivors", "deploy/mutants/survivors.txt", "file of those that no fast test kills, and why")
	only := flag.String("run", "", "try only the mutants whose list/name matches this regular expression")
	oneIn := flag.Uint("one-in", 1, "try one in so many of them, chosen by their names: always the same")
	at := flag.Int("at", 2, "how many are tried at a time")
	timeout := flag.Duration("timeout", 20*time.Second, "for the tests of a mutant: one that hangs counts as killed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *root, *lists, *survivors, *only, *oneIn, *at, *timeout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tries the mutants and fails if the survivors are not those of the file.
func run(ctx context.Context, w io.Writer, root, lists, survivors, only string, oneIn uint, at int, timeout time.Duration) error {
	began := time.Now()
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	filter, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	mutants, err := readLists(filepath.Join(root, lists))
	if err != nil {
		return err
	}
	known, err := readSurvivors(filepath.Join(root, survivors))
	if err != nil {
		return err
	}
	if err := unknown(known, mutants); err != nil {
		return err
	}
	mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !filter.MatchString(m.id) || !chosen(m.id, oneIn) })
	b := &bench{root: root, timeout: timeout}
	var dirs []string
	for _, m := range mutants {
		if !slices.Contains(dirs, m.testDir) {
			dirs = append(dirs, m.testDir)
		}
	}
	sound := make([]error, len(dirs))
	each(at, len(dirs), func(i int) { sound[i] = b.baseline(ctx, dirs[i], mutants) })
	if err := errors.Join(sound...); err != nil {
		return err
	}
	results := make([]result, len(mutants))
	var mu sync.Mutex
	each(at, len(mutants), func(i int) {
		r := b.try(ctx, mutants[i])
		mu.Lock()
		defer mu.Unlock()
		results[i] = r
		fmt.Fprintf(w, "%-8s  %-28s  %5.1f s  %s\n", r.outcome, r.id, r.took.Seconds(), r.note())
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = compare(results, known)
	fmt.Fprintf(w, "%d mutants in %.0f s\n", len(results), time.Since(began).Seconds())
	return err
}

// chosen reports whether a mutant is among the one in so many that are tried.
func chosen(id string, oneIn uint) bool {
	h := fnv.New32a()
	h.Write([]byte(id))
	return uint(h.Sum32())%max(oneIn, 1) == oneIn/2
}

// each calls f for 0 to n−1, some at a time.
func each(at, n int, f func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range at {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// note says who killed a mutant; of a survivor, what it breaks.
func (r *result) note() string {
	if r.outcome == survived {
		return r.breaks
	}
	return r.by
}

// unknown returns an error that names the survivors that are in no list.
func unknown(known []survivor, mutants []*mutant) error {
	var errs []error
	for _, s := range known {
		if !slices.ContainsFunc(mutants, func(m *mutant) bool { return m.id == s.id }) {
			errs = append(errs, fmt.Errorf("%s is among the survivors, and in no list", s.id))
		}
	}
	return errors.Join(errs...)
}

// compare returns an error that names every mutant whose outcome is another one than the file of survivors says.
func compare(results []result, known []survivor) error {
	var errs []error
	for i := range results {
		r := &results[i]
		expected := slices.ContainsFunc(known, func(s survivor) bool { return s.id == r.id })
		switch {
		case r.outcome == broken:
			errs = append(errs, fmt.Errorf("%s cannot be tried: %s", r.id, r.by))
		case r.outcome == survived && !expected:
			errs = append(errs, fmt.Errorf("%s survived (%s): write a test that notices it", r.id, r.breaks))
		case r.outcome == killed && expected:
			errs = append(errs, fmt.Errorf("%s is killed by %s: take it off the survivors", r.id, r.by))
		}
	}
	return errors.Join(errs...)
}
