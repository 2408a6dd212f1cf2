package campaign

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/text"
)

var (
	slug      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	itemID    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$`)
	topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	digits    = regexp.MustCompile(`^(0|[1-9]\d*)$`)

	grouped       = regexp.MustCompile(`^[1-9]\d{0,2}([,_' ]\d{3})+$`)
	wholeFraction = regexp.MustCompile(`^[1-9]\d*\.00?$`)

	instant = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)([T ](\d\d:\d\d)(:\d\d(\.\d{1,9})?)?)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$`)
	percent = regexp.MustCompile(`^(0|[1-9]\d{0,2})(?:\.(\d{1,4}))?%$`)
	length  = regexp.MustCompile(`^([1-9]\d*)([dhms])$`)
)

// text reads a value that is text. YAML takes an unquoted 2022 for a number and true for a truth value; what was meant to
// be text says so with quotes.
func (d *decoder) text(f field) (string, bool) {
	n := f.node
	if n == nil {
		return "", false
	}
	if n.Kind != yaml.ScalarNode {
		d.reportf(textType, f.line, f.path, "must be text, not %s: write it behind the colon", describe(n))
		return "", false
	}
	if n.ShortTag() != strTag {
		d.reportf(textType, f.line, f.path, "%s is not text in YAML: put it in quotes", quote(n.Value))
		return "", false
	}
	if i := strings.IndexFunc(n.Value, unprintable); i >= 0 {
		d.reportf(textChars, f.line, f.path, "%s has a line break or another character that cannot be shown: write it on one line without it", quote(n.Value))
		return "", false
	}
	return n.Value, true
}

// match reads text of a form.
func (d *decoder) match(f field, r rule, form *regexp.Regexp, want string) string {
	s, ok := d.text(f)
	if ok && !form.MatchString(s) {
		d.reportf(r, f.line, f.path, "%s is not allowed: write %s", quote(s), want)
		return ""
	}
	return s
}

// oneOf reads one of a few words; the first is the default of an absent field.
func oneOf[T ~string](d *decoder, f field, r rule, words ...T) T {
	if f.absent {
		return words[0]
	}
	s, ok := d.text(f)
	if !ok {
		return ""
	}
	all := make([]string, len(words))
	for i, w := range words {
		if s == string(w) {
			return w
		}
		all[i] = string(w)
	}
	last := len(all) - 1
	hint := "write " + strings.Join(all[:last], ", ") + " or " + all[last]
	if near := text.Nearest(s, all); near != "" {
		hint = "did you mean " + near + "?"
	}
	d.reportf(r, f.line, f.path, "%s is unknown: %s", quote(s), hint)
	return ""
}

// integer reads a whole number from 1 to most, or returns absent for a field that is not there. Only plain digits are
// read: 48_000_000 is a number in YAML 1.1 and text in YAML 1.2, and 010 is eight in one and ten in the other.
func (d *decoder) integer(f field, most, absent int64) int64 {
	if f.absent {
		return absent
	}
	n := f.node
	if n == nil {
		return 0
	}
	if n.Kind != yaml.ScalarNode || n.Style != 0 || !digits.MatchString(n.Value) {
		d.reportf(integerForm, f.line, f.path, "%s is not a whole number in plain digits: %s", describe(n), integerHint(n, f.example))
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || i < 1 || i > most {
		d.reportf(integerRange, f.line, f.path, "%s is out of range: write a number from 1 to %d", quote(n.Value), most)
		return 0
	}
	return i
}

// integerHint makes a number of what people write for one, when there is no doubt which: 50.000 may be fifty or fifty
// thousand, and 010 ten or eight.
func integerHint(n *yaml.Node, example string) string {
	plain := n.Value
	switch {
	case grouped.MatchString(plain):
		plain = strings.NewReplacer(",", "", "_", "", "'", "", " ", "").Replace(plain)
	case wholeFraction.MatchString(plain):
		plain, _, _ = strings.Cut(plain, ".")
	}
	if len(plain) > 19 || !digits.MatchString(plain) {
		return "write digits only, such as " + example
	}
	if n.Style != 0 {
		return "write " + plain + ", without quotes"
	}
	return "write " + plain
}

// The years in which a campaign may start and end. Anything outside is a slip, such as 0203 for 2023.
const (
	firstYear = 2000
	lastYear  = 2199
)

func (d *decoder) time(f field) time.Time {
	n := f.node
	if n == nil {
		return time.Time{}
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != strTag && n.ShortTag() != timeTag {
		d.reportf(timeForm, f.line, f.path, "%s is not a time: write it as in %s", describe(n), f.example)
		return time.Time{}
	}
	part := instant.FindStringSubmatch(n.Value)
	switch {
	case part == nil:
		d.reportf(timeForm, f.line, f.path, "%s is not a time: write it as in %s", quote(n.Value), f.example)
		return time.Time{}
	case part[6] == "":
		clock := part[3] + part[4]
		switch {
		case part[3] == "":
			clock = "00:00:00"
		case part[4] == "":
			clock += ":00"
		}
		d.reportf(timeZone, f.line, f.path, "%s is another moment in every time zone: say the time zone, as in %sT%s+09:00 for Korea or %[4]sT%[5]sZ for UTC",
			quote(n.Value), part[1], clock, part[1], clock)
		return time.Time{}
	}
	// Parsed as if local were UTC: Parse itself would give times in the machine's own zone its name, and others an offset.
	t, err := time.ParseInLocation(time.RFC3339, n.Value, time.UTC)
	if err != nil {
		d.reportf(timeForm, f.line, f.path, "%s is not a time: write it as in %s", quote(n.Value), f.example)
		return time.Time{}
	}
	if year := t.UTC().Year(); year < firstYear || year > lastYear {
		d.reportf(timeRange, f.line, f.path, "%s is not between the years %d and %d: correct the year", quote(n.Value), firstYear, lastYear)
		return time.Time{}
	}
	return t
}

// millionths is what a share is counted in: a percentage with four decimals.
const millionths = 1_000_000

// share reads a percentage as a share of 1, or returns absent for a field that is not there.
func (d *decoder) share(f field, absent float64) float64 {
	if f.absent {
		return absent
	}
	n := f.node
	if n == nil {
		return 0
	}
	part := []string(nil)
	if n.Kind == yaml.ScalarNode {
		part = percent.FindStringSubmatch(n.Value)
	}
	if part == nil {
		d.reportf(maxRejectedForm, f.line, f.path, "%s is not a percentage: write a number, at most four decimals, and a percent sign, such as 0.5%%", describe(n))
		return 0
	}
	count, err := strconv.Atoi(part[1] + (part[2] + "0000")[:4])
	if err != nil || count > millionths {
		d.reportf(maxRejectedRange, f.line, f.path, "%s is out of range: write 0%% to 100%%", quote(n.Value))
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

func (d *decoder) validity(f field) time.Duration {
	n := f.node
	if n == nil || n.Kind == yaml.ScalarNode && n.Value == permanent {
		return 0
	}
	part := []string(nil)
	if n.Kind == yaml.ScalarNode {
		part = length.FindStringSubmatch(n.Value)
	}
	if part == nil {
		d.reportf(validityForm, f.line, f.path, "%s is not a validity: %s", describe(n), validityHint(n.Value))
		return 0
	}
	count, err := strconv.ParseInt(part[1], 10, 64)
	for _, u := range units {
		if u.letter == part[2] && err == nil && count <= int64(maxValidity/u.length) {
			return time.Duration(count) * u.length
		}
	}
	d.reportf(validityRange, f.line, f.path, "%s is out of range: write at most %dd (100 years), or %s", quote(n.Value), maxValidity/units[0].length, permanent)
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

func (d *decoder) currency(f field) string {
	s, ok := d.text(f)
	if !ok || currencies[s] {
		return s
	}
	hint := "write the three capitals of ISO 4217, such as KRW"
	if upper := strings.ToUpper(s); currencies[upper] {
		hint = "write " + upper
	}
	d.reportf(currencyKnown, f.line, f.path, "%s is not a currency: %s", quote(s), hint)
	return ""
}
