package metrics_test

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run is a Live whose counts change all the time, and always add up.
type run struct {
	mu      sync.Mutex
	tallies map[int]grant.Tally
	depths  []int
	left    float64
}

func (b *run) change(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
}

func (b *run) Tallies() map[int]grant.Tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.tallies)
}

func (b *run) Offsets() []metrics.Offsets {
	return []metrics.Offsets{
		{Partition: 0, Position: 40, Checkpoint: 30, End: 100}, {Partition: 1, Position: -1, Checkpoint: 10, End: 50},
	}
}

func (b *run) Remaining() (records int64, known bool) { return 110, true }

func (b *run) QueueDepths() []int { return b.depths }

func (b *run) CheckpointAge() float64 { return 0.25 }

func (b *run) Progress() (ratio, secondsLeft float64) { return 0.5, b.left }

func (b *run) Pool() metrics.Pool {
	return metrics.Pool{Hits: 100, Misses: 4, Timeouts: 1, Stale: 2, Total: 8, Idle: 5}
}

var labels = metrics.Labels{
	Campaign: "emoticons", Version: "v1.2.3",
	Reasons: []string{"empty", "not_decimal"}, RedisKinds: []string{"timeout", "readonly"},
	KafkaKinds: []string{"leader", "network"},
	States:     []string{"waiting", "running"}, Spec: "0123abcd", Pass: "canary", Causes: []string{"latency", "operator_pause"},
}

// populated is a registry in which every metric has a series.
func populated(t *testing.T) (*prometheus.Registry, *run) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m := metrics.New(reg, labels)
	for p := range 2 {
		m.ShardMembers.WithLabelValues(metrics.Partition(p)).Add(1)
	}
	for _, h := range []prometheus.Histogram{m.FlushMembers, m.FlushChunks, m.FlushSeconds, m.CheckpointSec} {
		h.Observe(1)
	}
	b := &run{tallies: map[int]grant.Tally{0: {}, 1: {Consumed: 3, Granted: 2, Rejected: 1}}, depths: []int{4, 0}, left: 9}
	metrics.Register(reg, labels.Campaign, b)
	return reg, b
}

func TestTheCatalogueFollowsTheConventions(t *testing.T) {
	reg, _ := populated(t)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// series is one line of a scrape.
type series struct {
	labels map[string]string
	value  float64
}

func gather(t *testing.T, reg prometheus.Gatherer) map[string][]series {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	out := map[string][]series{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			s := series{labels: map[string]string{}, value: m.GetCounter().GetValue() + m.GetGauge().GetValue()}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			out[f.GetName()] = append(out[f.GetName()], s)
		}
	}
	return out
}

func TestTheOutcomesAddUpToWhatIsConsumedInEveryScrape(t *testing.T) {
	reg, b := populated(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-done:
				return
			default:
			}
			b.change(func() {
				tally := b.tallies[int(n%2)]
				tally.Granted += n % 7
				tally.Duplicate += n % 5
				tally.Rejected += n % 3
				tally.Withheld += n % 2
				tally.Consumed += n%7 + n%5 + n%3 + n%2
				b.tallies[int(n%2)] = tally
			})
		}
	})
	defer wg.Wait()
	defer close(done)
	for range 500 {
		sum := map[string]float64{}
		scrape := gather(t, reg)
		for _, s := range scrape["granter_records_total"] {
			sum[s.labels["partition"]] += s.value
		}
		require.Len(t, scrape["granter_records_total"], 2*len(metrics.Outcomes))
		for _, s := range scrape["granter_consumed_records_total"] {
			require.InDelta(t, s.value, sum[s.labels["partition"]], 0)
		}
		require.Len(t, sum, len(scrape["granter_consumed_records_total"]))
	}
}

func TestLabelValuesAreBounded(t *testing.T) {
	reg, _ := populated(t)
	number := func(v string) bool { n, err := strconv.Atoi(v); return err == nil && n >= 0 }
	oneOf := func(values ...string) func(string) bool {
		return func(v string) bool { return slices.Contains(values, v) }
	}
	kinds := map[string]func(string) bool{
		"granter_redis_errors_total": oneOf(labels.RedisKinds...), "granter_kafka_errors_total": oneOf(labels.KafkaKinds...),
	}
	states := map[string]func(string) bool{
		"granter_run_state": oneOf(labels.States...), "granter_redis_pool_connections": oneOf("idle", "busy"),
	}
	for name, list := range gather(t, reg) {
		for _, s := range list {
			require.Equal(t, labels.Campaign, s.labels["campaign"], name)
			for label, value := range s.labels {
				allowed := map[string]func(string) bool{
					"campaign": oneOf(labels.Campaign), "partition": number, "shard": number,
					"outcome": oneOf(metrics.Outcomes...), "reason": oneOf(labels.Reasons...), "kind": kinds[name],
					"state": states[name],
					"cause": oneOf(labels.Causes...), "spec": oneOf(labels.Spec), "pass": oneOf(labels.Pass),
				}[label]
				if name == "granter_build_info" && label != "campaign" {
					require.Contains(t, []string{"version", "revision", "goversion"}, label)
					continue
				}
				require.NotNil(t, allowed, "%s has a label %s", name, label)
				require.True(t, allowed(value), "%s{%s=%q}", name, label, value)
			}
		}
	}
}

// A series that appears only with its first error hides that error from rate and increase.
func TestEverySeriesWithAFixedLabelExistsFromTheStart(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	metrics.New(reg, labels)
	scrape := gather(t, reg)
	for _, c := range []struct {
		name, label string
		values      []string
	}{
		{"granter_rejected_records_total", "reason", labels.Reasons},
		{"granter_redis_errors_total", "kind", labels.RedisKinds},
		{"granter_kafka_errors_total", "kind", labels.KafkaKinds},
		{"granter_run_state", "state", labels.States},
	} {
		var got []string
		for _, s := range scrape[c.name] {
			require.Zero(t, s.value)
			got = append(got, s.labels[c.label])
		}
		require.ElementsMatch(t, c.values, got, c.name)
	}
	require.Len(t, scrape["granter_build_info"], 1)
	require.InDelta(t, 1, scrape["granter_build_info"][0].value, 0)
	require.Equal(t, "v1.2.3", scrape["granter_build_info"][0].labels["version"])
}

func TestTheSkewSaysHowUnevenTheQueuesAre(t *testing.T) {
	for _, c := range []struct {
		depths []int
		want   float64
	}{
		{nil, 1}, {[]int{0, 0}, 1}, {[]int{3, 3, 3}, 1}, {[]int{4, 0}, 2}, {[]int{8, 0, 0, 0}, 4}, {[]int{6, 2}, 1.5},
	} {
		reg, b := populated(t)
		b.depths = c.depths
		scrape := gather(t, reg)
		require.InDelta(t, c.want, scrape["granter_shard_queue_skew_ratio"][0].value, 1e-12, "%v", c.depths)
		require.Len(t, scrape["granter_shard_queue_blocks"], len(c.depths))
	}
}

// A partition that another process reads is behind by what the ledger lacks of it.
func TestTheLagIsThatOfWhoeverReadsThePartition(t *testing.T) {
	reg, _ := populated(t)
	scrape := gather(t, reg)
	values := func(name string) map[string]float64 {
		out := map[string]float64{}
		for _, s := range scrape[name] {
			out[s.labels["partition"]] = s.value
		}
		return out
	}
	require.Equal(t, map[string]float64{"0": 60, "1": 40}, values("granter_partition_lag_records"))
	require.Equal(t, map[string]float64{"0": 100, "1": 50}, values("granter_partition_end_offset"))
	require.Equal(t, map[string]float64{"0": 30, "1": 10}, values("granter_partition_checkpoint_offset"))
	require.Equal(t, map[string]float64{"0": 40}, values("granter_partition_position_offset"))
}

func TestAnUnknownTimeLeftIsNotANumber(t *testing.T) {
	reg, b := populated(t)
	require.InDelta(t, 9, gather(t, reg)["granter_estimated_remaining_seconds"][0].value, 0)
	b.left = -1
	require.True(t, math.IsNaN(gather(t, reg)["granter_estimated_remaining_seconds"][0].value))
}

func TestThePoolsConnectionsAreIdleOrBusy(t *testing.T) {
	reg, _ := populated(t)
	got := map[string]float64{}
	for _, s := range gather(t, reg)["granter_redis_pool_connections"] {
		got[s.labels["state"]] = s.value
	}
	require.Equal(t, map[string]float64{"idle": 5, "busy": 3}, got)
}

// The names that the campaigns' operators were promised, whatever else there is.
func TestTheCatalogueIsComplete(t *testing.T) {
	reg, _ := populated(t)
	names := slices.Collect(maps.Keys(gather(t, reg)))
	for _, want := range []string{
		"consumed_records_total", "records_total", "rejected_records_total", "partition_lag_records", "partition_position_offset",
		"flush_users", "flush_duration_seconds", "shard_queue_blocks", "shard_queue_skew_ratio", "checkpoint_age_seconds",
		"redis_errors_total", "kafka_errors_total", "redis_pool_connections", "progress_ratio", "estimated_remaining_seconds",
		"build_info",
	} {
		require.Contains(t, names, "granter_"+want)
	}
	for _, name := range names {
		require.True(t, strings.HasPrefix(name, "granter_"), name)
	}
}
