package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/metrics"
)

// Who watches audits sees when the promise was last proven, what the last one found, and that one failed.
func TestWhatAuditsComeToIsMeasured(t *testing.T) {
	m := metrics.NewAudit(prometheus.NewRegistry(), "c", "v1", []string{"refuted", "not_proven"})
	a := &auditor{metrics: m, log: slog.New(slog.DiscardHandler)}
	counts := func(verdict audit.Verdict) float64 {
		return testutil.ToFloat64(m.Findings.WithLabelValues(string(verdict)))
	}
	a.seen(&audit.Report{Verdict: audit.Proven, Seconds: 3}, nil)
	proven := testutil.ToFloat64(m.Proven)
	require.Positive(t, proven)
	require.InDelta(t, 3, testutil.ToFloat64(m.Seconds), 0)

	m.Proven.Set(1)
	refuted := &audit.Report{Verdict: audit.Refuted, Findings: []audit.Finding{
		{Kind: audit.Missing}, {Kind: audit.Twice}, {Kind: audit.RecordsGone},
	}}
	a.seen(refuted, judged(refuted))
	require.InDelta(t, 2, counts(audit.Refuted), 0)
	require.InDelta(t, 1, counts(audit.NotProven), 0)
	require.InDelta(t, 1, testutil.ToFloat64(m.Proven), 0, "it stays when it was last proven")
	require.Zero(t, testutil.ToFloat64(m.Failures), "a verdict is no failure")

	a.seen(nil, errors.New("Redis is away"))
	require.InDelta(t, 1, testutil.ToFloat64(m.Failures), 0)
	require.InDelta(t, 2, counts(audit.Refuted), 0, "what was found stays until an audit finds otherwise")
	a.seen(&audit.Report{Verdict: audit.Proven}, nil)
	require.Zero(t, counts(audit.Refuted))

	a.seen(&audit.Report{Verdict: audit.Proven}, errors.New("the disk is full"))
	require.InDelta(t, 2, testutil.ToFloat64(m.Failures), 0, "its report could not be left")
}

// An audit that is started beside the rollout begins when that is over, proves it, and is scraped before it ends.
func TestAnAuditWaitsForTheRollout(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	reports := t.TempDir()
	key := filepath.Join(reports, "audit.key")
	require.Zero(t, granter(t, command{args: []string{"audit", "keygen", key}}).wait())
	waits := with("audit", "--wait", "--listen=127.0.0.1:0", "--linger=1h", "--complete", "--log-format=json", "--key", key,
		"--report", reports)
	a, stopped := start(t, waits), start(t, waits)
	stopped.awaitReady("not ready: waiting: 3 records are to be granted (idle)")
	stopped.signal(syscall.SIGTERM)
	require.Equal(t, exitStopped, stopped.wait())
	a.awaitReady("not ready: waiting: 3 records are to be granted (idle)")
	require.Zero(t, granter(t, with("run")).wait())
	await(t, "it has audited", func() bool { return a.metric("granter_audit_proven_timestamp_seconds") > 0 })
	require.Zero(t, a.metric("granter_audit_interval_seconds"), "it is made once")
	a.awaitReady("ready")
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.wait())
	require.Contains(t, a.out.String(), "PROVEN: all 3 users")
}

// Two audits that leave their reports in one directory at the same time leave a chain.
func TestAuditsOfOneDirectoryComeOneAfterTheOther(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	reports := t.TempDir()
	key := filepath.Join(t.TempDir(), "audit.key")
	require.Zero(t, granter(t, command{args: []string{"audit", "keygen", key}}).wait())
	require.Zero(t, granter(t, with("run")).wait())
	other := flock.New(filepath.Join(reports, lockName))
	require.NoError(t, other.Lock())
	killed := filepath.Join(reports, ".receipts-123.part") // what one left that was killed
	require.NoError(t, os.WriteFile(killed, []byte("secret"), 0o600))
	audits := with("audit", "--complete", "--key", key, "--report", reports)
	first, second := start(t, audits), start(t, audits)
	for _, p := range []*process{first, second} {
		p.awaitLog("another audit is about to leave its report")
	}
	require.NoError(t, other.Close())
	require.Zero(t, first.wait())
	require.Zero(t, second.wait())
	files, err := filepath.Glob(filepath.Join(reports, "*.report"))
	require.NoError(t, err)
	verified := granter(t, command{args: append([]string{"audit", "verify", "--public", key + ".pub"}, files...)})
	require.Zero(t, verified.wait(), verified.err.String())
	require.Contains(t, verified.out.String(), "VERIFIED: 2 reports")
	require.NoFileExists(t, killed)
}
