package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
)

// What a monitor knows about orders, holds and rejected records.

// steered records what is in force, and how Redis is doing.
func (m *Monitor) steered(control grant.Control, holds []grant.Hold, limit float64, redis grant.RedisHealth) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.metrics.ControlVersion.Set(float64(control.Version))
	m.metrics.Throttle.Set(float64(control.Throttle))
	m.metrics.Limit.Set(limit)
	m.metrics.RedisLatency.Set(redis.LatencySeconds)
	m.metrics.RedisMemory.Set(float64(redis.MemoryBytes))
	m.metrics.RedisMemoryMax.Set(float64(redis.MemoryLimit))
	m.metrics.ReplicaLag.Set(float64(redis.ReplicaLag))
	m.metrics.ClockAhead.Set(redis.ClockAhead)
	m.holdBy(holds)
	m.control, m.holds, m.limit, m.redis = control, holds, limit, redis
}

// holdBy shows what is in force. It is called with the lock held.
func (m *Monitor) holdBy(holds []grant.Hold) {
	in := map[grant.Cause]time.Time{}
	for _, h := range holds {
		in[h.Cause] = h.Since
	}
	for _, cause := range grant.Causes() {
		held, since := 0.0, 0.0
		if at, ok := in[cause]; ok {
			held, since = 1, float64(at.UnixMilli())/1000
		}
		m.metrics.Hold.WithLabelValues(string(cause)).Set(held)
		m.metrics.HoldSince.WithLabelValues(string(cause)).Set(since)
	}
}

// ended records that the run is over: nothing holds it any more, and what it measured says nothing about now.
func (m *Monitor) ended() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holdBy(nil)
	m.holds, m.limit = nil, 0
	m.metrics.Limit.Set(0)
	m.metrics.RedisLatency.Set(0)
	m.metrics.ClockAhead.Set(0)
	m.metrics.KafkaSilent.Set(0)
}

// Holds returns why the run is slow or stands, the weightiest cause first. The slice is not to be changed.
func (m *Monitor) Holds() []grant.Hold {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holds
}

// standsBy reports whether operators keep the run from beginning.
func (m *Monitor) standsBy() bool {
	return slices.ContainsFunc(m.Holds(), func(h grant.Hold) bool { return h.Cause == grant.CauseAborted || h.Cause == grant.CauseFinished })
}

// transaction is one that a producer has begun and not ended: what is behind it waits.
type transaction struct {
	first, records int64
	since          time.Time
}

// OpenTransaction implements source.Observer.
func (m *Monitor) OpenTransaction(partition int, first, records int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.parts[partition]
	switch {
	case st == nil:
	case records == 0:
		st.open = transaction{}
	case first != st.open.first || st.open.since.IsZero():
		st.open = transaction{first, records, time.Now()}
	default:
		st.open.records = records
	}
}

// A producer that commits every now and then always has a transaction open; one that is open for longer is a trouble.
const openFor = 3 * time.Second

// openTransactions says which partitions wait behind an open transaction, and since when; empty: none does.
func (m *Monitor) openTransactions() (detail string, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, p := range slices.Sorted(maps.Keys(m.parts)) {
		t := m.parts[p].open
		if t.records == 0 || time.Since(t.since) < openFor {
			continue
		}
		if since.IsZero() || t.since.Before(since) {
			since = t.since
		}
		list = append(list, fmt.Sprintf("partition %d: %d records wait behind offset %d since %s UTC", p, t.records, t.first, t.since.UTC().Format(time.TimeOnly)))
	}
	if n := len(list) - 3; n > 0 {
		list = append(list[:3], fmt.Sprintf("and %d more partitions", n))
	}
	return strings.Join(list, "; "), since
}

// Rejects returns how many records were rejected, by reason, and samples of them.
func (m *Monitor) Rejects() (map[string]int64, []grant.Reject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rejects.summary()
}

// counted records how many users the ledger has.
func (m *Monitor) counted(users int64) { m.metrics.LedgerGranted.Set(float64(users)) }

// starts records when the campaign starts.
func (m *Monitor) starts(at time.Time) { m.metrics.StartsAt.Set(float64(at.Unix())) }

// missed records that the first run began too late.
func (m *Monitor) missed(late time.Duration) { m.metrics.StartDelay.Set(late.Seconds()) }

const (
	samplesPerReason = 2
	sampleBytes      = 120
)

// rejects are the rejected records of a run, by reason.
type rejects struct {
	counts  map[string]int64
	samples map[string][]grant.Reject
}

func (r *rejects) add(one grant.Reject) {
	if r.counts == nil {
		r.counts, r.samples = map[string]int64{}, map[string][]grant.Reject{}
	}
	r.counts[one.Reason]++
	if list := r.samples[one.Reason]; len(list) < samplesPerReason {
		one.Value = one.Value[:min(len(one.Value), sampleBytes)]
		r.samples[one.Reason] = append(list, one)
	}
}

func (r *rejects) summary() (map[string]int64, []grant.Reject) {
	counts := map[string]int64{}
	samples := []grant.Reject{}
	for reason, n := range r.counts {
		counts[reason] = n
		samples = append(samples, r.samples[reason]...)
	}
	slices.SortFunc(samples, func(a, b grant.Reject) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Offset, b.Offset))
	})
	return counts, samples
}
