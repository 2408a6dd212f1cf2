package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Overview holds the metrics of a whole campaign that a process exports which grants nobody itself.
type Overview struct {
	granted, excluded, expected, startsAt, started, lag, replicas, lost, version, throttle, paused, aborted prometheus.Gauge

	replays *prometheus.GaugeVec // by outcome
	taken   *prometheus.GaugeVec // by item
	left    *prometheus.GaugeVec // by item

	mu       sync.Mutex
	notReady string
}

// Campaign is how far a campaign is.
type Campaign struct {
	Granted, Excluded, Expected, Lag, ControlVersion, Throttle int64
	Replicas, Lost                                             int // live ones, and those that are gone and did not end
	StartsAt                                                   time.Time
	Started, Paused, Aborted                                   bool
	Replays                                                    map[string]int64 // rejected records that were replayed, by outcome
	// Taken are users by item, Left those who can still take one of a quota.
	Taken, Left map[string]int64
}

// NewOverview registers the metrics. Those that runs export, too, have the same names: take the maximum.
func NewOverview(reg prometheus.Registerer, campaign, version string) *Overview {
	f := factory{prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg)}
	f.gaugeWith("build_info", buildHelp, buildLabels(version)).Set(1)
	return &Overview{
		granted:  f.gauge("ledger_granted_users", grantedHelp),
		excluded: f.gauge("ledger_excluded_users", excludedHelp),
		expected: f.gauge("campaign_expected_users", expectedHelp),
		startsAt: f.gauge("campaign_start_timestamp_seconds", startHelp),
		started:  f.gauge("campaign_started", startedHelp),
		lost:     f.gauge("campaign_lost_replicas", lostHelp),
		version: f.gauge("control_ordered_version",
			"Version of the last order of operators; runs export the one that they obey."),
		throttle: f.gauge("control_throttle_users_per_second",
			"Limit that operators have set, for all replicas together; 0: none."),
		paused: f.gauge("control_paused", "1 while operators have paused the campaign."),
		aborted: f.gauge("control_aborted",
			"1 while operators have aborted the campaign: nobody is granted anything until they resume."),
		lag: f.gauge("campaign_lag_records", "Records of the topic behind the checkpoint, of all partitions, up to where "+
			"operators ordered to finish if they did."),
		replicas: f.gauge("campaign_live_replicas", "Runs that have said within the last seconds that they are alive."),
		replays: f.gauges("ledger_replayed_records", "Rejected records that were repaired and replayed, by outcome: granted, or "+
			"duplicate where the user had been granted before.", "outcome"),
		taken: f.gauges("ledger_taken_users", "Users who took an item that they are offered, by item.", "item"),
		left: f.gauges("ledger_left_users", "Users who can still take an item of which there are only so many, by item.",
			"item"),
		notReady: "nothing is known yet",
	}
}

// Set sets all metrics.
func (o *Overview) Set(c Campaign) {
	o.granted.Set(float64(c.Granted))
	o.excluded.Set(float64(c.Excluded))
	o.expected.Set(float64(c.Expected))
	o.startsAt.Set(float64(c.StartsAt.Unix()))
	o.started.Set(truth(c.Started))
	o.lost.Set(float64(c.Lost))
	o.lag.Set(float64(c.Lag))
	o.replicas.Set(float64(c.Replicas))
	o.version.Set(float64(c.ControlVersion))
	o.throttle.Set(float64(c.Throttle))
	o.paused.Set(truth(c.Paused))
	o.aborted.Set(truth(c.Aborted))
	for outcome, n := range c.Replays {
		o.replays.WithLabelValues(outcome).Set(float64(n))
	}
	for item, n := range c.Taken {
		o.taken.WithLabelValues(item).Set(float64(n))
	}
	for item, n := range c.Left {
		o.left.WithLabelValues(item).Set(float64(n))
	}
	o.ready("")
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Failed says that nothing new is known, and why. The metrics keep their values.
func (o *Overview) Failed(err error) { o.ready(err.Error()) }

func (o *Overview) ready(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notReady = why
}

// NotReady returns why the metrics are not current; empty: they are.
func (o *Overview) NotReady() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.notReady
}
