package engine

import (
	"log/slog"
	"maps"
	"slices"
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

	mu           sync.Mutex
	state        grant.RunState
	parts        map[int]*partitionState
	live         *sharding.Pool
	past         map[int]grant.Tally // of generations that have ended
	checkpointAt time.Time
	samples      []sample
	refused      map[string]time.Time // when an error of this kind was logged last
	refusal      string               // kind of the last error of the ledger since the last checkpoint
	stalled      int
	control      grant.Control
	holds        []grant.Hold
	limit        float64
	redis        grant.RedisHealth
	rejects      rejects
	survey       survey
	topic        grant.TopicID
}

type partitionState struct {
	start, next, highest, checkpoint int64
	end                              int64 // of the partition when the run first saw it
	follow                           bool  // what comes behind end is read, too
	assigned                         bool
	movedAt                          time.Time // when it last moved or had nothing to do
	warned                           bool
	open                             transaction
}

type sample struct {
	at       time.Time
	consumed int64
}

// rateWindow is the time over which the rate is averaged.
const rateWindow = 5 * time.Second

// NewMonitor makes a monitor. A partition that makes no progress for the time stall although records are waiting is
// reported. pool returns the state of the ledger's connection pool.
func NewMonitor(m *metrics.Metrics, log *slog.Logger, stall time.Duration, pool func() metrics.Pool) *Monitor {
	return &Monitor{
		metrics: m, log: log, stall: stall, pool: pool,
		parts: map[int]*partitionState{}, past: map[int]grant.Tally{}, refused: map[string]time.Time{},
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

// assigned records what a session begins with: where each of its partitions starts, where the topic's partitions end, and
// whether what comes behind that is read, too.
func (m *Monitor) assigned(pool *sharding.Pool, starts, ends grant.Offsets, follow bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = pool
	m.checkpointAt, m.refusal = time.Now(), ""
	for p := range m.parts {
		if _, still := starts[p]; !still {
			delete(m.parts, p) // another replica has it now; its books stay
		}
	}
	m.survey.began(ends, follow)
	for p, start := range starts {
		st := m.parts[p]
		if st == nil {
			st = &partitionState{start: start, highest: -1}
			m.parts[p] = st
		}
		st.start = min(st.start, start) // after a loss it may be further back
		st.end, st.follow = ends[p], follow
		st.assigned, st.next, st.checkpoint, st.movedAt, st.warned = true, start, start, time.Now(), false
	}
}

// released takes the books of the session that ends into the total.
func (m *Monitor) released() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = m.tallies()
	m.live = nil
	m.stalled = 0
	m.metrics.Stalled.Set(0)
	for _, st := range m.parts {
		st.assigned, st.open = false, transaction{}
	}
}

// Position implements source.Observer.
func (m *Monitor) Position(partition int, next, highest int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.parts[partition]
	if st == nil {
		return
	}
	if next > st.next {
		st.movedAt, st.warned = time.Now(), false
	}
	st.next = next
	if highest >= 0 {
		st.highest = highest
	}
}

// Rejected implements source.Observer.
func (m *Monitor) Rejected(r grant.Reject) {
	m.metrics.Rejected.WithLabelValues(r.Reason).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejects.add(r)
}

// KafkaError implements source.Observer.
func (m *Monitor) KafkaError(kind string) { m.metrics.KafkaErrors.WithLabelValues(kind).Inc() }

// ledgerErrorEvery is how often an error of the ledger is logged while it lasts.
const ledgerErrorEvery = 10 * time.Second

// LedgerError counts an error of a call to the ledger. Every kind is logged at once, and then from time to time: each
// shard tries again by itself, several times a second.
func (m *Monitor) LedgerError(kind string) {
	m.metrics.RedisErrors.WithLabelValues(kind).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusal = kind
	if now := time.Now(); now.Sub(m.refused[kind]) >= ledgerErrorEvery {
		m.refused[kind] = now
		m.log.Warn("a call to the ledger failed", "kind", kind)
	}
}

// FlushDone counts what a flush sent to the ledger.
func (m *Monitor) FlushDone(_, _, calls, bytes int, _ time.Duration) {
	m.metrics.LedgerCalls.Add(float64(calls))
	m.metrics.LedgerBytes.Add(float64(bytes))
}

// Regressed counts a loss of acknowledged writes.
func (m *Monitor) Regressed() { m.metrics.Regressions.Inc() }

// Flushed implements dense.Observer.
func (m *Monitor) Flushed(shard, members, chunks int, took time.Duration) {
	m.metrics.FlushMembers.Observe(float64(members))
	m.metrics.FlushChunks.Observe(float64(chunks))
	m.metrics.FlushSeconds.Observe(took.Seconds())
	m.metrics.ShardMembers.WithLabelValues(metrics.Partition(shard)).Add(float64(members))
}

// checkpointed records a checkpoint, and looks for partitions that do not move.
func (m *Monitor) checkpointed(positions []sharding.Position, took time.Duration) {
	m.metrics.Checkpoints.Inc()
	m.metrics.CheckpointSec.Observe(took.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.checkpointAt, m.refusal = now, ""
	m.stalled = 0
	stands := slices.ContainsFunc(m.holds, func(h grant.Hold) bool { return h.Cause.Stops() })
	for i := range positions {
		p, offset := positions[i].Partition, positions[i].Next
		m.survey.settle(p, offset)
		st := m.parts[p]
		st.next = max(st.next, offset) // a lane that waits has not said how far it has come
		behind := st.target() - offset
		if offset > st.checkpoint || behind <= 0 || stands || positions[i].Held { // what is held makes no progress, and should not
			st.checkpoint, st.movedAt, st.warned = offset, now, false
		}
		if behind > 0 && now.Sub(st.movedAt) > m.stall {
			m.stalled++
			if !st.warned {
				st.warned = true
				m.log.Error("a partition makes no progress", "partition", p, "offset", st.next, "records_waiting", behind,
					"since", st.movedAt, "next_step", "look at its leader, at an open transaction, and at granter_kafka_errors_total")
			}
		}
	}
	m.metrics.Stalled.Set(float64(m.stalled))
	m.samples = append(m.samples, sample{now, m.total().Consumed})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > rateWindow {
		m.samples = m.samples[1:]
	}
}

// target returns the offset up to which a partition is to be read, as far as that is known.
func (st *partitionState) target() int64 {
	if st.follow {
		return max(st.end, st.highest)
	}
	return st.end
}

// tallies returns the books of every partition this run has had. It is called with the lock held.
func (m *Monitor) tallies() map[int]grant.Tally {
	out := maps.Clone(m.past)
	if m.live == nil {
		return out
	}
	positions, err := m.live.Positions()
	if err != nil {
		return out // the checkpoint stops the run with this error
	}
	for _, p := range positions {
		out[p.Partition] = out[p.Partition].Add(grant.Tally{
			Consumed: p.Consumed, Granted: p.Granted, Duplicate: p.Duplicate, Rejected: p.Rejected, Withheld: p.Withheld,
		})
	}
	return out
}

func (m *Monitor) total() grant.Tally {
	var sum grant.Tally
	for _, t := range m.tallies() {
		sum = sum.Add(t)
	}
	return sum
}

// rate is 0 when no checkpoint is written any more: the last one says nothing about now.
func (m *Monitor) rate() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	took := last.at.Sub(first.at)
	if took <= 0 || time.Since(last.at) > rateWindow {
		return 0
	}
	return float64(last.consumed-first.consumed) / took.Seconds()
}

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
	s := Snapshot{
		State: m.state, Partitions: m.tallies(), Member: m.live != nil, Assigned: []int{}, Rate: m.rate(), Stalled: m.stalled,
	}
	for _, t := range s.Partitions {
		s.Tally = s.Tally.Add(t)
	}
	for p, st := range m.parts {
		if st.assigned {
			s.Assigned = append(s.Assigned, p)
		}
		if end := st.target(); end > st.start {
			s.Work += end - st.start
			s.Done += min(st.next, end) - st.start
		}
	}
	slices.Sort(s.Assigned)
	if !m.checkpointAt.IsZero() {
		s.CheckpointAge = time.Since(m.checkpointAt)
	}
	return s
}

// fill adds what the monitor knows to a run's record.
func (m *Monitor) fill(r grant.RunRecord) grant.RunRecord {
	s := m.Snapshot()
	r.State, r.Partitions, r.Tally, r.Rate = s.State, s.Assigned, s.Tally, s.Rate
	r.Skew = metrics.Skew(m.QueueDepths())
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Topic = m.topic
	r.Control, r.Holds, r.Limit, r.Redis = m.control.Version, m.holds, m.limit, m.redis
	r.Rejects, r.Samples = m.rejects.summary()
	if !m.checkpointAt.IsZero() {
		at := m.checkpointAt
		r.CheckpointAt = &at
	}
	return r
}

// Tallies implements metrics.Live.
func (m *Monitor) Tallies() []metrics.Tally {
	parts := m.Snapshot().Partitions
	out := make([]metrics.Tally, 0, len(parts))
	for p, t := range parts {
		out = append(out, metrics.Tally{
			Partition: p, Consumed: t.Consumed, Granted: t.Granted, Duplicate: t.Duplicate, Rejected: t.Rejected, Withheld: t.Withheld,
		})
	}
	return out
}

// QueueDepths implements metrics.Live.
func (m *Monitor) QueueDepths() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live == nil {
		return nil
	}
	return m.live.QueueDepths()
}

// CheckpointAge implements metrics.Live.
func (m *Monitor) CheckpointAge() float64 { return m.Snapshot().CheckpointAge.Seconds() }

// Progress implements metrics.Live.
func (m *Monitor) Progress() (ratio, secondsLeft float64) { return m.Snapshot().Progress() }

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

// Pool implements metrics.Live.
func (m *Monitor) Pool() metrics.Pool { return m.pool() }
