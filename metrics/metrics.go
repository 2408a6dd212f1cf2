// Package metrics is the catalogue of every metric that granter exports: those of a run, what is read from it at each scrape, a
// campaign's overview, and the desk's. They are injected into a registry, so that a dashboard, a rule or a test can be held
// against them. docs/metrics.md is generated from it.
package metrics

import (
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "granter"

// Metrics holds the metrics that are set as things happen.
type Metrics struct {
	Rejected      *prometheus.CounterVec // by reason
	FlushMembers  prometheus.Histogram
	FlushChunks   prometheus.Histogram
	FlushSeconds  prometheus.Histogram
	LedgerCalls   prometheus.Counter
	LedgerBytes   prometheus.Counter
	ShardMembers  *prometheus.CounterVec // by shard
	Checkpoints   prometheus.Counter
	CheckpointSec prometheus.Histogram
	Regressions   prometheus.Counter
	Generations   prometheus.Counter
	RedisErrors   *prometheus.CounterVec // by kind
	KafkaErrors   *prometheus.CounterVec // by kind
	KafkaSilent   prometheus.Gauge
	Stalled       prometheus.Gauge
	State         *prometheus.GaugeVec // by state
	StartsAt      prometheus.Gauge
	Expected      prometheus.Gauge

	PlannedEnd     prometheus.Gauge
	StartDelay     prometheus.Gauge
	Started        prometheus.Gauge
	Lost           prometheus.Gauge
	ControlVersion prometheus.Gauge
	Hold           *prometheus.GaugeVec // by cause
	HoldSince      *prometheus.GaugeVec // by cause
	Throttle       prometheus.Gauge
	Limit          prometheus.Gauge
	LedgerGranted  prometheus.Gauge
	LedgerExcluded prometheus.Gauge
	RedisLatency   prometheus.Gauge
	RedisMemory    prometheus.Gauge
	RedisMemoryMax prometheus.Gauge
	RedisProjected prometheus.Gauge
	ReplicaLag     prometheus.Gauge
	ClockAhead     prometheus.Gauge
}

// Labels are the bounded sets of label values, so that every series exists from the start.
type Labels struct {
	Campaign, Version, Spec                         string
	Pass                                            string // canary or only; empty: everybody
	Reasons, RedisKinds, KafkaKinds, States, Causes []string
}

// What runs and desks both export.
const (
	buildHelp    = "Always 1; the labels say what is running."
	startHelp    = "Unix time at which the campaign starts: the spec's starts_at, or what it was postponed to."
	expectedHelp = "Distinct users that the campaign expects; 0: unknown."
	startedHelp  = "1 when the ledger has a checkpoint of a run that grants everybody: the campaign has begun."
	lostHelp     = "Runs that fell silent within the last quarter of an hour and did not end, and that no younger run replaces."
	grantedHelp  = "Users that the ledger has as granted, by whichever process, as of the last count; every process exports " +
		"the same."
)

// excludedHelp is about users who do not get the campaign.
const excludedHelp = "Users who are excluded: runs withhold them, whatever the topic says; as of the last count."

// Outcomes are the values of the label outcome.
var Outcomes = []string{"granted", "duplicate", "rejected", "withheld"}

// New registers the catalogue. The campaign is a label of every metric.
func New(reg prometheus.Registerer, l Labels) *Metrics {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"campaign": l.Campaign}, reg)
	f := factory{reg}
	m := &Metrics{
		Rejected: f.counters("rejected_records_total",
			"Records without a valid user ID, durably in the dead-letter topic, by reason.", "reason"),
		// to 4 Mi: what all shards may hold
		FlushMembers: f.histogram("flush_users", "Users in a flush to the ledger.", prometheus.ExponentialBuckets(1, 4, 12)),
		FlushChunks: f.histogram("flush_chunks", "Chunks of 65,536 IDs that a flush touches.",
			prometheus.ExponentialBuckets(1, 2, 9)),
		FlushSeconds: f.histogram("flush_duration_seconds", "Time until the ledger acknowledged a flush, retries included.",
			prometheus.ExponentialBuckets(0.0005, 2, 18)),
		LedgerCalls:  f.counter("ledger_calls_total", "Script calls to the ledger, one for each chunk in a flush."),
		LedgerBytes:  f.counter("ledger_sent_bytes_total", "Bytes of grants sent to the ledger."),
		ShardMembers: f.counters("shard_users_total", "Users that each shard flushed; their spread is the shard skew.", "shard"),
		Checkpoints:  f.counter("checkpoints_total", "Checkpoints written to the ledger."),
		CheckpointSec: f.histogram("checkpoint_duration_seconds", "Time to write a checkpoint to every ledger master.",
			prometheus.ExponentialBuckets(0.0005, 2, 18)),
		Regressions: f.counter("ledger_regressions_total",
			"Times that the ledger was found to have lost acknowledged writes; each makes the run read again from the older "+
				"checkpoint."),
		Generations: f.counter("group_generations_total",
			"Assignments of partitions that this process got from the consumer group."),
		RedisErrors: f.counters("redis_errors_total", "Errors of calls to the ledger, also those that a retry overcame, by kind.",
			"kind"),
		KafkaErrors: f.counters("kafka_errors_total", "Errors of calls to Kafka, also those that a retry overcame, by kind.",
			"kind"),
		KafkaSilent: f.gauge("kafka_silent_seconds",
			"How long Kafka has not said where the topic ends, though it was asked every two seconds; 0: it does."),
		Stalled:  f.gauge("stalled_partitions", "Assigned partitions that make no progress although records are waiting."),
		State:    f.gauges("run_state", "1 for the state that this run is in.", "state"),
		StartsAt: f.gauge("campaign_start_timestamp_seconds", startHelp),
		Expected: f.gauge("campaign_expected_users", expectedHelp),

		PlannedEnd: f.gauge("campaign_planned_end_timestamp_seconds",
			"Unix time by which everything is to be granted (--finish-by, or the spec's ends_at); 0: no plan."),
		StartDelay: f.gauge("start_delay_seconds",
			"How long after the campaign's start the first run began; 0: in time, or not the first run."),
		Started:        f.gauge("campaign_started", startedHelp),
		Lost:           f.gauge("campaign_lost_replicas", lostHelp),
		ControlVersion: f.gauge("control_version", "Version of the operators' orders that this process obeys."),
		Hold:           f.gauges("hold", "1 while this cause slows or stops the run.", "cause"),
		HoldSince: f.gauges("hold_since_timestamp_seconds", "Unix time since when this cause is in force; 0: it is not.",
			"cause"),
		Throttle: f.gauge("throttle_users_per_second",
			"Limit that operators have set, for all replicas together; 0: none."),
		Limit: f.gauge("feedback_limit_users_per_second",
			"Limit that this process sets itself because a measurement is above --slow-at; 0: none."),
		LedgerGranted:  f.gauge("ledger_granted_users", grantedHelp),
		LedgerExcluded: f.gauge("ledger_excluded_users", excludedHelp),
		RedisLatency: f.gauge("redis_latency_seconds",
			"Time of a small call to the ledger's Redis, the worst of the last second."),
		RedisMemory: f.gauge("redis_memory_used_bytes", "Memory that the master nearest to its limit uses; -1: unknown."),
		RedisMemoryMax: f.gauge("redis_memory_limit_bytes",
			"Limit of that master: maxmemory, or the machine's memory; 0: unknown."),
		RedisProjected: f.gauge("redis_memory_projected_bytes",
			"Memory that the fullest master will use when everybody is granted, as preflight projected it; 0: unknown."),
		ReplicaLag: f.gauge("redis_replica_lag_bytes",
			"How far the replica of Redis that is furthest behind is behind its master."),
		ClockAhead: f.gauge("redis_clock_ahead_seconds", "Clock of Redis minus the clock of this process."),
	}
	f.gaugeWith("campaign_info", "Always 1; the labels say which version of the spec this process works by, and which users "+
		"it grants; no pass: everybody.",
		prometheus.Labels{"spec": l.Spec, "pass": l.Pass}).Set(1)
	for _, v := range l.Causes {
		m.Hold.WithLabelValues(v)
		m.HoldSince.WithLabelValues(v)
	}
	for _, v := range l.Reasons {
		m.Rejected.WithLabelValues(v)
	}
	for _, v := range l.RedisKinds {
		m.RedisErrors.WithLabelValues(v)
	}
	for _, v := range l.KafkaKinds {
		m.KafkaErrors.WithLabelValues(v)
	}
	for _, v := range l.States {
		m.State.WithLabelValues(v)
	}
	f.gaugeWith("build_info", buildHelp, buildLabels(l.Version)).Set(1)
	return m
}

func buildLabels(version string) prometheus.Labels {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()}
}

type factory struct{ reg prometheus.Registerer }

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	f.reg.MustRegister(c)
	return c
}

func (f factory) counters(name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	f.reg.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge { return f.gaugeWith(name, help, nil) }

func (f factory) gaugeWith(name, help string, labels prometheus.Labels) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels})
	f.reg.MustRegister(g)
	return g
}

func (f factory) gauges(name, help, label string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	f.reg.MustRegister(g)
	return g
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	f.reg.MustRegister(h)
	return h
}

// Partition is a value of the label partition.
func Partition(n int) string { return strconv.Itoa(n) }
