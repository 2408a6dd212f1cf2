package engine

import (
	"time"

	"github.com/granter/granter/grant"
)

// Ready returns why the run is not ready, or nothing: both servers answer, it is in the consumer group, its checkpoint is
// current, and no partition is stalled. A replica that stands by, because others have all partitions, is ready.
func (m *Monitor) Ready() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.snapshot()
	redis, kafka := m.steered.detail(grant.CauseUnavailable), m.survey.failure
	switch {
	case s.State == grant.RunFinished:
		return ""
	case s.State.Over():
		return "the run has ended: " + string(s.State)
	case redis != "":
		return "Redis does not answer, or refuses: " + redis
	case kafka != nil && time.Since(m.survey.failing) >= surveyFor:
		return "Kafka does not answer: " + kafka.Error()
	case s.State == grant.RunWaiting && m.steered.standsBy():
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
