package engine

import (
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
)

// Snapshot is how a run is doing at one moment.
type Snapshot struct {
	State         grant.RunState
	Tally         grant.Tally
	Partitions    map[int]grant.Tally
	Member        bool // the consumer group has assigned partitions to this process, or none because others have all
	Assigned      []int
	Rate          float64 // records per second over the last seconds
	Done, Work    int64   // records of this process's partitions, from where it began: read so far, and in all
	CheckpointAge time.Duration
	Stalled       int
}

// Snapshot returns how the run is doing.
func (m *Monitor) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot()
}

// snapshot is called with the lock held.
func (m *Monitor) snapshot() Snapshot {
	parts := &m.partitions
	s := Snapshot{
		State: m.state, Partitions: parts.tallies(), Member: parts.pool != nil, Assigned: []int{}, Rate: parts.rate.perSecond(),
		Stalled: parts.stalled,
	}
	for _, t := range s.Partitions {
		s.Tally = s.Tally.Add(t)
	}
	for number, p := range parts.read {
		if p.assigned {
			s.Assigned = append(s.Assigned, number)
		}
		if end := p.target(); end > p.start {
			s.Work += end - p.start
			s.Done += min(p.next, end) - p.start
		}
	}
	slices.Sort(s.Assigned)
	if at := m.ledger.checkpointAt; !at.IsZero() {
		s.CheckpointAge = time.Since(at)
	}
	return s
}

// Progress returns the share of the work that is done, and the seconds that the rest takes; −1: unknown. A replica
// that stands by, because others have all partitions, has done its work.
func (s Snapshot) Progress() (ratio, secondsLeft float64) {
	switch {
	case s.Work == 0 && !s.Member && s.State != grant.RunFinished:
		return 0, -1 // it does not know yet what there is to do
	case s.Work == s.Done:
		return 1, 0
	case s.Rate <= 0:
		secondsLeft = -1
	default:
		secondsLeft = float64(s.Work-s.Done) / s.Rate
	}
	return float64(s.Done) / float64(s.Work), secondsLeft
}

// record adds what the monitor knows to a run's record.
func (m *Monitor) record(r grant.RunRecord) grant.RunRecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.snapshot()
	r.State, r.Partitions, r.Tally, r.Rate = s.State, s.Assigned, s.Tally, s.Rate
	r.Skew = metrics.Skew(m.partitions.queueDepths())
	r.Topic = m.topic
	r.Control, r.Holds, r.Limit, r.Redis = m.steered.control, m.steered.holds, m.steered.limit, m.steered.redis
	r.Rejects, r.Samples = m.rejects.summary()
	if at := m.ledger.checkpointAt; !at.IsZero() {
		r.CheckpointAt = &at
	}
	return r
}
