package engine

import (
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
)

// steered is what the steering of a run said last. The monitor's lock guards it.
type steered struct {
	control int64        // version of the control that is obeyed
	holds   []grant.Hold // the weightiest first
	limit   float64      // users per second of this replica; 0: none
	redis   grant.RedisHealth
}

// showHolds sets the metrics of every cause.
func showHolds(m *metrics.Metrics, holds []grant.Hold) {
	in := map[grant.Cause]time.Time{}
	for _, h := range holds {
		in[h.Cause] = h.Since
	}
	for _, cause := range grant.Causes() {
		held, since := 0.0, 0.0
		if at, ok := in[cause]; ok {
			held, since = 1, float64(at.UnixMilli())/1000
		}
		m.Hold.WithLabelValues(string(cause)).Set(held)
		m.HoldSince.WithLabelValues(string(cause)).Set(since)
	}
}

// ended takes back what says something about now only.
func (s *steered) ended(m *metrics.Metrics) {
	s.holds, s.limit = nil, 0
	showHolds(m, nil)
	m.Limit.Set(0)
	m.RedisLatency.Set(0)
	m.ClockAhead.Set(0)
}

// stops reports whether nothing is granted at the moment.
func (s *steered) stops() bool {
	return slices.ContainsFunc(s.holds, func(h grant.Hold) bool { return h.Cause.Stops() })
}

// detail says why a cause is in force; empty: it is not.
func (s *steered) detail(cause grant.Cause) string {
	for _, h := range s.holds {
		if h.Cause == cause {
			return h.Detail
		}
	}
	return ""
}

// standsBy reports whether operators keep the run from beginning.
func (s *steered) standsBy() bool {
	return s.detail(grant.CauseAborted) != "" || s.detail(grant.CauseFinished) != ""
}
