package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// runProgram starts a program for an event, and waits until it ends, at most for a time: then it and what it started get
// SIGTERM, and a little later SIGKILL. What happened is in its environment, never in a shell's line; of this process's
// environment it has what a program needs, and no secret.
func runProgram(ctx context.Context, argv []string, e *Event, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the file of hooks names it
	for _, name := range []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for name, value := range e.fields() {
		cmd.Env = append(cmd.Env, "GRANTER_"+strings.ToUpper(name)+"="+strings.ReplaceAll(value, "\x00", ""))
	}
	says := &head{most: 400}
	cmd.Stdout, cmd.Stderr = says, says
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a signal reaches what it started, and ^C here does not reach it
	group := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	var kill *time.Timer
	cmd.Cancel = func() error {
		kill = time.AfterFunc(killAfter, func() { _ = group(syscall.SIGKILL) })
		return group(syscall.SIGTERM)
	}
	cmd.WaitDelay = 2 * killAfter // also where somebody holds its output open
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("program: %w", err)
	}
	err := cmd.Wait()
	if kill != nil {
		kill.Stop()
	}
	_ = group(syscall.SIGKILL) // what it left behind
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("program: it did not end within %s%s", timeout, says)
	}
	return fmt.Errorf("program: %w%s", err, says)
}

const killAfter = 2 * time.Second

// head keeps the beginning of what is written, and throws the rest away. It has one writer at a time.
type head struct {
	bytes.Buffer
	most int
}

func (h *head) Write(b []byte) (int, error) {
	h.Buffer.Write(b[:min(len(b), h.most-h.Len())])
	return len(b), nil
}

func (h *head) String() string {
	if said := strings.TrimSpace(h.Buffer.String()); said != "" {
		return fmt.Sprintf(": it said %q", said)
	}
	return ""
}
