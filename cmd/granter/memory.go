package main

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/docker/go-units"
)

const (
	memoryHelp = "memory for a run, such as 512MiB: the more, the more users a flush gathers, and the less each costs " +
		"(default: GOMEMLIMIT, else three quarters of the cgroup's limit, else a quarter of the machine's, 1GiB at most)"

	leastMemory   = 128 << 20
	defaultLow    = 256 << 20
	defaultHigh   = 1 << 30
	besidesShards = 64 << 20 // the program, its queues, connections and metrics
)

// memoryBudget returns how many bytes a run may take: what a flag or the runtime's limit says, or a share of what there is.
func memoryBudget(flag string, runtime int64, cgroup, machine func() (uint64, error)) (int, error) {
	if flag != "" {
		n, err := units.RAMInBytes(flag)
		if err != nil {
			return 0, fmt.Errorf("--memory %q: want a size such as 512MiB: %w", flag, err)
		}
		if n < leastMemory {
			return 0, fmt.Errorf("--memory %q: a run needs at least %s", flag, units.BytesSize(leastMemory))
		}
		return int(n), nil
	}
	if runtime < math.MaxInt64 {
		return int(max(runtime, leastMemory)), nil
	}
	if limit, err := cgroup(); err == nil && limit > 0 {
		return int(min(max(limit/4*3, leastMemory), defaultHigh)), nil
	}
	total, err := machine()
	if err != nil {
		return defaultLow, nil //nolint:nilerr // a machine that does not say how much it has is taken for a small one
	}
	return int(min(max(total/4, defaultLow), defaultHigh)), nil
}

// budgetMemory makes the runtime collect garbage rather than exceed the budget of a run, and returns what shards may hold of
// it. What a flush needs for encoding, and what waits to be collected, is the remaining third.
func (flags *runFlags) budgetMemory() (shards int, err error) {
	total, err := memoryBudget(flags.memory, debug.SetMemoryLimit(-1), memlimit.FromCgroup, memlimit.FromSystem)
	if err != nil {
		return 0, usageError(err)
	}
	debug.SetMemoryLimit(int64(total))
	return max(total-besidesShards-flags.fetchMemory, 0)/3*2 + 1, nil
}
