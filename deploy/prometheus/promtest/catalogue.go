package promtest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	deployed "github.com/granter/granter/deploy/prometheus"

	"github.com/granter/granter/metrics"
)

// Catalogue is every metric that a query may ask for: those that a replica or a desk exports, those that the rules
// record, and Prometheus's own. It has the values of each label; none means that there may be any.
type Catalogue map[string]map[string][]string

// unbounded are the labels whose values are not known beforehand.
var unbounded = []string{
	"campaign",
	"partition",
	"shard",
	"version",
	"revision",
	"goversion",
	"spec",
	"le",
	"subscriber",
	"hook",
	"channel",
}

// NewCatalogue gathers the catalogue.
func NewCatalogue() (Catalogue, error) {
	desk, _ := NewDesk("another")
	told := prometheus.NewRegistry()
	metrics.NewHooks(told, "another", "chat")
	events := prometheus.NewRegistry()
	metrics.NewPublish(events, "third", "v1.2.3", "topic:grants:json")
	families, err := prometheus.Gatherers{NewReplica("any"), desk, told, events, NewTaker("fourth"), NewAudit("audited"),
		NewClaims("fifth")}.Gather()
	if err != nil {
		return nil, err
	}
	c := Catalogue{
		"up":     {},
		"ALERTS": {"alertname": nil, "alertstate": {"pending", "firing"}, "severity": nil, "campaign": nil},
	}
	for _, f := range families {
		values := map[string][]string{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
		for label := range values {
			if slices.Contains(unbounded, label) {
				values[label] = nil
			}
		}
		switch f.GetType().String() {
		case "HISTOGRAM":
			withBound := maps.Clone(values)
			withBound["le"] = nil
			c[f.GetName()+"_bucket"] = withBound
			fallthrough
		case "SUMMARY":
			c[f.GetName()+"_sum"], c[f.GetName()+"_count"] = values, values
		default:
			c[f.GetName()] = values
		}
	}
	rules, err := deployed.Rules()
	if err != nil {
		return nil, err
	}
	for i := range rules {
		// A recorded metric says by its name what labels are left: level:metric:operations.
		if level, _, ok := strings.Cut(rules[i].Record, ":"); ok {
			c[rules[i].Record] = map[string][]string{level: nil}
		}
	}
	for name := range c {
		c[name] = maps.Clone(c[name])
		if !strings.Contains(name, ":") { // by whoever scrapes
			c[name]["job"], c[name]["instance"] = nil, nil
		}
	}
	return c, nil
}

var (
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`^\s*([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"([^"]*)"\s*$`)
	window   = regexp.MustCompile(`\[[^\]]*\]`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	// A number may hold letters; a function is a word before a parenthesis.
	word = regexp.MustCompile(`[0-9][0-9a-zA-Z.]*|([a-zA-Z_:][a-zA-Z0-9_:]*)(\s*\()?`)
)

var keywords = []string{"and", "or", "unless", "bool", "offset", "Inf", "NaN"}

// Check returns what an expression asks for that does not exist: metrics, labels, and values of labels. Prometheus
// itself would just find nothing. It understands what the rules and dashboards use of PromQL, not all of it, and says
// what it does not understand.
func (c Catalogue) Check(expr string) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	labels := map[string]bool{} // of any metric in the expression
	use := func(metric string) {
		if c[metric] == nil {
			wrong("there is no metric %s", metric)
		}
		for label := range c[metric] {
			labels[label] = true
		}
	}
	rest := selector.ReplaceAllStringFunc(expr, func(text string) string {
		parts := selector.FindStringSubmatch(text)
		use(parts[1])
		for m := range strings.SplitSeq(parts[2], ",") {
			if found := matcher.FindStringSubmatch(m); found == nil {
				wrong("%s: cannot read %s", parts[1], m)
			} else if err := c.checkMatcher(parts[1], found[1], found[2]); err != nil {
				errs = append(errs, err)
			}
		}
		return " "
	})
	rest = window.ReplaceAllString(rest, " ")
	var groups []string
	rest = grouping.ReplaceAllStringFunc(rest, func(text string) string {
		groups = append(groups, strings.Split(grouping.FindStringSubmatch(text)[1], ",")...)
		return " "
	})
	if strings.ContainsAny(rest, `{}"'`) {
		wrong("cannot read %s", rest)
	}
	for _, found := range word.FindAllStringSubmatch(rest, -1) {
		if name, call := found[1], found[2] != ""; name != "" && !call && !slices.Contains(keywords, name) {
			use(name)
		}
	}
	for _, g := range groups {
		if g = strings.TrimSpace(g); g != "" && !labels[g] {
			wrong("no metric in it has a label %s", g)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", expr, err)
	}
	return nil
}

func (c Catalogue) checkMatcher(metric, label, pattern string) error {
	values, ok := c[metric][label]
	if c[metric] != nil && !ok {
		return fmt.Errorf("%s has no label %s", metric, label)
	}
	for v := range strings.SplitSeq(pattern, "|") {
		if values != nil && !slices.Contains(values, v) {
			return fmt.Errorf("%s{%s} is never %q", metric, label, v)
		}
	}
	return nil
}
