package programme

import (
	"math/big"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/strict"
)

func (d *decoder) location(f strict.Field) *time.Location {
	name, ok := d.Text(f)
	if !ok {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		d.Reportf(zoneKnown, f.Line, f.Path,
			"%s is not a time zone: write one of the IANA database, such as Asia/Seoul", strict.Quote(name))
		return time.UTC
	}
	return zone
}

// date reads a day. One that YAML takes for a moment is text for us.
func (d *decoder) date(f strict.Field) claims.Date {
	if f.Node == nil {
		return ""
	}
	t, err := time.Parse(time.DateOnly, f.Node.Value)
	if f.Node.Kind != yaml.ScalarNode || err != nil || t.Year() < 2000 || t.Year() > 2199 {
		d.Reportf(dateForm, f.Line, f.Path, "%s is not a day: write it as in 2022-10-15", strict.Describe(f.Node))
		return ""
	}
	return claims.Date(f.Node.Value)
}

// moment reads a time of the programme's zone. One that the zone does not have, because clocks were set forward, is none.
func (d *decoder) moment(f strict.Field) time.Time {
	const form = "2006-01-02T15:04:05"
	if f.Node == nil {
		return time.Time{}
	}
	t, err := time.ParseInLocation(form, f.Node.Value, d.zone)
	switch {
	case f.Node.Kind != yaml.ScalarNode || err != nil || t.Year() < 2000 || t.Year() > 2199:
		d.Reportf(momentForm, f.Line, f.Path,
			"%s is not a time of the programme's zone: write it without a zone, as in 2022-10-19T00:00:00",
			strict.Describe(f.Node))
	case t.Format(form) != f.Node.Value:
		d.Reportf(momentForm, f.Line, f.Path,
			"%s does not exist in %s, where clocks are set forward then: write another time", f.Node.Value, d.zone)
	default:
		return t
	}
	return time.Time{}
}

func (d *decoder) period(f strict.Field) claims.Period {
	m := d.Mapping(f, periodFields)
	if m == nil {
		return claims.Period{}
	}
	return d.through(m)
}

// through reads the two days of a mapping.
func (d *decoder) through(m *strict.Mapping) claims.Period {
	p := claims.Period{From: d.date(m.Get("from")), Through: d.date(m.Get("through"))}
	if at := m.Get("through"); p.From != "" && p.Through != "" && p.Through < p.From {
		d.Reportf(order, at.Line, at.Path, "%s is before %s: write the last day", p.Through, p.From)
	}
	return p
}

// list reads the elements of a list of mappings.
func (d *decoder) list(f strict.Field, known []strict.Known, each func(*strict.Mapping)) {
	d.Mappings(f, known, "begin each row with a hyphen", func(_ strict.Field, m *strict.Mapping) { each(m) })
}

// table reads a mapping whose names are the programme's own.
func (d *decoder) table(f strict.Field, each func(name string, value strict.Field)) {
	if f.Node == nil {
		return
	}
	if f.Node.Kind != yaml.MappingNode {
		d.Reportf(strict.MappingType, f.Line, f.Path, "must have a line for each industry, not be %s", strict.Describe(f.Node))
		return
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(f.Node.Content, 2) {
		name := pair[0].Value
		at := strict.Field{Path: f.Path + "." + name, Line: pair[0].Line, Node: pair[1]}
		switch {
		case !word.MatchString(name):
			d.Reportf(nameForm, at.Line, f.Path,
				"%s is not allowed: write an industry in small letters, digits and underscores", strict.Quote(name))
		case seen[name]:
			d.Reportf(strict.UniqueField, at.Line, at.Path, "is twice in the table: keep one of them")
		default:
			seen[name] = true
			each(name, at)
		}
	}
}

// percent reads a percentage of 0% to 100% as an exact fraction.
func (d *decoder) percent(f strict.Field, absent *big.Rat) *big.Rat {
	switch {
	case f.Absent:
		return absent
	case f.Node == nil:
		return new(big.Rat)
	case f.Node.Kind != yaml.ScalarNode || !percent.MatchString(f.Node.Value):
		d.Reportf(percentForm, f.Line, f.Path,
			"%s is not a percentage of 0%% to 100%%: write a number, at most four decimals, and a percent sign, such as 70%%",
			strict.Describe(f.Node))
		return new(big.Rat)
	}
	r, _ := new(big.Rat).SetString(f.Node.Value[:len(f.Node.Value)-1])
	return r.Quo(r, big.NewRat(100, 1))
}

func (d *decoder) millionths(f strict.Field) int {
	r := d.percent(f, new(big.Rat))
	return int(new(big.Rat).Mul(r, big.NewRat(1_000_000, 1)).Num().Int64())
}

// yes reads a field that is true or not there.
func (d *decoder) yes(f strict.Field) bool {
	if f.Absent || f.Node == nil {
		return false
	}
	if f.Node.Value != "true" {
		d.Reportf(wordKnown, f.Line, f.Path, "%s: write true, or remove the line", strict.Describe(f.Node))
	}
	return true
}

func (d *decoder) documents(f strict.Field) (out []string) {
	if f.Absent || f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode {
		d.Reportf(strict.ListType, f.Line, f.Path, "must be a list, not %s: write [one, another]", strict.Describe(f.Node))
		return nil
	}
	for _, n := range f.Node.Content {
		switch {
		case n.Kind != yaml.ScalarNode || !word.MatchString(n.Value):
			d.Reportf(tierDocuments, n.Line, f.Path,
				"%s is not allowed: name a document in small letters, digits and underscores", strict.Describe(n))
		case slices.Contains(out, n.Value):
			d.Reportf(tierDocuments, n.Line, f.Path, "%s is asked for twice: keep one", n.Value)
		default:
			out = append(out, n.Value)
		}
	}
	return out
}
