package engine

import (
	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
)

// The monitor implements metrics.Live: what is asked at every scrape.

// Tallies implements metrics.Live.
func (m *Monitor) Tallies() map[int]grant.Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.partitions.tallies()
}

// Offsets implements metrics.Live.
func (m *Monitor) Offsets() []metrics.Offsets {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]metrics.Offsets, 0, len(m.survey.bounds.Ends))
	for number, end := range m.survey.bounds.Ends {
		o := metrics.Offsets{Partition: number, Position: -1, Checkpoint: m.survey.granted(number), End: end}
		if p := m.partitions.read[number]; p != nil {
			o.Position, o.Checkpoint, o.End = p.next, p.checkpoint, max(end, p.highest)
		}
		out = append(out, o)
	}
	return out
}

// Remaining implements metrics.Live.
func (m *Monitor) Remaining() (records int64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.survey.remaining()
}

// QueueDepths implements metrics.Live.
func (m *Monitor) QueueDepths() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.partitions.queueDepths()
}

// CheckpointAge implements metrics.Live.
func (m *Monitor) CheckpointAge() float64 { return m.Snapshot().CheckpointAge.Seconds() }

// Progress implements metrics.Live.
func (m *Monitor) Progress() (ratio, secondsLeft float64) { return m.Snapshot().Progress() }

// Pool implements metrics.Live.
func (m *Monitor) Pool() metrics.Pool { return m.pool() }
