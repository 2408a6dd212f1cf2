package desk

import "github.com/prometheus/client_golang/prometheus"

// deskMetrics are the metrics of a desk.
type deskMetrics struct {
	requests  *prometheus.CounterVec // by route, code
	refusals  *prometheus.CounterVec // by reason
	listeners prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, campaign string) *deskMetrics {
	m := &deskMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "granter_desk_requests_total", Help: "Requests that the desk answered, by route and status code.",
		}, []string{"route", "code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "granter_desk_refusals_total", Help: "Requests that the desk refused, by reason.",
		}, []string{"reason"}),
		listeners: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "granter_desk_listeners", Help: "Clients that follow the status live.",
		}),
	}
	prometheus.WrapRegistererWith(prometheus.Labels{"campaign": campaign}, reg).MustRegister(m.requests, m.refusals, m.listeners)
	return m
}
