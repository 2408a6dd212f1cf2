package hooks

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func script(t *testing.T, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook.sh")
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700))
	return []string{file, "an argument; not a command"}
}

// A program learns what happened from its environment, which has no secret of this process in it.
func TestAProgramIsToldByItsEnvironment(t *testing.T) {
	t.Setenv("GRANTER_TOKEN", "secret")
	t.Setenv("GRANTER_REDIS_PASSWORD", "secret")
	out := filepath.Join(t.TempDir(), "env")
	argv := append(script(t, `{ env; echo "ARG=$1"; } > "$2"`), out)
	e := Event{ID: "c/hold/1", Kind: KindHold, Campaign: "c", Message: "$(touch /tmp/no) `x`; \"y\"", Granted: 12}
	require.NoError(t, runProgram(t.Context(), argv, &e, time.Minute))
	says, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, line := range []string{
		"GRANTER_KIND=hold", "GRANTER_ID=c/hold/1", "GRANTER_CAMPAIGN=c", "GRANTER_MESSAGE=" + e.Message, "GRANTER_GRANTED=12",
		"ARG=an argument; not a command",
	} {
		require.Contains(t, "\n"+string(says), "\n"+line+"\n")
	}
	require.NotContains(t, string(says), "secret")

	err = runProgram(t.Context(), script(t, "echo no such team >&2; exit 3"), &e, time.Minute)
	require.EqualError(t, err, `program: exit status 3: it said "no such team"`)
	require.ErrorContains(t, runProgram(t.Context(), []string{"/nowhere/hook"}, &e, time.Minute), "no such file")
}

// A program that hangs and takes no SIGTERM, has children that hold its output open, or writes without end, is over in time.
func TestAProgramThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	e := Event{Kind: KindStart}
	for name, text := range map[string]string{
		"deaf":    `trap "" TERM; echo $$ > "PID"; while :; do sleep 60; done`,
		"parent":  `trap "" TERM; (trap "" TERM; echo $$ > "PID"; exec sleep 600) & wait; sleep 600`,
		"flood":   `echo $$ > "PID"; while :; do cat /dev/zero; done`,
		"orphans": `echo $$ > "PID"; sleep 600 &`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pidFile := filepath.Join(t.TempDir(), "pid")
			argv := script(t, strings.ReplaceAll(text, "PID", pidFile))
			done := make(chan error, 1)
			go func() { done <- runProgram(context.Background(), argv, &e, time.Second) }()
			select {
			case err := <-done:
				require.Error(t, err)
			case <-time.After(time.Minute):
				t.Fatal("it is waited for without end")
			}
			says, err := os.ReadFile(pidFile)
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(says)))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return syscall.Kill(-pid, 0) != nil }, time.Minute, 10*time.Millisecond,
				"nothing of it is left")
		})
	}
}
