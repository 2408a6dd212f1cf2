package strict

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/text"
)

var (
	plainName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	digits    = regexp.MustCompile(`^(0|[1-9]\d*)$`)

	grouped       = regexp.MustCompile(`^[1-9]\d{0,2}([,_' ]\d{3})+$`)
	wholeFraction = regexp.MustCompile(`^[1-9]\d*\.00?$`)

	instant = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)([T ](\d\d:\d\d)(:\d\d(\.\d{1,9})?)?)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$`)
)

// Text reads a value that is text. YAML takes an unquoted 2022 for a number and true for a truth value; what was meant to
// be text says so with quotes.
func (d *Decoder) Text(f Field) (string, bool) {
	n := f.Node
	if n == nil {
		return "", false
	}
	if n.Kind != yaml.ScalarNode {
		d.Reportf(TextType, f.Line, f.Path, "must be text, not %s: write it behind the colon", Describe(n))
		return "", false
	}
	if n.ShortTag() != TextTag {
		d.Reportf(TextType, f.Line, f.Path, "%s is not text in YAML: put it in quotes", Quote(n.Value))
		return "", false
	}
	if i := strings.IndexFunc(n.Value, Unprintable); i >= 0 {
		d.Reportf(TextChars, f.Line, f.Path,
			"%s has a line break or another character that cannot be shown: write it on one line without it", Quote(n.Value))
		return "", false
	}
	return n.Value, true
}

// Match reads text of a form.
func (d *Decoder) Match(f Field, r Rule, form *regexp.Regexp, want string) string {
	s, ok := d.Text(f)
	if ok && !form.MatchString(s) {
		d.Reportf(r, f.Line, f.Path, "%s is not allowed: write %s", Quote(s), want)
		return ""
	}
	return s
}

// OneOf reads one of a few words; the first is the default of an absent field.
func OneOf[T ~string](d *Decoder, f Field, r Rule, words ...T) T {
	if f.Absent {
		return words[0]
	}
	s, ok := d.Text(f)
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
	d.Reportf(r, f.Line, f.Path, "%s is unknown: %s", Quote(s), hint)
	return ""
}

// Integer reads a whole number from 1 to most, or returns absent for a field that is not there. Only plain digits are
// read: 48_000_000 is a number in YAML 1.1 and text in YAML 1.2, and 010 is eight in one and ten in the other.
func (d *Decoder) Integer(f Field, most, absent int64) int64 {
	if f.Absent {
		return absent
	}
	n := f.Node
	if n == nil {
		return 0
	}
	if n.Kind != yaml.ScalarNode || n.Style != 0 || !digits.MatchString(n.Value) {
		d.Reportf(IntegerForm, f.Line, f.Path,
			"%s is not a whole number in plain digits: %s", Describe(n), integerHint(n, f.Example))
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || i < 1 || i > most {
		d.Reportf(IntegerRange, f.Line, f.Path, "%s is out of range: write a number from 1 to %d", Quote(n.Value), most)
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

// Time reads a moment with its zone.
func (d *Decoder) Time(f Field) time.Time {
	n := f.Node
	if n == nil {
		return time.Time{}
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != TextTag && n.ShortTag() != TimeTag {
		d.Reportf(TimeForm, f.Line, f.Path, "%s is not a time: write it as in %s", Describe(n), f.Example)
		return time.Time{}
	}
	part := instant.FindStringSubmatch(n.Value)
	switch {
	case part == nil:
		d.Reportf(TimeForm, f.Line, f.Path, "%s is not a time: write it as in %s", Quote(n.Value), f.Example)
		return time.Time{}
	case part[6] == "":
		clock := part[3] + part[4]
		switch {
		case part[3] == "":
			clock = "00:00:00"
		case part[4] == "":
			clock += ":00"
		}
		d.Reportf(TimeZone, f.Line, f.Path,
			"%s is another moment in every time zone: say the time zone, as in %sT%s+09:00 for Korea or %[4]sT%[5]sZ for UTC",
			Quote(n.Value), part[1], clock, part[1], clock)
		return time.Time{}
	}
	// Parsed as if local were UTC: Parse itself would give times in the machine's own zone its name, and others an offset.
	t, err := time.ParseInLocation(time.RFC3339, n.Value, time.UTC)
	if err != nil {
		d.Reportf(TimeForm, f.Line, f.Path, "%s is not a time: write it as in %s", Quote(n.Value), f.Example)
		return time.Time{}
	}
	if year := t.UTC().Year(); year < firstYear || year > lastYear {
		d.Reportf(TimeRange, f.Line, f.Path,
			"%s is not between the years %d and %d: correct the year", Quote(n.Value), firstYear, lastYear)
		return time.Time{}
	}
	return t
}
