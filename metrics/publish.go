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

// Hooks holds the metrics of the hooks of a campaign's runs.
type Hooks struct {
	Calls    *prometheus.CounterVec // by hook
	Failures *prometheus.CounterVec // by hook: of the calls
	GivenUp  *prometheus.CounterVec // by hook
	Failing  *prometheus.GaugeVec   // by hook
}

// NewHooks registers the metrics.
func NewHooks(reg prometheus.Registerer, campaign string, hooks ...string) *Hooks {
	f := factory{prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg)}
	h := &Hooks{
		Calls:    f.counters("hook_calls_total", "Calls of a hook.", "hook"),
		Failures: f.counters("hook_failures_total", "Calls of a hook that failed; they are made again.", "hook"),
		GivenUp: f.counters("hook_given_up_total",
			"Events that a hook was not told of, because it failed for as long as it is tried.", "hook"),
		Failing: f.gauges("hook_failing",
			"1 while the last call of a hook failed: it is tried again, and holds up no run.", "hook"),
	}
	for _, name := range hooks {
		h.Calls.WithLabelValues(name)
		h.Failures.WithLabelValues(name)
		h.GivenUp.WithLabelValues(name)
		h.Failing.WithLabelValues(name)
	}
	return h
}
