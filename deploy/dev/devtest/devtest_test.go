package devtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		StopShared()
		os.Exit(code)
	}))
}

func TestStandaloneEndsAtFatalf(t *testing.T) {
	t.Parallel()
	var steps []string
	err := Standalone(nil, func(tb TB) error {
		tb.Cleanup(func() { steps = append(steps, "first") })
		tb.Cleanup(func() { steps = append(steps, "second") })
		tb.Fatalf("broken: %w", os.ErrInvalid)
		steps = append(steps, "went on")
		return nil
	})
	require.ErrorIs(t, err, os.ErrInvalid)
	require.Equal(t, []string{"second", "first"}, steps)
}

func TestStandaloneRemovesItsFolders(t *testing.T) {
	t.Parallel()
	var dir string
	failure := errors.New("done")
	err := Standalone(nil, func(tb TB) error {
		dir = tb.TempDir()
		require.DirExists(t, dir)
		return failure
	})
	require.ErrorIs(t, err, failure)
	require.NoDirExists(t, dir)
}

func TestFoldersOfDeadProcessesAreRemoved(t *testing.T) {
	t.Parallel()
	ended := exec.CommandContext(t.Context(), "true")
	require.NoError(t, ended.Run())
	folder := func(pid int) string {
		dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-test", tempPrefix, pid))
		require.NoError(t, os.Mkdir(dir, 0o700))
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	dead, alive := folder(ended.Process.Pid), folder(os.Getpid())
	sweepTemp()
	require.NoDirExists(t, dead)
	require.DirExists(t, alive)
}
