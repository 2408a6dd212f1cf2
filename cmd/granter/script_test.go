package main

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kfake"
)

// inProcess is a Kafka and a Redis inside this process.
type inProcess struct {
	kafka *kfake.Cluster
	redis *miniredis.Miniredis
}

func startInProcess() (s inProcess, err error) {
	if s.kafka, err = kfake.NewCluster(kfake.NumBrokers(1)); err != nil {
		return s, err
	}
	if s.redis, err = miniredis.Run(); err != nil {
		s.kafka.Close()
	}
	return s, err
}

func (s inProcess) close() {
	s.kafka.Close()
	s.redis.Close()
}

// environment tells a granter where the servers are.
func (s inProcess) environment() []string {
	return []string{
		"GRANTER_BROKERS=" + strings.Join(s.kafka.ListenAddrs(), ","), "GRANTER_REDIS=" + s.redis.Addr(),
		"GRANTER_LISTEN=off", "GRANTER_TIMEOUT=2s",
	}
}

type serversKey struct{}

// TestScripts runs testdata/script: the command line as an operator uses it. Each script has a Kafka and a Redis of its own
// inside this process, and GRANTER_BROKERS and GRANTER_REDIS point there.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			servers, err := startInProcess()
			if err != nil {
				return err
			}
			env.Defer(servers.close)
			env.Values[serversKey{}] = servers
			env.Vars = append(env.Vars, servers.environment()...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":          scriptExits,
			"json":           scriptJSON,
			"redis-password": scriptRedisPassword,
		},
	})
}

// scriptExits is "exits CODE COMMAND...": the command ends with exactly this exit code.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// scriptJSON is "json PATH VALUE": the last command printed a JSON document with this value at this path; "*" is any.
// Without a value, the path must not be there.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || len(args) > 2 || neg {
		ts.Fatalf("usage: json PATH [VALUE]")
	}
	text := ts.ReadFile("stdout")
	if !gjson.Valid(text) {
		ts.Fatalf("not JSON: %s", text)
	}
	found := gjson.Get(text, args[0])
	switch {
	case len(args) == 1:
		if found.Exists() {
			ts.Fatalf("%s is %s, should not be there", args[0], found.Raw)
		}
	case !found.Exists() || args[1] != "*" && found.String() != args[1]:
		ts.Fatalf("%s is %q, want %q\n%s", args[0], found.String(), args[1], text)
	}
}

// scriptRedisPassword is "redis-password PASSWORD": from now on Redis wants it.
func scriptRedisPassword(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: redis-password PASSWORD")
	}
	server := ts.Value(serversKey{}).(inProcess).redis
	server.Close()
	server.RequireAuth(args[0]) // its connections look at passwords without a lock
	ts.Check(server.Restart())
}
