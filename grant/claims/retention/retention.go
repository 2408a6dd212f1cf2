// Package retention says how long records of claims are kept: it reads the file that says so, and removes what is older.
package retention

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/strict"
)

// Period is how long something is kept, by the calendar; zero: for good.
type Period struct{ Years, Months, Days int }

// after returns the moment so long after another one.
func (p Period) after(at time.Time) time.Time { return at.AddDate(p.Years, p.Months, p.Days) }

// before returns the moment so long before another one.
func (p Period) before(at time.Time) time.Time { return at.AddDate(-p.Years, -p.Months, -p.Days) }

// Policy is how long each class of records is kept. A class that is not in it is kept for good.
type Policy map[store.Class]Period

// maxSize is the largest file that is read, in bytes: it has a line for each class.
const maxSize = 64 << 10

// periodForm is the rule that a time is written as people say it.
const periodForm strict.Rule = "period-form"

var (
	period = regexp.MustCompile(`^([1-9]\d{0,3}) (day|days|month|months|year|years)$`)
	fields = func() (out []strict.Known) {
		for _, class := range store.Classes() {
			out = append(out, strict.Optional(string(class), "3 years"))
		}
		return out
	}()
)

// Load reads the file at path.
func Load(path string) (Policy, error) {
	data, err := strict.ReadFile(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("reading how long records are kept: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a policy, a line for each class such as "documents: 1 year"; name stands for the file in errors, which name every
// problem.
func Parse(name string, data []byte) (Policy, error) {
	d := &strict.Decoder{
		File: name, Subject: "retention of claims", Docs: "docs/claims.md", MaxSize: maxSize,
		Places: []strict.Place{{Name: "the top of the file", Known: fields}},
	}
	root := d.Document(data)
	if root == nil {
		return nil, d.Err()
	}
	top := d.Mapping(strict.Field{Line: root.Line, Node: root}, fields)
	if top == nil {
		return nil, d.Err()
	}
	out := Policy{}
	for _, class := range store.Classes() {
		at := top.Get(string(class))
		if at.Node == nil {
			continue
		}
		text := d.Match(at, periodForm, period, "a time such as 90 days, 18 months or 5 years")
		if found := period.FindStringSubmatch(text); found != nil {
			n, _ := strconv.Atoi(found[1]) // four digits
			switch found[2][0] {
			case 'd':
				out[class] = Period{Days: n}
			case 'm':
				out[class] = Period{Months: n}
			default:
				out[class] = Period{Years: n}
			}
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return out, out.check(name)
}

// check refuses what makes no sense: whoever decisions are forgotten of must be forgotten, too.
func (p Policy) check(name string) error {
	if len(p) == 0 {
		return fmt.Errorf("%s: it names no class of records, so nothing would ever go", name)
	}
	last, ok := p[store.ClassDecisions]
	if !ok {
		return nil
	}
	var errs []error
	base := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, class := range store.Classes() {
		if class == store.ClassDecisions {
			continue
		}
		if of, ok := p[class]; !ok || of.after(base).After(last.after(base)) {
			errs = append(errs, fmt.Errorf("%s: %s: they are kept longer than decisions, without which nobody could say "+
				"what they "+
				"are about: keep them as long at most", name, class))
		}
	}
	return errors.Join(errs...)
}

// Due says what is to go of a claim at a moment.
func (p Policy) Due(now time.Time) store.Due {
	return func(ended time.Time) (classes []store.Class, looksUntil time.Time) {
		if access, ok := p[store.ClassAccess]; ok {
			looksUntil = access.before(now)
		}
		if ended.IsZero() {
			return nil, looksUntil
		}
		for _, class := range store.Classes() {
			of, ok := p[class]
			if ok && class != store.ClassAccess && !of.after(ended).After(now) {
				classes = append(classes, class)
			}
		}
		if slices.Contains(classes, store.ClassDecisions) {
			looksUntil = now // whoever looked did so at what is gone
		}
		return classes, looksUntil
	}
}

// Purge removes what is older than the policy says, or counts it.
func Purge(
	ctx context.Context, s *store.Store, p *claims.Programme, policy Policy, now time.Time, by store.Actor, why string, dry bool,
) (*store.Purged, error) {
	return s.Purge(ctx, p.Name, policy.Due(now), by, why, dry)
}
