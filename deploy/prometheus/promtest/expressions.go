package promtest

import (
	"fmt"
	"strings"

	"github.com/granter/granter/deploy/grafana"
	"github.com/granter/granter/deploy/prometheus"
)

// Expression is something that Prometheus is asked by the rules or by a dashboard.
type Expression struct {
	Where string // "alert GranterNoProgress", "rollout.json: Records, Outcomes: A"
	Expr  string
}

// variables are what Grafana would put in: every campaign and job, and a window that a short test fills.
var variables = strings.NewReplacer("$campaign", ".+", "$job", ".+", "$__rate_interval", "1m")

// Expressions returns every expression of the rules and every query of the dashboards.
func Expressions() ([]Expression, error) {
	rules, err := prometheus.Rules()
	if err != nil {
		return nil, err
	}
	var out []Expression
	for i := range rules {
		kind := "alert"
		if rules[i].Record != "" {
			kind = "record"
		}
		out = append(out, Expression{kind + " " + rules[i].Name(), rules[i].Expr})
	}
	for _, d := range grafana.Dashboards() {
		for _, q := range d.Queries() {
			expr := variables.Replace(q.Expr)
			if strings.Contains(expr, "$") {
				return nil, fmt.Errorf("%s: unknown variable in %s", q.Where, expr)
			}
			out = append(out, Expression{q.Where, expr})
		}
	}
	return out, nil
}
