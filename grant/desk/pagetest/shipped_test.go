//go:build integration

package pagetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	realdesk "github.com/granter/granter/grant/desk"
)

// built is the folder of the binary; empty: there is none.
var built string

// binary is granter as it is shipped, built once.
var binary = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "granter-pagetest-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "granter")
	build := exec.Command("go", "build", "-o", path, "github.com/granter/granter/cmd/granter")
	build.Stderr = os.Stderr
	return path, build.Run()
})

// shipped is granter on real servers: processes, as operators start them.
type shipped struct {
	*testing.T
	env   []string
	dir   string
	desk  string // its address
	token string // of who looks
	redis *devtest.Redis
	kafka *devtest.Kafka
}

// ship starts servers.
func ship(t *testing.T) *shipped {
	t.Helper()
	s := &shipped{T: t, dir: t.TempDir(), kafka: devtest.SharedKafka(t)}
	s.redis = devtest.StartRedis(t, devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("appendfsync", "everysec"))
	s.env = append(os.Environ(), "GRANTER_REDIS="+s.redis.Addr, "GRANTER_BROKERS="+strings.Join(s.kafka.Brokers, ","))
	return s
}

// topic makes a topic of its own.
func (s *shipped) topic(name string, partitions int) string {
	s.Helper()
	name = fmt.Sprintf("%s-%d", name, time.Now().UnixNano()%1e9)
	s.kafka.CreateTopic(s.T, name, partitions, 1, nil)
	return name
}

// file writes a file, and returns its path.
func (s *shipped) file(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(s, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// lines is what a process has written so far.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a granter that goes on.
type live struct {
	*shipped
	cmd   *exec.Cmd
	log   lines
	ended chan struct{}
}

// start starts a granter, and ends it with the test.
func (s *shipped) start(args ...string) *live {
	s.Helper()
	path, err := binary()
	require.NoError(s, err)
	p := &live{shipped: s, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.env, &p.log, &p.log
	require.NoError(s, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its state says how it ended
	}()
	s.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if s.Failed() {
			text := strings.Split(p.log.String(), "\n")
			s.Logf("granter %s\n%s", strings.Join(args, " "), strings.Join(text[max(0, len(text)-20):], "\n"))
		}
	})
	return p
}

// granter runs a granter to its end, with one of some exit codes, and returns what it wrote.
func (s *shipped) granter(codes []int, args ...string) string {
	s.Helper()
	p := s.start(args...)
	select {
	case <-p.ended:
	case <-time.After(4 * patience):
		require.FailNow(s, "it does not end", "granter %s", strings.Join(args, " "))
	}
	require.Contains(s, codes, p.cmd.ProcessState.ExitCode(), "granter %s\n%s", strings.Join(args, " "), p.log.String())
	return p.log.String()
}

// do is granter with success.
func (s *shipped) do(args ...string) { s.Helper(); s.granter([]int{0}, args...) }

// serve starts a desk for principals, and returns their tokens.
func (s *shipped) serve(roles map[string]realdesk.Role, flags ...string) map[string]string {
	s.Helper()
	tokens, access := map[string]string{}, ""
	for name, role := range roles {
		token, line, err := realdesk.NewToken(name, role)
		require.NoError(s, err)
		tokens[name] = token
		access += line + "\n"
	}
	p := s.start(append([]string{"desk", "--desk=127.0.0.1:0", "--desk-access", s.file("access", access), "--listen=off",
		"--log-format=json"}, flags...)...)
	s.await("the desk serves", func() bool {
		for line := range strings.Lines(p.log.String()) {
			var fields struct {
				Msg  string `json:"msg"`
				Page string `json:"page"`
			}
			if json.Unmarshal([]byte(line), &fields) == nil && fields.Msg == "serving the desk" {
				s.desk = strings.TrimSuffix(fields.Page, "/")
			}
		}
		select {
		case <-p.ended:
			require.FailNow(s, "the desk ended", p.log.String())
		default:
		}
		return s.desk != ""
	})
	return tokens
}

// get asks the desk, and reads a good answer.
func (s *shipped) get(token, path string, into any) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.desk+path, http.NoBody)
	require.NoError(s, err)
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	require.NoError(s, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s, err)
	require.Equal(s, http.StatusOK, response.StatusCode, "%s: %s", path, text)
	require.NoError(s, json.Unmarshal(text, into))
}

// await waits until something is so.
func (s *shipped) await(what string, so func() bool) {
	s.Helper()
	deadline := time.After(4 * patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(s, "gave up waiting", what)
		}
	}
}
