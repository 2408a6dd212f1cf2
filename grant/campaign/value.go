package campaign

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/strict"
)

var (
	slug         = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	itemID       = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$`)
	topicName    = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	digits       = regexp.MustCompile(`^(0|[1-9]\d*)$`)
	percent      = regexp.MustCompile(`^(0|[1-9]\d{0,2})(?:\.(\d{1,4}))?%$`)
	lengthForm   = regexp.MustCompile(`^([1-9]\d*)([dhms])$`)
	endOfDayForm = regexp.MustCompile(`^end_of_day$`)
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
