package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// patience is how long a test waits for what should happen soon. It is far above what that takes on a busy machine.
const patience = time.Minute

// process is one granter, as an operator would run it.
type process struct {
	*testing.T
	cmd      *exec.Cmd
	out, err written
	began    time.Time
	ended    chan struct{} // closed when it has been waited for
}

// written is what a process has written so far.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *written) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *written) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// command is how a granter is started: its environment, its standard input and its arguments.
type command struct {
	env   []string // in addition to this process's
	stdin string
	args  []string
	of    *asked // of the ledger that it is about; nil: nobody looks at that
}

// start starts a granter, and ends it with the test.
func start(t *testing.T, c command) *process {
	t.Helper()
	return begin(t, exec.Command("granter", c.args...), c)
}

// begin is start by another command line, which ends up as granter.
func begin(t *testing.T, cmd *exec.Cmd, c command) *process {
	t.Helper()
	p := &process{T: t, cmd: cmd, ended: make(chan struct{}), began: time.Now()}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.Stdin = strings.NewReader(c.stdin)
	p.cmd.Env = append(os.Environ(), c.env...)
	p.cmd.SysProcAttr = childAttributes()
	c.of.began(c)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its state says how it ended
	}()
	t.Cleanup(func() {
		if p.running() && c.args[0] == "run" {
			c.of.outlived(c)
		}
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("granter %s\n%s%s", strings.Join(c.args, " "), tail(p.err.String(), 20), p.out.String())
		}
	})
	return p
}

// granter runs a granter to its end.
func granter(t *testing.T, c command) *process {
	t.Helper()
	p := start(t, c)
	p.wait()
	return p
}

func tail(s string, lines int) string {
	all := strings.SplitAfter(s, "\n")
	return strings.Join(all[max(0, len(all)-lines-1):], "")
}

func (p *process) signal(s syscall.Signal) {
	p.Helper()
	require.NoError(p, p.cmd.Process.Signal(s))
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended just now
	<-p.ended
}

// freeze stops the process without its knowledge, as a machine does that is suspended; thaw lets it go on.
func (p *process) freeze() { p.Helper(); p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.Helper(); p.signal(syscall.SIGCONT) }

// wait waits for the end and returns the exit code; −1: killed by a signal.
func (p *process) wait() int {
	p.Helper()
	return p.waitFor(2 * patience)
}

func (p *process) waitFor(d time.Duration) int {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(d):
		require.FailNow(p, "granter does not end", "within %s", d)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// says reports whether the log has a text.
func (p *process) says(what string) bool { return strings.Contains(p.err.String(), what) }

// awaitLog waits until the log has a text, which must come before the process ends.
func (p *process) awaitLog(what string) {
	p.Helper()
	await(p.T, "the log says "+what, func() bool {
		if !p.running() {
			require.Contains(p, p.err.String(), what)
		}
		return p.says(what)
	})
}

// logged returns the value of a field of the last log line with a message; nil: there is no such line.
func (p *process) logged(message, field string) any {
	var value any
	for line := range strings.Lines(p.err.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			value = fields[field]
		}
	}
	return value
}

// partitions returns how many partitions a run was assigned last.
func (p *process) partitions() int {
	from, _ := p.logged("partitions assigned", "from").(map[string]any)
	return len(from)
}

// metric returns the value of a metric, summed over its labels; 0 while the process does not serve metrics.
func (p *process) metric(name string) float64 {
	p.Helper()
	address, ok := p.logged("serving", "metrics").(string)
	if !ok {
		return 0
	}
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(address)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	sum := 0.0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if found, _, _ := strings.Cut(series, "{"); found == name {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(p, err)
			sum += v
		}
	}
	return sum
}

// ready returns what /readyz says; empty while the process does not serve it.
func (p *process) ready() string {
	p.Helper()
	address, ok := p.logged("serving", "metrics").(string)
	if !ok {
		return ""
	}
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(strings.TrimSuffix(address, "/metrics") + "/readyz")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p, err)
	return strings.TrimSpace(string(body))
}

// awaitReady waits until what /readyz says begins so.
func (p *process) awaitReady(words string) {
	p.Helper()
	await(p.T, "/readyz says "+words, func() bool { return strings.HasPrefix(p.ready(), words) })
}

// outcomes returns how many records have one: every one that was consumed.
func outcomes(t grant.Tally) int64 { return t.Granted + t.Duplicate + t.Rejected + t.Withheld }

// summary returns what a run with --json said at its end, and holds the accounting identity against it.
func (p *process) summary() Summary {
	p.Helper()
	p.wait()
	var s Summary
	require.NoError(p, json.Unmarshal([]byte(p.out.String()), &s), p.out.String())
	var sum grant.Tally
	for partition, t := range s.Partitions {
		require.Equal(p, t.Consumed, outcomes(t), "partition %d: %+v", partition, t)
		sum = sum.Add(t)
	}
	require.Equal(p, s.Tally, sum)
	return s
}

// await polls until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	awaitFor(t, patience, what, so)
}

func awaitFor(t *testing.T, limit time.Duration, what string, so func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(t, "gave up waiting", "%s: not within %s", what, limit)
		}
	}
}
