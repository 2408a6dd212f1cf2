package promtest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheCatalogueKnowsWhatExists(t *testing.T) {
	c, err := NewCatalogue()
	require.NoError(t, err)
	for _, expr := range []string{
		`sum by (campaign, partition) (rate(granter_records_total{outcome=~"granted|duplicate", campaign="x"}[1m]))`,
		`histogram_quantile(0.99, sum by (le) (rate(granter_flush_duration_seconds_bucket{instance!~"a.*"}[5m] offset 1h)))`,
		`campaign:granter_granted_users:rate1m{campaign="x"} > 1e3 and on (campaign) up{job="granter"} == bool 1`,
		`1 < Inf`, `go_goroutines - process_resident_memory_bytes`, `ALERTS{alertstate="firing"}`, `go_gc_duration_seconds_sum`,
	} {
		require.NoError(t, c.Check(expr))
	}
	for expr, want := range map[string]string{
		`granter_record_total`:                                       "no metric granter_record_total",
		`granter_record_total{campaign="x"}`:                         "no metric granter_record_total",
		`granter_records_total{reason="empty"}`:                      "no label reason",
		`granter_hold{cause=~"latency|latnecy"}`:                     `granter_hold{cause} is never "latnecy"`,
		`sum by (shard) (granter_records_total)`:                     "no metric in it has a label shard",
		`granter_flush_duration_seconds`:                             "no metric granter_flush_duration_seconds",
		`campaign:granter_granted_users:rate1m{partition="0"}`:       "no label partition",
		`campaign:granter_granted_users:rate1m{instance="0"}`:        "no label instance",
		`{campaign="x"}`:                                             "cannot read",
		`granter_hold{cause=latency}`:                                "cannot read",
		`count(granter_hold) + unless_not`:                           "no metric unless_not",
		`label_replace(granter_hold, "a", "$1", "cause", "(.*)")`:    "cannot read",
		`granter_run_state{state="paused"} == 1 or up{state="x"}`:    `never "paused"`,
		`max without (outcom) (granter_records_total{campaign="x"})`: "label outcom",
	} {
		require.ErrorContains(t, c.Check(expr), want)
	}
}

func TestExpressionsAreThoseOfRulesAndDashboards(t *testing.T) {
	list, err := Expressions()
	require.NoError(t, err)
	where := map[string]string{}
	for _, e := range list {
		require.Empty(t, where[e.Where], "two are called %s", e.Where)
		where[e.Where] = e.Expr
		require.NotContains(t, e.Expr, "$")
		require.NotContains(t, e.Expr, "<replicas>")
	}
	require.Equal(t, `sum by (campaign) (rate(granter_records_total{outcome="granted"}[1m]))`, where["record campaign:granter_granted_users:rate1m"])
	require.Contains(t, where, "alert GranterNoProgress")
	require.Equal(t, `sum by (outcome) (rate(granter_records_total{campaign=~".+", job=~".+"}[1m]))`, where["rollout.json: Records, Outcomes: A"])
	require.Contains(t, where, "fleet.json: annotation Orders")
}
