package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Desk holds the metrics of the operations page and the API.
type Desk struct {
	Requests  *prometheus.CounterVec // by route, code
	Refusals  *prometheus.CounterVec // by reason
	Listeners prometheus.Gauge
	Broken    *prometheus.GaugeVec // by file

	Checks       *prometheus.CounterVec // by basis
	CheckSeconds prometheus.Histogram
	Listed       *prometheus.CounterVec // by basis
	Takes        *prometheus.CounterVec // by item, outcome
}

// NewDesk registers the metrics.
func NewDesk(reg prometheus.Registerer, campaign string) *Desk {
	f := factory{prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg)}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "desk_requests_total", Help: "Requests that the desk answered, by route and status code.",
	}, []string{"route", "code"})
	f.reg.MustRegister(requests)
	return &Desk{
		Requests:  requests,
		Refusals:  f.counters("desk_refusals_total", "Requests that the desk refused, by reason.", "reason"),
		Listeners: f.gauge("desk_listeners", "Clients that follow the status live."),
		Broken: f.gauges("desk_file_broken",
			"1 while the access file (access), the certificate or the authority of client certificates (client_ca) cannot be "+
				"read.", "file"),
		Checks: f.counters("desk_checks_total",
			"Checks of single users that were answered, by what the answer rests on: ledger, or what was declared for when "+
				"it is away.", "basis"),
		CheckSeconds: f.histogram("desk_check_duration_seconds", "Time of the server for a check of a single user.",
			prometheus.ExponentialBuckets(0.0001, 2, 14)),
		Takes: f.takes("desk_takes_total", "Requests of the API to take an item, by what became of them: taken, already (the "+
			"user had it before), or why not."),
		Listed: f.counters("desk_listed_users_total", "Users that were checked in lists, by what the answer rests on.", "basis"),
	}
}
