package engine

import "time"

const (
	// refusedAfter is how long the ledger may take no checkpoint, with errors, before it counts as unavailable: one is written
	// every half second, and a fail-over that a retry overcomes at once is no news.
	refusedAfter = 2 * time.Second
	// overdueAfter is how long it may take none without any error. A master that is slow takes seconds.
	overdueAfter = 10 * time.Second
	// ledgerErrorEvery is how often an error of the ledger is logged while it lasts.
	ledgerErrorEvery = 10 * time.Second
)

// ledgerHealth is how the ledger answers. The monitor's lock guards it.
type ledgerHealth struct {
	checkpointAt time.Time            // when it took the last checkpoint, or one became due; zero: none is due yet
	failure      string               // kind of its last error since then; empty: none
	logged       map[string]time.Time // when an error of a kind was logged last
}

func (h *ledgerHealth) checkpointed(now time.Time) { h.checkpointAt, h.failure = now, "" }

// failed records an error, and reports whether it is to be logged.
func (h *ledgerHealth) failed(kind string, now time.Time) bool {
	h.failure = kind
	if now.Sub(h.logged[kind]) < ledgerErrorEvery {
		return false
	}
	h.logged[kind] = now
	return true
}

// overdue returns why the ledger takes no checkpoint, if it does not; empty: it does.
func (h *ledgerHealth) overdue() string {
	if h.failure == "" || time.Since(h.checkpointAt) < refusedAfter {
		return ""
	}
	return "Redis has taken no checkpoint since " + h.checkpointAt.UTC().Format(time.TimeOnly) + " UTC: " + h.failure
}
