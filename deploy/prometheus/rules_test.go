package prometheus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/deploy/prometheus"
	"github.com/granter/granter/deploy/prometheus/promtest"
	"github.com/granter/granter/grant"
)

const runbook = "https://github.com/granter/granter/blob/main/docs/operations.md#alert-"

func rules(t *testing.T) []prometheus.Rule {
	t.Helper()
	list, err := prometheus.Rules()
	require.NoError(t, err)
	require.NotEmpty(t, list)
	return list
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	names := map[string]bool{}
	for _, r := range rules(t) {
		require.False(t, names[r.Name()], "%s is there twice", r.Name())
		names[r.Name()] = true
		if r.Alert == "" {
			continue
		}
		require.Regexp(t, `^Granter[A-Z][A-Za-z]+$`, r.Alert)
		require.Contains(t, []string{"page", "ticket", "info"}, r.Labels["severity"], r.Alert)
		require.Len(t, r.Labels, 1, r.Alert)
		require.Equal(t, runbook+strings.ToLower(r.Alert), r.Annotations["runbook_url"], r.Alert)
		of := "{{ $labels.campaign }}: "
		if strings.Contains(r.Expr, "granter_desk_") { // the desk of several campaigns names none
			of = "The desk at {{ $labels.instance }} "
		}
		require.True(t, strings.HasPrefix(r.Annotations["summary"], of), "%s: of which campaign, or desk?", r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		require.Len(t, r.Annotations, 3, r.Alert)
	}
}

func TestTheRunbookExplainsEveryAlert(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	for _, r := range rules(t) {
		if r.Alert != "" {
			require.Contains(t, string(text), "\n### Alert "+r.Alert+"\n")
		}
	}
}

func TestRecordingRulesAreNamedByTheConvention(t *testing.T) {
	for _, r := range rules(t) {
		if r.Record != "" {
			require.Regexp(t, `^campaign:granter_[a-z_]+:(rate1m|ratio_rate5m|ratio|sum|min|max|count)$`, r.Record)
		}
	}
}

func TestEveryRuleAsksForWhatExists(t *testing.T) {
	catalogue, err := promtest.NewCatalogue()
	require.NoError(t, err)
	for _, r := range rules(t) {
		require.NoError(t, catalogue.Check(r.Expr), r.Name())
	}
}

// Whoever adds a cause has to think of the alerts.
func TestEveryCauseIsConsidered(t *testing.T) {
	considered := map[string]string{} // alert → causes
	for _, r := range rules(t) {
		if found := regexp.MustCompile(`granter_hold\{cause=~?"([^"]+)"`).FindStringSubmatch(r.Expr); found != nil {
			considered[r.Name()] = found[1]
		}
	}
	var stops, slows []string
	for _, c := range grant.Causes() {
		switch {
		case c.Stops():
			stops = append(stops, string(c))
		case c == grant.CauseThrottle: // that is an operator's wish, not a trouble
		case c == grant.CauseTransaction: // GranterPartitionsStalled pages about what waits
		default:
			slows = append(slows, string(c))
		}
	}
	require.ElementsMatch(t, stops, strings.Split(considered["GranterNoProgress"], "|"))
	require.ElementsMatch(t, slows, strings.Split(considered["GranterSlowedForLong"], "|"))
}

// cases are the test files' cases, as far as this test looks at them.
type cases struct {
	Tests []struct {
		InputSeries []map[string]string `yaml:"input_series"`
		Alerts      []struct {
			Name string           `yaml:"alertname"`
			Exp  []map[string]any `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
		Exprs []struct{ Expr string } `yaml:"promql_expr_test"`
	}
}

func TestEveryRuleHasACaseAndEveryAlertAlsoASilentOne(t *testing.T) {
	files, err := filepath.Glob("granter.rules.*.test.yml")
	require.NoError(t, err)
	fires, silent, exprs := map[string]bool{}, map[string]bool{}, ""
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var c cases
		require.NoError(t, yaml.Load(text, &c), name)
		for _, test := range c.Tests {
			for _, a := range test.Alerts {
				if len(a.Exp) > 0 {
					fires[a.Name] = true
				} else {
					silent[a.Name] = true
				}
			}
			for _, e := range test.Exprs {
				exprs += e.Expr + "\n"
			}
			require.NotEmpty(t, test.InputSeries, name)
		}
	}
	var alerts []string
	for _, r := range rules(t) {
		if r.Record != "" {
			require.Contains(t, exprs, r.Record)
			continue
		}
		alerts = append(alerts, r.Alert)
		require.True(t, fires[r.Alert], "%s: no case in which it fires", r.Alert)
		require.True(t, silent[r.Alert], "%s: no case in which it stays silent", r.Alert)
	}
	for name := range fires {
		require.True(t, slices.Contains(alerts, name), "there are cases for %s, but no such alert", name)
	}
}
