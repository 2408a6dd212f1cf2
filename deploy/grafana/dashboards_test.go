package grafana_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/deploy/grafana"
	"github.com/granter/granter/deploy/prometheus"
	"github.com/granter/granter/deploy/prometheus/promtest"
)

//go:generate go test -count=1 -run ^TestTheDashboardsAreFresh$ . -update

var update = flag.Bool("update", false, "write the dashboards")

func TestTheDashboardsAreFresh(t *testing.T) {
	for _, d := range grafana.Dashboards() {
		want, err := d.JSON()
		require.NoError(t, err)
		if *update {
			require.NoError(t, os.WriteFile(d.Name+".json", want, 0o644))
			continue
		}
		have, err := os.ReadFile(d.Name + ".json")
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "run go generate ./deploy/grafana")
	}
}

// dashboard is what the tests look at of a dashboard's JSON.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type, Definition string
		}
	}
	Annotations struct {
		List []struct{ Expr string }
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	FieldConfig              struct {
		Defaults struct{ Unit string }
	}
	Targets []struct{ RefID, Expr string }
	Links   []struct{ URL string }
}

func load(t *testing.T, name string) dashboard {
	t.Helper()
	text, err := os.ReadFile(name + ".json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d)) //nolint:musttag // Go finds the fields without regard to case
	return d
}

func TestPanelsAreComplete(t *testing.T) {
	kinds := []string{"stat", "gauge", "bargauge", "timeseries", "state-timeline", "heatmap", "table"}
	uids := map[string]bool{}
	for _, described := range grafana.Dashboards() {
		d := load(t, described.Name)
		require.Regexp(t, `^[a-z-]{8,40}$`, d.UID)
		require.False(t, uids[d.UID])
		uids[d.UID] = true
		require.NotEmpty(t, d.Title)
		require.Positive(t, d.SchemaVersion)
		ids, targets := map[int]bool{}, 0
		for _, p := range d.Panels {
			require.False(t, ids[p.ID], "%s: two panels have the id %d", described.Name, p.ID)
			ids[p.ID] = true
			require.NotEmpty(t, p.Title)
			if p.Type == "row" {
				require.Empty(t, p.Targets)
				continue
			}
			require.Contains(t, kinds, p.Type, p.Title)
			require.Greater(t, len(p.Description), 10, p.Title)
			require.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
			require.NotContains(t, p.FieldConfig.Defaults.Unit, "req", p.Title)
			require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
			require.NotEmpty(t, p.Targets, p.Title)
			refs := map[string]bool{}
			for _, target := range p.Targets {
				require.NotEmpty(t, target.Expr, p.Title)
				require.Regexp(t, `^[A-Z]$`, target.RefID, p.Title)
				require.False(t, refs[target.RefID], p.Title)
				refs[target.RefID] = true
				targets++
			}
		}
		require.Len(t, described.Queries(), targets+len(d.Annotations.List))
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	for _, described := range grafana.Dashboards() {
		taken := map[[2]int]string{}
		for _, p := range load(t, described.Name).Panels {
			g := p.GridPos
			require.Positive(t, g.W*g.H, p.Title)
			require.LessOrEqual(t, g.X+g.W, 24, p.Title)
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s: %s is in its place", described.Name, p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

func TestEveryQueryAsksForWhatExists(t *testing.T) {
	catalogue, err := promtest.NewCatalogue()
	require.NoError(t, err)
	list, err := promtest.Expressions()
	require.NoError(t, err)
	for _, e := range list {
		require.NoError(t, catalogue.Check(e.Expr), e.Where)
	}
	choice := regexp.MustCompile(`^label_values\((\w+)(\{campaign=~"\$campaign"\})?, (\w+)\)$`)
	for _, described := range grafana.Dashboards() {
		var names []string
		for _, v := range load(t, described.Name).Templating.List {
			names = append(names, v.Name)
			if v.Type == "query" {
				found := choice.FindStringSubmatch(v.Definition)
				require.NotNil(t, found, v.Definition)
				require.NoError(t, catalogue.Check("sum by (campaign, "+found[3]+") ("+found[1]+")"))
			}
		}
		require.Equal(t, []string{"datasource", "campaign", "job"}, names)
	}
}

// A metric that no dashboard shows, and no rule watches, is found by nobody at night.
func TestEveryMetricIsAskedFor(t *testing.T) {
	desk, _ := promtest.NewDesk("another")
	families, err := prom.Gatherers{
		promtest.NewReplica("any"),
		desk,
		promtest.NewTaker("a-third"),
		promtest.NewAudit("audited"),
		promtest.NewClaims("claimed"),
	}.Gather()
	require.NoError(t, err)
	list, err := promtest.Expressions()
	require.NoError(t, err)
	var all strings.Builder
	for _, e := range list {
		all.WriteString(e.Expr + "\n")
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "granter_") {
			asked := regexp.MustCompile(`\b` + f.GetName() + `(_bucket|_sum)?\b`).MatchString(all.String())
			require.True(t, asked, "%s is on no dashboard, and in no rule", f.GetName())
		}
	}
}

func TestLinksLeadToTheRunbookOfAnAlert(t *testing.T) {
	rules, err := prometheus.Rules()
	require.NoError(t, err)
	urls := map[string]bool{}
	for _, r := range rules {
		urls[r.Annotations["runbook_url"]] = true
	}
	links := 0
	for _, described := range grafana.Dashboards() {
		for _, p := range load(t, described.Name).Panels {
			for _, l := range p.Links {
				require.True(t, urls[l.URL], "%s: %s", p.Title, l.URL)
				links++
			}
		}
	}
	require.Positive(t, links)
}

func TestProvisioningFindsPrometheusAndTheDashboards(t *testing.T) {
	read := func(name string, out any) {
		t.Helper()
		text, err := os.ReadFile(filepath.FromSlash(name))
		require.NoError(t, err)
		require.NoError(t, yaml.Load(text, out), name)
	}
	var sources struct {
		Datasources []struct {
			Type, URL string
			JSON      struct {
				TimeInterval string `yaml:"timeInterval"` //nolint:tagliatelle // Grafana's name
			} `yaml:"jsonData"` //nolint:tagliatelle // Grafana's name
		}
	}
	read("provisioning/datasources/prometheus.yml", &sources)
	require.Len(t, sources.Datasources, 1)
	require.Equal(t, "prometheus", sources.Datasources[0].Type)
	require.Equal(t, "http://prometheus:9090", sources.Datasources[0].URL)
	var config struct {
		Global struct {
			ScrapeInterval string `yaml:"scrape_interval"`
		}
	}
	read("../prometheus/prometheus.yml", &config)
	require.Equal(t, config.Global.ScrapeInterval, sources.Datasources[0].JSON.TimeInterval)

	var providers struct {
		Providers []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	read("provisioning/dashboards/granter.yml", &providers)
	require.Len(t, providers.Providers, 1)
	require.Equal(t, "file", providers.Providers[0].Type)
	require.Equal(t, "/var/lib/grafana/dashboards", providers.Providers[0].Options.Path)
}
