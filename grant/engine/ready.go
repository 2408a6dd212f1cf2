package engine

import (
	"time"

	"github.com/granter/granter/grant"
)

const (
	// refusedAfter is how long the ledger may take no checkpoint, with errors, before it counts as unavailable: one is written
	// every half second, and a fail-over that a retry overcomes at once is no news.
	refusedAfter = 2 * time.Second
	// overdueAfter is how long it may take none without any error. A master that is slow takes seconds.
	overdueAfter = 10 * time.Second
)

// overdue returns why the ledger takes no checkpoint, if it does not; empty: it does.
func (m *Monitor) overdue() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live == nil || m.refusal == "" || time.Since(m.checkpointAt) < refusedAfter {
		return ""
	}
	return "Redis has taken no checkpoint since " + m.checkpointAt.UTC().Format(time.TimeOnly) + " UTC: " + m.refusal
}

// Ready returns why the run is not ready, or nothing: both servers answer, it is in the consumer group, its checkpoint is
// current, and no partition is stalled. A replica that stands by, because others have all partitions, is ready.
func (m *Monitor) Ready() string {
	s := m.Snapshot()
	m.mu.Lock()
	kafka, since := m.survey.failure, m.survey.failing
	var redis string
	for _, h := range m.holds {
		if h.Cause == grant.CauseUnavailable {
			redis = h.Detail
		}
	}
	m.mu.Unlock()
	switch {
	case s.State == grant.RunFinished:
		return ""
	case s.State.Over():
		return "the run has ended: " + string(s.State)
	case redis != "":
		return "Redis does not answer, or refuses: " + redis
	case kafka != nil && time.Since(since) >= surveyFor:
		return "Kafka does not answer: " + kafka.Error()
	case s.State == grant.RunWaiting && m.standsBy():
		return "" // as when it is paused: operators want it so
	case s.State == grant.RunWaiting:
		return "waiting for starts_at"
	case !s.Member:
		return "no partitions assigned"
	case s.CheckpointAge > min(m.stall, overdueAfter):
		return "the ledger has taken no checkpoint for " + s.CheckpointAge.Round(time.Second).String()
	case s.Stalled > 0:
		return "partitions make no progress"
	}
	return ""
}
