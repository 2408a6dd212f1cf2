package desk

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// lookEvery is how often files that are in use are looked at.
	lookEvery = time.Second

	// forever is the grace of what opens nothing to anybody.
	forever = time.Duration(math.MaxInt64)
)

// reloaded is what was made of files, and is made again when they change. They are small, so they are read whole: that
// notices what no time stamp does, and does not care how a file is replaced (written in place, renamed, or behind a
// symbolic link as Kubernetes does it). While they are wrong or missing, the last good version stays in force for the
// grace: long enough to mend a mistake, and not so long that deleting a file keeps in whom it let in.
type reloaded[T any] struct {
	what  string // for messages
	paths []string
	parse func(contents [][]byte) (T, error)
	log   *slog.Logger
	grace time.Duration
	after T // what is in force after the grace

	mu       sync.Mutex
	looked   time.Time
	contents [][]byte
	value    T
	wrong    string    // what was last found wrong, so that it is said once; empty: nothing
	since    time.Time // when the files began to be wrong
	lapsed   bool      // the grace is over
}

// load makes it for the first time, for which the files must be right.
func (f *reloaded[T]) load() error {
	_, err := f.look()
	return err
}

// get returns what is in force.
func (f *reloaded[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	if f.lapsed {
		return f.after
	}
	return f.value
}

// trouble says what is wrong with the files, and until when their last good version stays in force; empty: nothing is.
func (f *reloaded[T]) trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	switch {
	case f.wrong == "":
		return ""
	case f.grace == forever:
		return f.wrong + " (the last good version stays in force)"
	case f.lapsed:
		return f.wrong + " (its last good version is no longer in force: nobody is let in by it)"
	}
	return f.wrong + " (its last good version is in force until " + f.since.Add(f.grace).UTC().Format(time.RFC3339) + ")"
}

func (f *reloaded[T]) refresh() {
	if time.Since(f.looked) < lookEvery {
		return
	}
	changed, err := f.look()
	if err == nil {
		if changed || f.lapsed {
			f.log.Info("read again: "+f.what, "files", f.paths)
		}
		f.wrong, f.lapsed = "", false
		return
	}
	if f.wrong == "" {
		f.since = f.looked
	}
	if err.Error() != f.wrong {
		f.wrong = err.Error()
		f.log.Error("the last good version stays in force: "+f.what, "error", err, "for", f.graceText())
	}
	if !f.lapsed && time.Since(f.since) >= f.grace {
		f.lapsed = true
		f.log.Error("the last good version is no longer in force, and nobody is let in by it: "+f.what, "error", err,
			"wrong_since", f.since)
	}
}

func (f *reloaded[T]) graceText() string {
	if f.grace == forever {
		return "as long as it takes"
	}
	return (f.grace - time.Since(f.since)).Round(time.Second).String()
}

func (f *reloaded[T]) look() (changed bool, err error) {
	f.looked = time.Now()
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		if contents[i], err = os.ReadFile(path); err != nil { //nolint:gosec // the operator names the file
			return false, fmt.Errorf("%s: %w", f.what, err)
		}
	}
	if slices.EqualFunc(contents, f.contents, bytes.Equal) {
		return false, nil
	}
	value, err := f.parse(contents)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.what, err)
	}
	f.contents, f.value = contents, value
	return true, nil
}
