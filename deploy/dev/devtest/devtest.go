// Package devtest gives tests and benchmarks real Redis, Kafka and PostgreSQL servers on loopback, each in a folder of its own,
// and takes them away again: at the end of the test, and also when the test panics, times out or is killed.
//
// The servers are configured by the scripts in deploy/dev; this package only runs them as its child processes, so that
// it can kill, freeze and restart them. It needs what deploy/dev/install.sh installs, and fails the test without it:
// a test that skips itself proves nothing.
//
// It keeps no goroutine of its own running, so a package that uses it can still check for leaks.
package devtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// TB is the part of testing.TB that devtest needs. A program that is no test gets one from Standalone.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	// Fatalf reports the failure and ends the calling goroutine.
	Fatalf(format string, args ...any)
	Cleanup(fn func())
	TempDir() string
}

// Standalone runs fn with servers that end when fn does, for programs that are not tests. It returns what fn returns,
// or the failure that ended it. Progress messages go to logf, which may be nil.
func Standalone(logf func(format string, args ...any), fn func(tb TB) error) error {
	if logf == nil {
		logf = func(string, ...any) {}
	}
	host := &host{logf: logf}
	defer host.close()
	return host.run(fn)
}

// host is a TB outside of a test.
type host struct {
	logf func(format string, args ...any)

	mu       sync.Mutex
	err      error
	cleanups []func()
}

// run calls fn on a goroutine of its own, because Fatalf ends the goroutine it is called on.
func (h *host) run(fn func(tb TB) error) error {
	returned := make(chan error, 1)
	go func() {
		// Reached without a returned value only after Fatalf: a panic ends the process.
		defer close(returned)
		returned <- fn(h)
	}()
	err := <-returned
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.err, err)
}

func (h *host) close() {
	for {
		h.mu.Lock()
		n := len(h.cleanups)
		if n == 0 {
			h.mu.Unlock()
			return
		}
		last := h.cleanups[n-1]
		h.cleanups = h.cleanups[:n-1]
		h.mu.Unlock()
		last()
	}
}

func (h *host) Helper() {}

func (h *host) Logf(format string, args ...any) { h.logf(format, args...) }

func (h *host) Fatalf(format string, args ...any) {
	h.mu.Lock()
	h.err = errors.Join(h.err, fmt.Errorf(format, args...))
	h.mu.Unlock()
	runtime.Goexit()
}

func (h *host) Cleanup(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cleanups = append(h.cleanups, fn)
}

func (h *host) TempDir() string { return tempDir(h) }

// tempDir is where a server keeps its data: named after this process, so that a later one can tell whether it is still
// in use. The folders of testing.T would stay behind when a test is killed.
func tempDir(tb TB) string {
	tb.Helper()
	sweepTemp()
	dir, err := os.MkdirTemp("", tempPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		tb.Fatalf("making a temporary folder: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

const tempPrefix = "granter-devtest-"

// sweepTemp removes the folders of processes that were killed before they could do so.
func sweepTemp() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), tempPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// scripts finds deploy/dev: next to this source file, or, when that was trimmed from the binary, above the working
// directory.
var scripts = sync.OnceValues(func() (string, error) {
	const marker = "redis.sh"
	if _, file, _, ok := runtime.Caller(0); ok {
		dir := filepath.Dir(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
			return dir, nil
		}
	}
	above, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		dir := filepath.Join(above, "deploy", "dev")
		if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
			return dir, nil
		}
		if above == filepath.Dir(above) {
			return "", errors.New("found no deploy/dev above the working directory: run inside the repository")
		}
		above = filepath.Dir(above)
	}
})

// script prepares a call of one of the scripts in deploy/dev.
func script(name string, args ...string) (*exec.Cmd, error) {
	dir, err := scripts()
	if err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(dir, name), args...), nil
}

// output runs a script to its end and returns what it printed.
func output(name string, args ...string) (string, error) {
	cmd, err := script(name, args...)
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
