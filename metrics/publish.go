package metrics

import "github.com/prometheus/client_golang/prometheus"

// Publish holds the metrics of granter publish.
type Publish struct {
	Events  *prometheus.CounterVec // by subscriber
	Behind  *prometheus.GaugeVec   // by subscriber
	Failing *prometheus.GaugeVec   // by subscriber
	Rewinds *prometheus.CounterVec // by subscriber
}

// NewPublish registers the metrics.
func NewPublish(reg prometheus.Registerer, campaign, version string, subscribers ...string) *Publish {
	f := factory{prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg)}
	f.gaugeWith("build_info", buildHelp, buildLabels(version)).Set(1)
	p := &Publish{
		Events: f.counters("publish_events_total", "Events that a subscriber acknowledged, by subscriber.", "subscriber"),
		Behind: f.gauges("publish_behind_entries",
			"Entries of the journals that a subscriber does not have yet, as of the last look; who does not lead says 0.",
			"subscriber"),
		Failing: f.gauges("publish_failing",
			"1 while a subscriber does not take what is sent: it is tried again, and loses nothing.", "subscriber"),
		Rewinds: f.counters("publish_rewinds_total",
			"Times that a cursor was set back, because the ledger has other entries than what was published: it lost writes.",
			"subscriber"),
	}
	for _, s := range subscribers {
		p.Events.WithLabelValues(s)
		p.Behind.WithLabelValues(s)
		p.Failing.WithLabelValues(s)
		p.Rewinds.WithLabelValues(s)
	}
	return p
}
