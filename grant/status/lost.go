package status

import (
	"context"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// lostFor is how long a run that fell silent counts as lost. Whoever has not replaced it by then does not mean to.
const lostFor = 15 * time.Minute

// Lost returns how many runs fell silent within the last quarter of an hour, did not end, and are not replaced. A run
// that ended said so: only one that was killed, or is cut off, is lost. It asks the ledger only.
func Lost(ctx context.Context, c Coordination) (int, error) {
	control, now, err := c.Control(ctx)
	if err != nil {
		return 0, err
	}
	records, err := c.Runs(ctx)
	if err != nil {
		return 0, err
	}
	runs := make([]Replica, len(records))
	for i := range records {
		runs[i] = newReplica(records[i], &control, now)
	}
	return missing(runs, now), nil
}

// missing counts the lost runs, each of which one run replaces that was started after its last sign of life. All times are
// of Redis's clock. A canary ends, and nobody waits for it.
func missing(runs []Replica, now time.Time) int {
	var silent, started []time.Time
	for i := range runs {
		r := &runs[i]
		if r.Pass != "" {
			continue
		}
		last := r.UpdatedAt.Add(r.ahead())
		if active := r.State == grant.RunRunning || r.State == grant.RunWaiting; active && !r.Live && now.Sub(last) < lostFor {
			silent = append(silent, last)
		}
		started = append(started, r.StartedAt.Add(r.ahead()))
	}
	slices.SortFunc(silent, time.Time.Compare)
	slices.SortFunc(started, time.Time.Compare)
	n := len(silent)
	for _, at := range started {
		if len(silent) > 0 && at.After(silent[0]) {
			silent = silent[1:]
			n--
		}
	}
	return n
}
