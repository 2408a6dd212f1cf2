package prometheus

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Scale makes the rules quicker, so that a test can play a night in a minute and have the shipped expressions evaluated.
type Scale struct {
	Factor   int           // by which windows, and what is waited for, are shortened
	Interval time.Duration // of scraping and evaluating
	// Shortest is the least that is waited for. What granter itself takes, to obey or to notice, is not shortened.
	Shortest time.Duration
}

var (
	interval  = regexp.MustCompile(`(?m)^(    interval: )(\w+)$`)
	waiting   = regexp.MustCompile(`(?m)^(        (?:for|keep_firing_for): )(\w+)$`)
	window    = regexp.MustCompile(`\[(\d+[smh])\]`)
	threshold = regexp.MustCompile(`([<>] )(\d+)\b`)
)

// minute is the least number that is taken for a threshold in seconds: smaller ones are counts and shares, or compared with
// what granter measures in its own time.
const minute = 60

// Rules returns File, quicker.
func (s Scale) Rules() []byte {
	text := interval.ReplaceAllString(string(File), "${1}"+duration(s.Interval))
	text = replace(waiting, text, func(found []string) string {
		return found[1] + duration(max(s.shorter(found[2]), s.Shortest))
	})
	text = replace(window, text, func(found []string) string { return "[" + duration(s.shorter(found[1])) + "]" })
	text = replace(threshold, text, func(found []string) string {
		n, err := strconv.Atoi(found[2])
		if err != nil || n < minute {
			return found[0]
		}
		return found[1] + strconv.FormatFloat(float64(n)/float64(s.Factor), 'g', -1, 64)
	})
	return []byte(text)
}

func (s Scale) shorter(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0 // TestPrometheusAcceptsQuickerRules would show it
	}
	return d / time.Duration(s.Factor)
}

// duration is how Prometheus writes one: its fractions of a second are milliseconds.
func duration(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

func replace(pattern *regexp.Regexp, text string, with func(found []string) string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			line = pattern.ReplaceAllStringFunc(line, func(match string) string { return with(pattern.FindStringSubmatch(match)) })
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}
