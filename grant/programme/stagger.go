package programme

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/stagger"
	"github.com/granter/granter/grant/strict"
)

// stagger reads on which days which businesses hand in, of a programme whose windows have been read.
func (d *decoder) stagger(f strict.Field, p *claims.Programme) {
	if f.Absent {
		return
	}
	d.list(f, staggerFields, func(row *strict.Mapping) {
		at := row.Get("on")
		s := claims.Staggered{On: d.date(at), Digits: d.digits(row.Get("digits"))}
		switch {
		case s.On == "":
			return
		case slices.ContainsFunc(p.Stagger, func(o claims.Staggered) bool { return o.On == s.On }):
			d.Reportf(staggerRules, at.Line, at.Path, "%s has a row already: write all of its digits into one", s.On)
		case !d.handedIn(p, s.On):
			d.Reportf(staggerRules, at.Line, at.Path,
				"no window of kind report is open on %s: write a day on which claims are handed in", s.On)
		}
		p.Stagger = append(p.Stagger, s)
	})
	if none := stagger.Dayless(p); len(none) > 0 && len(d.Problems) == 0 {
		d.Reportf(staggerRules, f.Line, f.Path,
			"businesses whose number ends in %s have no day: give each digit a day, or leave a day of a window to everybody",
			strings.Trim(strings.ReplaceAll(fmt.Sprint(none), " ", ", "), "[]"))
	}
}

// handedIn reports whether claims are handed in at some time of a day.
func (d *decoder) handedIn(p *claims.Programme, day claims.Date) bool {
	begins, err := time.ParseInLocation(time.DateOnly, string(day), d.zone)
	ends := begins.AddDate(0, 0, 1)
	return err == nil && slices.ContainsFunc(p.Windows, func(w claims.Window) bool {
		return w.Kind == claims.ReportWindow && w.Opens.Before(ends) && begins.Before(w.Closes)
	})
}

// digits reads the last digits of numbers of businesses.
func (d *decoder) digits(f strict.Field) (out []int) {
	for _, n := range d.Elements(f, "write [1, 6]") {
		digit := -1
		if n.Kind == yaml.ScalarNode && len(n.Value) == 1 && n.Value[0] >= '0' && n.Value[0] <= '9' {
			digit = int(n.Value[0] - '0')
		}
		switch {
		case digit < 0:
			d.Reportf(staggerRules, n.Line, f.Path, "%s is no digit: write 0 to 9", strict.Describe(n))
		case slices.Contains(out, digit):
			d.Reportf(staggerRules, n.Line, f.Path, "%d is there twice: keep one", digit)
		default:
			out = append(out, digit)
		}
	}
	slices.Sort(out)
	return out
}
