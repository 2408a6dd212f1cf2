// Package stagger says on which days a business hands in, where a programme spreads owners over days by the last digit of their
// business numbers.
package stagger

import (
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// NotTodayError says that a business hands in on another day.
type NotTodayError struct {
	Digit int         // with which its number ends
	Next  claims.Date // the next day on which it can; empty: none is left
}

func (e *NotTodayError) Error() string {
	if e.Next == "" {
		return fmt.Sprintf("a business whose number ends in %d cannot hand in today, and no day of its own is left", e.Digit)
	}
	return fmt.Sprintf("a business whose number ends in %d hands in from %s on: send it again then", e.Digit, e.Next)
}

// on is the rule of a day; nil: everybody hands in.
func on(p *claims.Programme, day claims.Date) *claims.Staggered {
	at := slices.IndexFunc(p.Stagger, func(s claims.Staggered) bool { return s.On == day })
	if at < 0 {
		return nil
	}
	return &p.Stagger[at]
}

// Today refuses a business on a day that is others', with the next day that is its own while a report window is open. The error
// is a *NotTodayError.
func Today(p *claims.Programme, windows []claims.Window, unit claims.BusinessNumber, at time.Time) error {
	if len(p.Stagger) == 0 || unit == "" {
		return nil
	}
	digit := int(unit[len(unit)-1] - '0')
	local := at.In(p.Zone)
	may := func(t time.Time) bool {
		rule := on(p, claims.Date(t.Format(time.DateOnly)))
		return rule == nil || slices.Contains(rule.Digits, digit)
	}
	if may(local) {
		return nil
	}
	out := &NotTodayError{Digit: digit}
	var last time.Time
	for _, w := range windows {
		if w.Kind == claims.ReportWindow && w.Closes.After(last) {
			last = w.Closes
		}
	}
	for n := 1; ; n++ {
		day := time.Date(local.Year(), local.Month(), local.Day()+n, 0, 0, 0, 0, p.Zone)
		if !day.Before(last) {
			return out
		}
		if may(day) && openOn(p, windows, day) {
			out.Next = claims.Date(day.Format(time.DateOnly))
			return out
		}
	}
}

// openOn reports whether claims are handed in at some time of the day that begins at a moment.
func openOn(p *claims.Programme, windows []claims.Window, day time.Time) bool {
	next := time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, p.Zone)
	return slices.ContainsFunc(windows, func(w claims.Window) bool {
		return w.Kind == claims.ReportWindow && w.Opens.Before(next) && day.Before(w.Closes)
	})
}

// Dayless are the digits that have no day at all on which their businesses can hand in.
func Dayless(p *claims.Programme) (out []int) {
	if len(p.Stagger) == 0 {
		return nil
	}
	has := map[int]bool{}
	for _, w := range p.Windows {
		for n := 0; w.Kind == claims.ReportWindow && len(has) < 10; n++ {
			opens := w.Opens.In(p.Zone)
			day := time.Date(opens.Year(), opens.Month(), opens.Day()+n, 0, 0, 0, 0, p.Zone)
			if !day.Before(w.Closes) {
				break
			}
			rule := on(p, claims.Date(day.Format(time.DateOnly)))
			for digit := range 10 {
				if rule == nil || slices.Contains(rule.Digits, digit) {
					has[digit] = true
				}
			}
		}
	}
	for digit := range 10 {
		if !has[digit] {
			out = append(out, digit)
		}
	}
	return out
}
