package metrics

import (
	"math"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/granter/granter/grant"
)

// Offsets is how far one partition is.
type Offsets struct {
	Partition  int
	Position   int64 // of the next record that this process reads; −1: another one reads the partition
	Checkpoint int64
	End        int64
}

// Pool is the state of the connection pool to the ledger.
type Pool struct {
	Hits, Misses, Timeouts, Stale uint32
	Total, Idle                   uint32
}

// Live is asked at every scrape, so that values which belong together are taken at the same moment. Its methods are
// called concurrently.
type Live interface {
	Tallies() map[int]grant.Tally           // by partition
	Offsets() []Offsets                     // of all partitions of the topic, as far as they are known
	Remaining() (records int64, known bool) // of the whole topic
	QueueDepths() []int
	CheckpointAge() float64                 // seconds; 0 before the first
	Progress() (ratio, secondsLeft float64) // secondsLeft is negative when it is not known
	Pool() Pool
}

type live struct {
	Live

	descs                                            []*prometheus.Desc
	consumed, records, queue, skew, age, ratio, left *prometheus.Desc
	position, checkpoint, end, lag, remaining        *prometheus.Desc
	hits, misses, timeouts, stale, conns             *prometheus.Desc
}

// Register adds the metrics that are collected at scrape time.
func Register(reg prometheus.Registerer, campaign string, source Live) {
	l := &live{Live: source}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc(namespace+"_"+name, help, labels, prometheus.Labels{"campaign": campaign})
		l.descs = append(l.descs, d)
		return d
	}
	l.consumed = desc("consumed_records_total", "Records whose outcome is decided.", "partition")
	l.records = desc("records_total",
		"Records by outcome; in every scrape their sum over the outcomes equals granter_consumed_records_total.", "partition",
		"outcome")
	l.position = desc("partition_position_offset", "Offset of the next record that this process reads.", "partition")
	l.checkpoint = desc("partition_checkpoint_offset",
		"Offset up to which every record of the partition is granted or accounted for, durably in the ledger; by whichever "+
			"process.", "partition")
	l.end = desc("partition_end_offset", "High watermark: offset that the next produced record will get.", "partition")
	l.lag = desc("partition_lag_records",
		"Records between the position and the end, or the checkpoint and the end where another process "+
			"reads; without --follow, what was produced after the start stays there.", "partition")
	l.remaining = desc("remaining_records",
		"Records of the whole topic, whoever reads them, between the ledger's checkpoint and where this "+
			"run ends: at the end that the topic had at the start, or with --follow at its end.")
	l.queue = desc("shard_queue_blocks", "Blocks of IDs that wait in front of each shard.", "shard")
	l.skew = desc("shard_queue_skew_ratio", "Longest shard queue divided by the mean; 1 when all are empty.")
	l.age = desc("checkpoint_age_seconds", "Time since the ledger took the last checkpoint.")
	l.ratio = desc("progress_ratio", "Share of the records of this process's partitions that is read, 0 to 1.")
	l.left = desc("estimated_remaining_seconds",
		"Time until this process's partitions are read, at the present rate; NaN: unknown.")
	l.hits = desc("redis_pool_hits_total", "Times that a free connection to the ledger was found in the pool.")
	l.misses = desc("redis_pool_misses_total", "Times that no free connection to the ledger was found in the pool.")
	l.timeouts = desc("redis_pool_timeouts_total", "Times that waiting for a connection to the ledger took too long.")
	l.stale = desc("redis_pool_stale_connections_total", "Connections to the ledger that were removed as stale.")
	l.conns = desc("redis_pool_connections", "Connections to the ledger, by state.", "state")
	reg.MustRegister(l)
}

func (l *live) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range l.descs {
		ch <- d
	}
}

func (l *live) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for number, t := range l.Tallies() {
		p := Partition(number)
		counter(l.consumed, float64(t.Consumed), p)
		for i, n := range []int64{t.Granted, t.Duplicate, t.Rejected, t.Withheld} {
			counter(l.records, float64(n), p, Outcomes[i])
		}
	}
	l.offsets(gauge)
	depths := l.QueueDepths()
	for i, n := range depths {
		gauge(l.queue, float64(n), strconv.Itoa(i))
	}
	gauge(l.skew, Skew(depths))
	gauge(l.age, l.CheckpointAge())
	ratio, left := l.Progress()
	if left < 0 {
		left = math.NaN()
	}
	gauge(l.ratio, ratio)
	gauge(l.left, left)
	pool := l.Pool()
	counter(l.hits, float64(pool.Hits))
	counter(l.misses, float64(pool.Misses))
	counter(l.timeouts, float64(pool.Timeouts))
	counter(l.stale, float64(pool.Stale))
	gauge(l.conns, float64(pool.Idle), "idle")
	gauge(l.conns, float64(pool.Total-pool.Idle), "busy")
}

func (l *live) offsets(gauge func(*prometheus.Desc, float64, ...string)) {
	for _, o := range l.Offsets() {
		p, next := Partition(o.Partition), o.Checkpoint
		if o.Position >= 0 {
			next = o.Position
			gauge(l.position, float64(next), p)
		}
		gauge(l.checkpoint, float64(o.Checkpoint), p)
		gauge(l.end, float64(o.End), p)
		gauge(l.lag, float64(max(o.End-next, 0)), p)
	}
	if n, known := l.Remaining(); known {
		gauge(l.remaining, float64(n))
	}
}

// Skew is the longest queue divided by the mean; 1 when all are empty.
func Skew(depths []int) float64 {
	longest, sum := 0, 0
	for _, n := range depths {
		longest, sum = max(longest, n), sum+n
	}
	if sum == 0 {
		return 1
	}
	return float64(longest*len(depths)) / float64(sum)
}
