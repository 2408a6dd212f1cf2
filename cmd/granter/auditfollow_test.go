package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/metrics"
)

// Who watches audits sees when the promise was last proven, what the last one found, and that one failed.
func TestWhatAuditsComeToIsMeasured(t *testing.T) {
	m := metrics.NewAudit(prometheus.NewRegistry(), "c", "v1", []string{"refuted", "not_proven"})
	log := slog.New(slog.DiscardHandler)
	counts := func(verdict audit.Verdict) float64 {
		return testutil.ToFloat64(m.Findings.WithLabelValues(string(verdict)))
	}
	seen(m, log, &audit.Report{Verdict: audit.Proven, Seconds: 3}, nil)
	proven := testutil.ToFloat64(m.Proven)
	require.Positive(t, proven)
	require.InDelta(t, 3, testutil.ToFloat64(m.Seconds), 0)

	m.Proven.Set(1)
	refuted := &audit.Report{Verdict: audit.Refuted, Findings: []audit.Finding{
		{Kind: audit.Missing}, {Kind: audit.Twice}, {Kind: audit.RecordsGone},
	}}
	seen(m, log, refuted, judged(refuted))
	require.InDelta(t, 2, counts(audit.Refuted), 0)
	require.InDelta(t, 1, counts(audit.NotProven), 0)
	require.InDelta(t, 1, testutil.ToFloat64(m.Proven), 0, "it stays when it was last proven")
	require.Zero(t, testutil.ToFloat64(m.Failures), "a verdict is no failure")

	seen(m, log, nil, errors.New("Redis is away"))
	require.InDelta(t, 1, testutil.ToFloat64(m.Failures), 0)
	require.InDelta(t, 2, counts(audit.Refuted), 0, "what was found stays until an audit finds otherwise")
	seen(m, log, &audit.Report{Verdict: audit.Proven}, nil)
	require.Zero(t, counts(audit.Refuted))

	seen(m, log, &audit.Report{Verdict: audit.Proven}, errors.New("the disk is full"))
	require.InDelta(t, 2, testutil.ToFloat64(m.Failures), 0, "its report could not be left")
}
