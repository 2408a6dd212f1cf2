package metrics

import "github.com/prometheus/client_golang/prometheus"

// Takes holds the metrics of granter take --topic.
type Takes struct {
	Taken     *prometheus.CounterVec // by item, outcome
	Malformed *prometheus.CounterVec // by reason
	Behind    prometheus.Gauge
	Regressed prometheus.Counter
}

// NewTakes registers the metrics. Every series of the given items, outcomes and reasons exists from the start.
func NewTakes(reg prometheus.Registerer, campaign, version string, items, outcomes, reasons []string) *Takes {
	f := factory{prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg)}
	f.gaugeWith("build_info", buildHelp, buildLabels(version)).Set(1)
	t := &Takes{
		Taken: f.takes("takes_total", "Requests of a topic to take an item, by what became of them: taken, already (the user "+
			"had it before), or why not."),
		Malformed: f.counters("takes_malformed_total", "Records of a topic of takes that are none, by reason.", "reason"),
		Behind: f.gauge("takes_behind_records",
			"Records of the assigned partitions that are not in the ledger yet, as of the last look."),
		Regressed: f.counter("takes_regressions_total",
			"Times that the ledger turned out to have lost takes; they are read again."),
	}
	for _, item := range items {
		for _, outcome := range outcomes {
			t.Taken.WithLabelValues(item, outcome)
		}
	}
	for _, reason := range reasons {
		t.Malformed.WithLabelValues(reason)
	}
	return t
}

func (f factory) takes(name, help string) *prometheus.CounterVec {
	labels := []string{"item", "outcome"}
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.reg.MustRegister(c)
	return c
}
