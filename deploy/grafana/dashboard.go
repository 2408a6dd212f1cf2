// Package grafana describes granter's dashboards. What Grafana reads, rollout.json and fleet.json, is generated from it:
// so panels look alike, and a test can hold every query against the catalogue of metrics.
package grafana

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// Dashboard is one dashboard.
type Dashboard struct {
	Name string // of its file, without .json

	title, about string
	campaigns    bool   // several campaigns can be chosen, and all are at first
	of           string // a metric that every campaign has which can be chosen; empty: that of all processes
	mark         mark   // lines in all graphs; none: orders
	rows         []row
}

// mark draws a line where something happened.
type mark struct{ name, expr, title, text string }

// row is a heading with panels of the same size, side by side.
type row struct {
	title  string
	height int
	panels []panel
}

// panel is one graph. Its kind is Grafana's name for the visualisation.
type panel struct {
	kind, title, about string
	unit               string
	queries            []query
	alert              string // the runbook's section on this alert is linked
	defaults, options  object // what differs from the other panels of its kind
	transformations    []object
}

type query struct{ expr, legend string }

type object = map[string]any

// Query is a query of a dashboard, with Grafana's variables in it.
type Query struct {
	Where string // file, panel and letter
	Expr  string
}

// Dashboards returns all dashboards.
func Dashboards() []Dashboard { return []Dashboard{rollout, fleet, claims} }

const runbook = "https://github.com/granter/granter/blob/main/docs/operations.md"

// orders draws a line where replicas began to obey another order.
var orders = mark{
	name: "Orders", expr: `max by (campaign) (changes(granter_control_version{<replicas>}[1m])) > 0`, title: "an order",
	text: "{{campaign}}: replicas obey another order; granter history says which",
}

func (d *Dashboard) marks() mark {
	if d.mark.expr == "" {
		return orders
	}
	return d.mark
}

// selectors are what queries write in short: the processes that were chosen, and for what was summed up over them, the
// campaigns.
var selectors = strings.NewReplacer(
	"<replicas>", `campaign=~"$campaign", job=~"$job"`,
	"<campaign>", `campaign=~"$campaign"`,
	"<processes>", `job=~"$job"`,
)

// Queries returns every query.
func (d *Dashboard) Queries() []Query {
	list := []Query{{d.Name + ".json: annotation " + d.marks().name, selectors.Replace(d.marks().expr)}}
	for _, r := range d.rows {
		for i := range r.panels {
			p := &r.panels[i]
			for j, q := range p.queries {
				list = append(list, Query{fmt.Sprintf("%s.json: %s, %s: %s", d.Name, r.title, p.title, letter(j)), selectors.Replace(q.expr)})
			}
		}
	}
	return list
}

// JSON returns what Grafana reads.
func (d *Dashboard) JSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // queries compare
	e.SetIndent("", "  ")
	m := d.marks()
	err := e.Encode(object{
		"uid": "granter-" + d.Name, "title": d.title, "description": d.about, "tags": []string{"granter"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "5s", "timezone": "browser",
		"time": object{"from": "now-1h", "to": "now"}, "timepicker": object{"refresh_intervals": []string{"5s", "10s", "30s", "1m", "5m"}},
		"annotations": object{"list": []object{{
			"name": m.name, "enable": true, "datasource": source, "expr": selectors.Replace(m.expr), "iconColor": "purple",
			"titleFormat": m.title, "textFormat": m.text,
		}}},
		"links": []object{
			{"type": "link", "title": "Runbook", "url": runbook, "icon": "doc", "targetBlank": true},
			{
				"type": "dashboards", "title": "granter", "tags": []string{"granter"}, "includeVars": true, "keepTime": true,
			},
		},
		"templating": object{"list": d.variables()},
		"panels":     d.panels(),
	})
	return out.Bytes(), err
}

var source = object{"type": "prometheus", "uid": "${datasource}"}

// variables are what can be chosen. That granter_build_info has a campaign means that one of its processes is there.
func (d *Dashboard) variables() []object {
	of := cmp.Or(d.of, "granter_build_info")
	choice := func(name, label, query string, several bool) object {
		v := object{
			"type": "query", "name": name, "label": label, "datasource": source, "definition": query,
			"query": object{"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": several, "includeAll": several,
		}
		if several {
			v["allValue"], v["current"] = ".+", object{"text": []string{"All"}, "value": []string{"$__all"}}
		}
		return v
	}
	return []object{
		{"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"},
		choice("campaign", "campaign", "label_values("+of+", campaign)", d.campaigns),
		choice("job", "job", `label_values(granter_build_info{campaign=~"$campaign"}, job)`, true), // of all its processes
	}
}

const (
	columns = 24 // of Grafana's grid
	perLine = 4  // more panels than that are laid out in two lines
)

// panels lays the rows out, one below the other.
func (d *Dashboard) panels() []object {
	var list []object
	y := 0
	add := func(o object, x, w, h int) {
		o["id"], o["gridPos"] = len(list)+1, object{"x": x, "y": y, "w": w, "h": h}
		list = append(list, o)
	}
	for _, r := range d.rows {
		add(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}}, 0, columns, 1)
		y++
		per := len(r.panels)
		if per > perLine {
			per = (per + 1) / 2
		}
		width := columns / per
		for i := range r.panels {
			if i > 0 && i%per == 0 {
				y += r.height
			}
			add(r.panels[i].json(), i%per*width, width, r.height)
		}
		y += r.height
	}
	return list
}

func (p panel) json() object {
	o := object{
		"type": p.kind, "title": p.title, "description": p.about, "datasource": source,
		"fieldConfig": object{"defaults": merge(object{"unit": p.unit}, looks[p.kind].defaults, p.defaults), "overrides": []object{}},
		"options":     merge(looks[p.kind].options, p.options),
		"targets":     p.targets(),
	}
	if p.alert != "" {
		o["links"] = []object{{"title": "Runbook: " + p.alert, "url": runbook + "#alert-" + strings.ToLower(p.alert), "targetBlank": true}}
	}
	if len(p.transformations) > 0 {
		o["transformations"] = p.transformations
	}
	return o
}

func (p panel) targets() []object {
	list := make([]object, 0, len(p.queries))
	for i, q := range p.queries {
		t := object{"refId": letter(i), "datasource": source, "expr": selectors.Replace(q.expr), "legendFormat": q.legend, "editorMode": "code"}
		switch p.kind {
		case "heatmap":
			t["range"], t["format"] = true, "heatmap"
		case "table":
			t["instant"], t["range"], t["format"] = true, false, "table"
		case "stat", "gauge", "bargauge":
			t["instant"], t["range"] = true, false
		default:
			t["range"] = true
		}
		list = append(list, t)
	}
	return list
}

// letter names the queries of a panel: A, B, C.
func letter(i int) string { return string(rune('A' + i)) }

// merge returns the fields of all objects; the later ones win.
func merge(objects ...object) object {
	out := object{}
	for _, o := range objects {
		maps.Copy(out, o)
	}
	return out
}
