package metrics

import "github.com/prometheus/client_golang/prometheus"

// Audit holds the metrics of granter audit --follow and --wait.
type Audit struct {
	Ended    prometheus.Gauge
	Proven   prometheus.Gauge
	Every    prometheus.Gauge
	Seconds  prometheus.Gauge
	Findings *prometheus.GaugeVec // by verdict: what each finding makes of it
	Failures prometheus.Counter
}

// NewAudit registers the metrics. Verdicts are those that a finding can lead to.
func NewAudit(reg prometheus.Registerer, campaign, version string, verdicts []string) *Audit {
	f := factory{prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg)}
	f.gaugeWith("build_info", buildHelp, buildLabels(version)).Set(1)
	a := &Audit{
		Ended: f.gauge("audit_end_timestamp_seconds", "Unix time at which the last audit ended; 0: none has."),
		Proven: f.gauge(
			"audit_proven_timestamp_seconds",
			"Unix time of the last audit by which the promise is proven; 0: none was.",
		),
		Every: f.gauge("audit_interval_seconds",
			"Time from the beginning of one audit to the next (--every); 0: it waits, or is made once."),
		Seconds: f.gauge("audit_duration_seconds",
			"Time that the last audit took; near the interval, audits follow each other without a pause."),
		Findings: f.gauges("audit_findings",
			"What the last audit found: refuted contradicts the promise, not_proven keeps it from being proven.", "verdict"),
		Failures: f.counter("audit_failures_total", "Audits that could not be made, because Kafka, Redis or a file failed."),
	}
	for _, v := range verdicts {
		a.Findings.WithLabelValues(v)
	}
	return a
}
