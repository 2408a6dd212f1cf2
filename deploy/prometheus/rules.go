// Package prometheus holds the rules by which Prometheus watches a rollout, so that tests can look at them.
package prometheus

import (
	_ "embed"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// File is granter.rules.yml.
//
//go:embed granter.rules.yml
var File []byte

// Rule is a recording rule or an alert.
type Rule struct {
	Record, Alert string // one of them is empty
	Expr          string
	For           string
	KeepFiringFor string `yaml:"keep_firing_for"`
	Labels        map[string]string
	Annotations   map[string]string
}

// Name is what the rule records, or the alert.
func (r *Rule) Name() string { return r.Record + r.Alert }

// Rules returns the rules of File, in their order.
func Rules() ([]Rule, error) { return Parse(File) }

// Parse returns the rules of a file, in their order.
func Parse(text []byte) ([]Rule, error) {
	var file struct {
		Groups []struct {
			Name, Interval string
			Rules          []Rule
		}
	}
	if err := yaml.Load(text, &file, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("granter.rules.yml: %w", err)
	}
	var out []Rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out, nil
}
