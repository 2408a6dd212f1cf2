package engine

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
)

// Monitor knows how a run is doing: it gathers what source, shards and ledger report, for the metrics, the progress
// bar, the run's record and the health endpoints. It is safe for concurrent use.
type Monitor struct {
	metrics *metrics.Metrics
	log     *slog.Logger
	stall   time.Duration
	pool    func() metrics.Pool

	mu         sync.Mutex // guards everything below, so that what is shown belongs together
	state      grant.RunState
	topic      grant.TopicID
	partitions partitions
	rejects    rejects
	ledger     ledgerHealth
	steered    steered
	survey     survey
}

// NewMonitor makes a monitor. A partition that makes no progress for the time stall although records are waiting is
// reported. pool returns the state of the ledger's connection pool.
func NewMonitor(m *metrics.Metrics, log *slog.Logger, stall time.Duration, pool func() metrics.Pool) *Monitor {
	return &Monitor{
		metrics: m, log: log, stall: stall, pool: pool,
		partitions: partitions{read: map[int]*partition{}, past: map[int]grant.Tally{}},
		ledger:     ledgerHealth{logged: map[string]time.Time{}},
	}
}

// State records the run's state.
func (m *Monitor) State(state grant.RunState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == state {
		return // a scrape must not meet the gauge at 0 in between
	}
	if m.state != "" {
		m.metrics.State.WithLabelValues(string(m.state)).Set(0)
	}
	m.state = state
	m.metrics.State.WithLabelValues(string(state)).Set(1)
}

// bound records what the run's offsets count in.
func (m *Monitor) bound(t grant.TopicID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.topic = t
}

// joined records an assignment of partitions by the consumer group.
func (m *Monitor) joined() { m.metrics.Generations.Inc() }

// assigned records what a session begins with: where each of its partitions starts, and where the session ends.
func (m *Monitor) assigned(pool *sharding.Pool, starts grant.Offsets, t target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.ledger.checkpointed(now) // from here on one is due
	m.survey.assigned(t)
	m.partitions.assigned(pool, starts, t, now)
}

// released adds what the session that ends has counted to the run's counts.
func (m *Monitor) released() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.partitions.released()
	m.metrics.Stalled.Set(0)
}

// checkpointed records a checkpoint, and reports partitions that make no progress.
func (m *Monitor) checkpointed(positions []sharding.Position, took time.Duration) {
	m.metrics.Checkpoints.Inc()
	m.metrics.CheckpointSec.Observe(took.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.ledger.checkpointed(now)
	m.survey.checkpointed(positions)
	for _, p := range m.partitions.checkpointed(positions, now, m.steered.stops(), m.stall) {
		m.log.Error("a partition makes no progress", "partition", p.number, "offset", p.next,
			"records_waiting", p.target()-p.checkpoint, "since", p.movedAt,
			"next_step", "look at its leader, at an open transaction, and at granter_kafka_errors_total")
	}
	m.metrics.Stalled.Set(float64(m.partitions.stalled))
}

// peeked records the bounds of every partition, or that Kafka did not say them.
func (m *Monitor) peeked(bounds grant.Bounds, asked time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.survey
	s.failure = err
	if err != nil {
		if s.failing.IsZero() {
			s.failing = asked
		}
		m.metrics.KafkaSilent.Set(time.Since(s.failing).Seconds())
		return
	}
	s.failing = time.Time{}
	m.metrics.KafkaSilent.Set(0)
	s.bounds = bounds
	for number, p := range m.partitions.read {
		p.highest = max(p.highest, bounds.Ends[number]) // a lane that waits does not learn of it
	}
}

// foundCheckpoint records how far the ledger has the topic as granted.
func (m *Monitor) foundCheckpoint(checkpoint grant.Checkpoint, private bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.survey.checkpoint = grant.Offsets{}
	if m.topic == (grant.TopicID{}) || m.topic.Continues(checkpoint.Topic) { // before the start it is not known yet
		maps.Copy(m.survey.checkpoint, checkpoint.Next)
	}
	if len(checkpoint.Next) > 0 && !private {
		m.metrics.Started.Set(1)
	}
}

// Position implements source.Observer.
func (m *Monitor) Position(partition int, next, highest int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.partitions.read[partition]; p != nil {
		p.position(next, highest)
	}
}

// OpenTransaction implements source.Observer.
func (m *Monitor) OpenTransaction(partition int, first, records int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.partitions.read[partition]; p != nil {
		p.open.report(first, records)
	}
}

// Rejected implements source.Observer.
func (m *Monitor) Rejected(r grant.Reject) {
	m.metrics.Rejected.WithLabelValues(r.Reason).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejects.add(r)
}

// Rejects returns how many records were rejected, by reason, and samples of them.
func (m *Monitor) Rejects() (map[string]int64, []grant.Reject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rejects.summary()
}

// KafkaError implements source.Observer.
func (m *Monitor) KafkaError(kind string) { m.metrics.KafkaErrors.WithLabelValues(kind).Inc() }

// LedgerError counts an error of a call to the ledger. Every kind is logged at once, and then from time to time: each
// shard tries again by itself, several times a second.
func (m *Monitor) LedgerError(kind string) {
	m.metrics.RedisErrors.WithLabelValues(kind).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ledger.failed(kind, time.Now()) {
		m.log.Warn("a call to the ledger failed", "kind", kind)
	}
}

// FlushDone counts what a flush sent to the ledger.
func (m *Monitor) FlushDone(_, _, calls, bytes int, _ time.Duration) {
	m.metrics.LedgerCalls.Add(float64(calls))
	m.metrics.LedgerBytes.Add(float64(bytes))
}

// Flushed implements dense.Observer.
func (m *Monitor) Flushed(shard, members, chunks int, took time.Duration) {
	m.metrics.FlushMembers.Observe(float64(members))
	m.metrics.FlushChunks.Observe(float64(chunks))
	m.metrics.FlushSeconds.Observe(took.Seconds())
	m.metrics.ShardMembers.WithLabelValues(metrics.Partition(shard)).Add(float64(members))
}

// regressed counts a loss of acknowledged writes.
func (m *Monitor) regressed() { m.metrics.Regressions.Inc() }

// startsAt records when the campaign starts.
func (m *Monitor) startsAt(at time.Time) { m.metrics.StartsAt.Set(float64(at.Unix())) }

// missedStart records that the first run began too late.
func (m *Monitor) missedStart(late time.Duration) { m.metrics.StartDelay.Set(late.Seconds()) }

// steer records what is in force, and how Redis is doing.
func (m *Monitor) steer(control *grant.Control, s steered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.metrics.ControlVersion.Set(float64(control.Version))
	m.metrics.Throttle.Set(float64(control.Throttle))
	m.metrics.Limit.Set(s.limit)
	m.metrics.RedisLatency.Set(s.redis.LatencySeconds)
	m.metrics.RedisMemory.Set(float64(s.redis.MemoryBytes))
	m.metrics.RedisMemoryMax.Set(float64(s.redis.MemoryLimit))
	m.metrics.ReplicaLag.Set(float64(s.redis.ReplicaLag))
	m.metrics.ClockAhead.Set(s.redis.ClockAhead)
	showHolds(m.metrics, s.holds)
	m.steered = s
}

// Holds returns why the run is slow or stopped, the weightiest cause first. The slice is not to be changed.
func (m *Monitor) Holds() []grant.Hold {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steered.holds
}

// observed returns what the monitor knows of that keeps users waiting, for the steering to show.
func (m *Monitor) observed() (holds []grant.Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if why := m.ledger.overdue(); why != "" && m.partitions.pool != nil {
		holds = append(holds, grant.Hold{Cause: grant.CauseUnavailable, Detail: why})
	}
	if detail, since := m.partitions.openTransactions(); detail != "" {
		holds = append(holds, grant.Hold{Cause: grant.CauseTransaction, Detail: detail, Since: since})
	}
	return holds
}

// ended records that the run is over: nothing holds it any more, and what it measured says nothing about now.
func (m *Monitor) ended() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steered.ended(m.metrics)
	m.metrics.KafkaSilent.Set(0)
}
