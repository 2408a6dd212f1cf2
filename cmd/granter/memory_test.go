package main

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARunTakesItsShareOfTheMemory(t *testing.T) {
	const mib = 1 << 20
	there := func(n uint64) func() (uint64, error) { return func() (uint64, error) { return n, nil } }
	none := func() (uint64, error) { return 0, errors.New("none") }
	for _, c := range []struct {
		name            string
		flag            string
		runtime         int64
		cgroup, machine func() (uint64, error)
		want            int
	}{
		{"as told", "300MiB", 448 * mib, there(512 * mib), there(1 << 40), 300 * mib},
		{"as told, more than usual", "8g", math.MaxInt64, none, there(1 << 40), 8 << 30},
		{"the runtime's limit", "", 448 * mib, there(512 * mib), there(1 << 40), 448 * mib},
		{"a runtime's limit that is too low", "", 1, none, none, leastMemory},
		{"a cgroup", "", math.MaxInt64, there(512 * mib), there(1 << 40), 384 * mib},
		{"a small cgroup", "", math.MaxInt64, there(64 * mib), none, leastMemory},
		{"a large cgroup", "", math.MaxInt64, there(1 << 40), none, 1 << 30},
		{"a machine", "", math.MaxInt64, none, there(2 << 30), 512 * mib},
		{"a large machine", "", math.MaxInt64, none, there(1 << 40), 1 << 30},
		{"a small machine", "", math.MaxInt64, none, there(512 * mib), 256 * mib},
		{"nobody knows", "", math.MaxInt64, none, none, 256 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := memoryBudget(c.flag, c.runtime, c.cgroup, c.machine)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for flag, want := range map[string]string{
		"much": "want a size such as 512MiB", "127MiB": "at least 128MiB", "-1": "want a size",
	} {
		_, err := memoryBudget(flag, math.MaxInt64, none, none)
		require.ErrorContains(t, err, want, flag)
	}
}
