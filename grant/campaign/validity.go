package campaign

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	_ "time/tzdata" // zones have names, and a container has no table of them

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

// unit is one letter of a validity and what it stands for.
type unit struct {
	letter string
	length time.Duration
}

// The units of a validity, the largest first. A day is 24 hours from the grant, whatever the clocks of a country do.
var units = []unit{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// permanent is the validity that never ends.
const permanent = "permanent"

// The words of a validity that has fields of its own.
const (
	fromGranted = "granted"
	fromTaken   = "taken"
	endOfDay    = "end_of_day"
)

const maxDays = int64(maxValidity / (24 * time.Hour))

var validityFields = []strict.Known{
	strict.Optional("days", "90"),
	strict.Optional("for", permanent),
	strict.Optional("from", fromTaken),
	strict.Optional("until", endOfDay),
}

// zone reads the name of a time zone; nil: there is none.
func (d *decoder) zone(f strict.Field) *time.Location {
	name, ok := d.Text(f)
	if !ok {
		return nil
	}
	zone, err := time.LoadLocation(name)
	// Local and the empty name are zones for Go, and another one on every machine for people.
	if err != nil || name == "" || name == "Local" {
		d.Reportf(zoneKnown, f.Line, f.Path, "%s is not a time zone: write its name in the IANA database, such as Asia/Seoul",
			strict.Quote(name))
		return nil
	}
	return zone
}

// validity reads how long an item is held: one word, or fields.
func (d *decoder) validity(f strict.Field, zone *time.Location) grant.Validity {
	if f.Node == nil || f.Node.Kind != yaml.MappingNode {
		return grant.Validity{Length: d.length(f)}
	}
	m := d.Mapping(f, validityFields)
	days, length, until := m.Get("days"), m.Get("for"), m.Get("until")
	v := grant.Validity{
		Taken: strict.OneOf(d.Decoder, m.Get("from"), validityFrom, fromGranted, fromTaken) == fromTaken,
		Days:  int(d.Integer(days, maxDays, 0)),
	}
	const either = "write days: 90, or for: 36h, or for: permanent"
	switch {
	case days.Absent && length.Absent:
		d.Reportf(validityOneLength, f.Line, f.Path, "does not say how long the item is held: %s", either)
	case !days.Absent && !length.Absent:
		d.Reportf(validityOneLength, f.Line, f.Path, "says twice how long the item is held: %s", either)
	case days.Absent:
		v.Length = d.length(length)
	case zone == nil && days.Node != nil:
		d.Reportf(zoneRequired, days.Line, days.Path,
			"calendar days are those of a time zone: add zone: Asia/Seoul at the top of the file")
	}
	if !until.Absent {
		v.EndOfDay = d.Match(until, validityUntil, endOfDayForm, endOfDay) != ""
		if days.Absent {
			d.Reportf(untilForbidden, until.Line, until.Path,
				"only calendar days have an end of day: write days: 90, or remove the field")
		}
	}
	return v
}

// length reads a duration, or permanent, which is 0.
func (d *decoder) length(f strict.Field) time.Duration {
	n := f.Node
	if n == nil || n.Kind == yaml.ScalarNode && n.Value == permanent {
		return 0
	}
	part := []string(nil)
	if n.Kind == yaml.ScalarNode {
		part = lengthForm.FindStringSubmatch(n.Value)
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

// takeUntil reads until when an offer can be taken: a moment, or a day in the campaign's zone, which is included.
func (d *decoder) takeUntil(f strict.Field, c *grant.Campaign, offered bool) time.Time {
	if f.Absent {
		return time.Time{}
	}
	if !offered {
		d.Reportf(takeForbidden, f.Line, f.Path,
			"belongs to an item that users take: write validity: {days: 90, from: taken}, or remove the field")
	}
	until := d.day(f, c.Zone)
	if until.IsZero() {
		until = d.Time(f)
	}
	if !until.IsZero() && !c.StartsAt.IsZero() && !until.After(c.StartsAt) {
		d.Reportf(timeOrder, f.Line, f.Path,
			"%s is not after starts_at: nobody could take the item: write a later time", f.Node.Value)
	}
	return until
}

// day reads a date without a time: the moment at which that day is over. Zero: it is none, or there is no zone for it.
func (d *decoder) day(f strict.Field, zone *time.Location) time.Time {
	if f.Node == nil || f.Node.Kind != yaml.ScalarNode || zone == nil {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, f.Node.Value)
	if err != nil || day.Year() < 2000 || day.Year() > 2199 {
		return time.Time{}
	}
	return grant.StartOfDay(day.Year(), day.Month(), day.Day()+1, zone)
}

// first reads a quota.
func (d *decoder) first(f strict.Field, offered bool) int64 {
	if !f.Absent && !offered {
		d.Reportf(firstForbidden, f.Line, f.Path,
			"counts who takes the item: write validity: {days: 90, from: taken}, or leave it to everybody and remove the field")
	}
	return d.Integer(f, maxFirst, 0)
}

// formatValidity returns the canonical form: a word where one says it all.
func formatValidity(v grant.Validity) any {
	length := formatLength(v.Length)
	if v.Days == 0 && !v.Taken {
		return length
	}
	out := validity{Days: v.Days}
	if v.Days == 0 {
		out.For = length
	}
	if v.Taken {
		out.From = fromTaken
	}
	if v.EndOfDay {
		out.Until = endOfDay
	}
	return out
}

func formatLength(v time.Duration) string {
	if v == 0 {
		return permanent
	}
	for _, u := range units {
		if v%u.length == 0 {
			return strconv.FormatInt(int64(v/u.length), 10) + u.letter
		}
	}
	return v.String() // finer than a second: Parse makes no such validity
}
