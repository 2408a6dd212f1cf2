package campaign

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/strict"
)

var (
	slug      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	itemID    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$`)
	topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	digits    = regexp.MustCompile(`^(0|[1-9]\d*)$`)
	percent   = regexp.MustCompile(`^(0|[1-9]\d{0,2})(?:\.(\d{1,4}))?%$`)
	length    = regexp.MustCompile(`^([1-9]\d*)([dhms])$`)
)

// millionths is what a share is counted in: a percentage with four decimals.
const millionths = 1_000_000

// share reads a percentage as a share of 1, or returns absent for a field that is not there.
func (d *decoder) share(f strict.Field, absent float64) float64 {
	if f.Absent {
		return absent
	}
	n := f.Node
	if n == nil {
		return 0
	}
	part := []string(nil)
	if n.Kind == yaml.ScalarNode {
		part = percent.FindStringSubmatch(n.Value)
	}
	if part == nil {
		d.Reportf(maxRejectedForm, f.Line, f.Path, "%s is not a percentage: write a number, at most four decimals, and a "+
			"percent sign, such as 0.5%%", strict.Describe(n))
		return 0
	}
	count, err := strconv.Atoi(part[1] + (part[2] + "0000")[:4])
	if err != nil || count > millionths {
		d.Reportf(maxRejectedRange, f.Line, f.Path, "%s is out of range: write 0%% to 100%%", strict.Quote(n.Value))
		return 0
	}
	return float64(count) / millionths
}

// unit is one letter of a validity and what it stands for.
type unit struct {
	letter string
	length time.Duration
}

// The units of a validity, the largest first. A day is 24 hours from the grant, whatever the clocks of a country do.
var units = []unit{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// permanent is the validity that never ends.
const permanent = "permanent"

func (d *decoder) validity(f strict.Field) time.Duration {
	n := f.Node
	if n == nil || n.Kind == yaml.ScalarNode && n.Value == permanent {
		return 0
	}
	part := []string(nil)
	if n.Kind == yaml.ScalarNode {
		part = length.FindStringSubmatch(n.Value)
	}
	if part == nil {
		d.Reportf(validityForm, f.Line, f.Path, "%s is not a validity: %s", strict.Describe(n), validityHint(n.Value))
		return 0
	}
	count, err := strconv.ParseInt(part[1], 10, 64)
	for _, u := range units {
		if u.letter == part[2] && err == nil && count <= int64(maxValidity/u.length) {
			return time.Duration(count) * u.length
		}
	}
	d.Reportf(validityRange, f.Line, f.Path, "%s is out of range: write at most %dd (100 years), or %s", strict.Quote(n.Value),
		maxValidity/units[0].length, permanent)
	return 0
}

// validityHint reads the lengths that people write in other ways.
func validityHint(s string) string {
	number := strings.TrimRightFunc(s, unicode.IsLetter)
	word := strings.ToLower(s[len(number):])
	number = strings.TrimSpace(number)
	switch {
	case word == "":
		if digits.MatchString(number) && number != "0" && len(number) < 10 {
			return fmt.Sprintf("say the unit, as in %sd for days", number)
		}
	case strings.HasPrefix(word, "w"), strings.HasPrefix(word, "mo"), strings.HasPrefix(word, "y"):
		return "count in days, as in 90d: weeks, months and years are not units"
	}
	return "write " + permanent + ", or one whole number with d, h, m or s, such as 90d or 36h"
}

func (d *decoder) currency(f strict.Field) string {
	s, ok := d.Text(f)
	if !ok || currencies[s] {
		return s
	}
	hint := "write the three capitals of ISO 4217, such as KRW"
	if upper := strings.ToUpper(s); currencies[upper] {
		hint = "write " + upper
	}
	d.Reportf(currencyKnown, f.Line, f.Path, "%s is not a currency: %s", strict.Quote(s), hint)
	return ""
}
