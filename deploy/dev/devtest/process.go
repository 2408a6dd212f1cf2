package devtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// Both are far above what a start or stop takes on an idle machine (a broker: 1.5 s); CI machines are busy.
	startTimeout = 90 * time.Second
	stopTimeout  = 30 * time.Second

	pollInterval = 20 * time.Millisecond
)

var errExited = errors.New("the process has ended")

// server is one child process that can be stopped and started again: the same script call, the same folder.
// Its methods may be called from any goroutine.
type server struct {
	name string
	args []string // script and arguments of the foreground run
	env  []string // in addition to this process's
	log  string
	// ready returns nil when the server answers.
	ready func() error

	mu  sync.Mutex
	cmd *exec.Cmd // nil when not running
}

// launch starts the process without waiting until it answers.
func (s *server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return fmt.Errorf("%s is running already", s.name)
	}
	cmd, err := script(s.args[0], s.args[1:]...)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.name, err)
	}
	s.cmd = cmd
	return nil
}

// await polls until the server answers.
func (s *server) await() error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.ready()
		if err == nil {
			return nil
		}
		if s.exited() {
			err = errExited
		}
		if errors.Is(err, errExited) || time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w\n%s", s.name, err, s.tail(15))
		}
		time.Sleep(pollInterval)
	}
}

func (s *server) exited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd == nil || childExited(s.cmd.Process.Pid)
}

func (s *server) running() bool { return !s.exited() }

// pid is 0 when the server is not running.
func (s *server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// end signals the process and waits for it to be gone; it is killed when it takes longer than stopTimeout.
// Ending a server that is not running is no error.
func (s *server) end(signal os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	// A frozen process would never see a signal other than SIGKILL.
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	overdue := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	overdue.Stop()
	s.cmd = nil
}

func (s *server) kill() { s.end(os.Kill) }
func (s *server) stop() { s.end(syscall.SIGTERM) }

func (s *server) signal(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return fmt.Errorf("%s: %w", s.name, errExited)
	}
	return s.cmd.Process.Signal(signal)
}

// tail returns the last lines of the server's log, indented.
func (s *server) tail(lines int) string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	all = all[max(0, len(all)-lines):]
	return "\t" + strings.Join(all, "\n\t")
}

// cleanup ends the server with the test, and shows its last words when the test failed.
func (s *server) cleanup(tb TB) {
	tb.Cleanup(func() {
		if t, ok := tb.(interface{ Failed() bool }); ok && t.Failed() {
			tb.Logf("last lines of %s:\n%s", s.name, s.tail(15))
		}
		// What it stored is thrown away, so a clean shutdown would be wasted time.
		s.kill()
	})
}
