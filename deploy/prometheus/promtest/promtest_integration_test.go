//go:build integration

package promtest

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	deployed "github.com/granter/granter/deploy/prometheus"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/metrics"
)

// patience is how long a test waits for what takes some seconds.
const patience = time.Minute

// await polls until nothing is missing any more.
func await(t *testing.T, missing func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		m := missing()
		if m == "" {
			return
		}
		require.True(t, time.Now().Before(deadline), "still missing: %s", m)
		<-tick.C
	}
}

// serve exports metrics, and returns its address.
func serve(t *testing.T, r prometheus.Gatherer) string {
	t.Helper()
	s := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// eventful is a replica to which everything happens that a panel may show.
func eventful() *Replica {
	r := NewReplica("eventful")
	r.StartsAt.Set(float64(time.Now().Add(-time.Minute).Unix()))
	r.PlannedEnd.Set(float64(time.Now().Add(time.Hour).Unix()))
	r.Throttle.Set(1000)
	r.Limit.Set(500)
	r.Hold.WithLabelValues(string(grant.CauseLatency)).Set(1)
	r.HoldSince.WithLabelValues(string(grant.CauseLatency)).Set(float64(time.Now().Unix()))
	return r
}

func (r *Replica) goOn() {
	r.Grant(100)
	r.ControlVersion.Inc()
	r.Rejected.WithLabelValues(string(source.ReasonEmpty)).Inc()
	r.RedisErrors.WithLabelValues(ledger.KindTimeout).Inc()
	r.KafkaErrors.WithLabelValues(string(source.KindLeader)).Inc()
}

func TestARealPrometheusEvaluatesEverythingAndFindsData(t *testing.T) {
	r := eventful()
	s := Start(t)
	require.NoError(t, s.Scrape(serve(t, r)))
	lost := NewReplica("lossy")
	desk, overview := NewDesk("eventful")
	overview.Set(metrics.Campaign{
		Taken: map[string]int64{"month": 2}, Left: map[string]int64{"month": 1},
		StartsAt: time.Now().Add(-time.Minute), Throttle: 1000, Paused: true, Replicas: 1,
	})
	audits, audited := newAudit("eventful")
	audited.Every.Set(3600)
	audited.Ended.SetToCurrentTime()
	audited.Proven.SetToCurrentTime()
	owners := NewClaims("eventful")
	require.NoError(t, s.Scrape(serve(t, r), serve(t, lost), serve(t, desk), serve(t, NewTaker("eventful")), serve(t, audits),
		serve(t, owners)))
	lost.Lose()

	list, err := Expressions()
	require.NoError(t, err)
	await(t, func() string {
		r.goOn()
		owners.GoOn()
		var empty []string
		for _, e := range list {
			found, err := s.Query(t.Context(), e.Expr)
			require.NoError(t, err, "%s: %s", e.Where, e.Expr)
			if len(found) == 0 && !strings.HasPrefix(e.Where, "alert ") { // most alerts find nothing, and should not
				empty = append(empty, e.Where)
			}
		}
		return strings.Join(empty, "; ")
	})

	var status []RuleStatus
	await(t, func() string {
		status, err = s.Rules(t.Context())
		require.NoError(t, err)
		for _, r := range status {
			require.Empty(t, r.Error, r.Name)
			if r.Health != "ok" {
				return fmt.Sprintf("%s is %s", r.Name, r.Health)
			}
		}
		return ""
	})
	i := slices.IndexFunc(status, func(r RuleStatus) bool { return r.Name == "GranterBooksDoNotBalance" })
	require.True(t, status[i].Firing)
	differ, err := s.Value(t.Context(), `sum by (campaign) (ALERTS{alertname="GranterBooksDoNotBalance", campaign="lossy"})`)
	require.NoError(t, err)
	require.InDelta(t, 1, differ, 0)
}

func TestErrorsOfPrometheusAreReturned(t *testing.T) {
	s := Start(t)
	_, err := s.Query(t.Context(), "sum(")
	require.ErrorContains(t, err, "parse error")
	_, err = s.Value(t.Context(), "up")
	require.ErrorContains(t, err, "0 samples")
	_, err = s.Query(t.Context(), "up[1m]")
	require.ErrorContains(t, err, "the result is a model.Matrix")
	one, err := s.Value(t.Context(), "time() > bool 0")
	require.NoError(t, err)
	require.InDelta(t, 1, one, 0)
}

func TestAPrometheusThatDoesNotStartSaysWhy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	_, err := start(t, deployed.File, nil)
	require.ErrorContains(t, err, "install the Debian package prometheus")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus"), []byte("#!/bin/sh\necho no room\n"), 0o700))
	_, err = start(t, deployed.File, nil)
	require.ErrorContains(t, err, "it has ended\nno room")
}
