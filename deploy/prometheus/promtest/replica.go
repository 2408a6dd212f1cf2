package promtest

import (
	"errors"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/metrics"
)

// Replica exports every metric that a running replica does, but does nothing. It is safe for concurrent use.
type Replica struct {
	*prometheus.Registry
	*metrics.Metrics

	mu      sync.Mutex
	tallies map[int]grant.Tally
}

// NewDesk exports what a desk does, before it has got through to Redis and Kafka.
func NewDesk(campaign string) (*prometheus.Registry, *metrics.Overview) {
	reg := prometheus.NewRegistry()
	desk := metrics.NewDesk(reg, campaign)
	desk.Broken.WithLabelValues("access")
	desk.Requests.WithLabelValues("status", "200")
	desk.Refusals.WithLabelValues("no_token")
	desk.Checks.WithLabelValues("ledger")
	desk.Listed.WithLabelValues("ledger")
	for _, outcome := range grant.Outcomes() {
		desk.Takes.WithLabelValues("month", string(outcome))
	}
	overview := metrics.NewOverview(reg, campaign, "v1.2.3")
	overview.Set(metrics.Campaign{Taken: map[string]int64{"month": 2}, Left: map[string]int64{"month": 0}})
	overview.Failed(errors.New("nothing is known yet"))
	return reg, overview
}

// NewTaker exports what granter take --topic does.
func NewTaker(campaign string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	metrics.NewTakes(reg, campaign, "v1.2.3", []string{"month"}, texts(grant.Outcomes()), texts(source.Reasons()))
	return reg
}

// NewAudit exports what granter audit --follow does, before its first audit has ended.
func NewAudit(campaign string) *prometheus.Registry {
	reg, _ := newAudit(campaign)
	return reg
}

func newAudit(campaign string) (*prometheus.Registry, *metrics.Audit) {
	reg := prometheus.NewRegistry()
	return reg, metrics.NewAudit(reg, campaign, "v1.2.3", texts([]audit.Verdict{audit.Refuted, audit.NotProven}))
}

// partitions is how many partitions, and shards, a Replica has.
const partitions = 2

// NewReplica returns a replica of a campaign that is running well.
func NewReplica(campaign string) *Replica {
	r := &Replica{Registry: prometheus.NewRegistry()}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.Metrics = metrics.New(r.Registry, metrics.Labels{
		Campaign: campaign, Version: "v1.2.3", Spec: "0123456789ab", RedisKinds: ledger.Kinds,
		Reasons: texts(source.Reasons()), KafkaKinds: texts(source.ErrorKinds()), Causes: texts(grant.Causes()),
		States: texts(
			[]grant.RunState{grant.RunWaiting, grant.RunRunning, grant.RunFinished, grant.RunStopped, grant.RunFailed},
		),
	})
	metrics.Register(r.Registry, campaign, (*live)(r))
	r.tallies = map[int]grant.Tally{}
	for p := range partitions {
		r.tallies[p] = grant.Tally{}
		label := metrics.Partition(p)
		r.ShardMembers.WithLabelValues(label)
	}
	r.State.WithLabelValues(string(grant.RunRunning)).Set(1)
	r.Expected.Set(4e6)
	r.RedisMemory.Set(1 << 30)
	r.RedisMemoryMax.Set(4 << 30)
	r.RedisProjected.Set(2 << 30)
	return r
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// Grant counts records of every partition as granted, and as many flushes as partitions.
func (r *Replica) Grant(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, t := range r.tallies {
		r.tallies[p] = t.Add(grant.Tally{Consumed: n, Granted: n})
		label := metrics.Partition(p)
		r.ShardMembers.WithLabelValues(label).Add(float64(n))
		r.FlushMembers.Observe(float64(n))
		r.FlushChunks.Observe(1)
		r.FlushSeconds.Observe(0.01)
		r.CheckpointSec.Observe(0.001)
		r.LedgerGranted.Add(float64(n))
	}
}

// Lose makes one record disappear: it is consumed, and has no outcome.
func (r *Replica) Lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies[0] = r.tallies[0].Add(grant.Tally{Consumed: 1})
}

// live is a Replica as metrics.Live: these methods are not for its users.
type live Replica

func (l *live) Tallies() map[int]grant.Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.tallies)
}

// end is where each partition of a Replica ends; half of it was granted before.
const end = 2e6

func (l *live) Offsets() []metrics.Offsets {
	out := make([]metrics.Offsets, 0, partitions)
	for p, t := range l.Tallies() {
		out = append(out, metrics.Offsets{Partition: p, Position: end/2 + t.Consumed, Checkpoint: end/2 + t.Consumed, End: end})
	}
	return out
}

func (l *live) Remaining() (records int64, known bool) {
	for _, o := range l.Offsets() {
		records += o.End - o.Checkpoint
	}
	return records, true
}

func (l *live) QueueDepths() []int { return make([]int, partitions) }

func (l *live) CheckpointAge() float64 { return 0.25 }

func (l *live) Progress() (ratio, secondsLeft float64) { return 0.5, 60 }

func (l *live) Pool() metrics.Pool {
	return metrics.Pool{Hits: 100, Misses: 4, Total: 8, Idle: 5}
}
