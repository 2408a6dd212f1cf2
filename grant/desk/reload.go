package desk

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often files that are in use are looked at.
const lookEvery = time.Second

// reloaded is what was made of files, and is made again when they change. They are small, so they are read whole: that
// notices what no time stamp does, and does not care how a file is replaced (written in place, renamed, or behind a
// symbolic link as Kubernetes does it). A new version that is wrong or missing does not count.
type reloaded[T any] struct {
	what  string // for messages
	paths []string
	parse func(contents [][]byte) (T, error)
	log   *slog.Logger

	mu       sync.Mutex
	looked   time.Time
	contents [][]byte
	value    T
	wrong    string // what was last found wrong, so that it is said once
}

// load makes it for the first time.
func load[T any](what string, log *slog.Logger, parse func([][]byte) (T, error), paths ...string) (*reloaded[T], error) {
	f := &reloaded[T]{what: what, paths: paths, parse: parse, log: log}
	if _, err := f.look(); err != nil {
		return nil, err
	}
	return f, nil
}

// get returns what the files say now, or said last when they were right.
func (f *reloaded[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookEvery {
		return f.value
	}
	changed, err := f.look()
	switch {
	case err == nil && changed:
		f.log.Info("read again: "+f.what, "files", f.paths)
	case err != nil && err.Error() != f.wrong:
		f.log.Error("the last good version stays in force: "+f.what, "error", err)
	}
	f.wrong = ""
	if err != nil {
		f.wrong = err.Error()
	}
	return f.value
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
