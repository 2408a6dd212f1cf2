// Package programme reads claims programmes, the YAML files that say what is promised to owners: strictly, with every problem of
// a file at once. What a programme means is package claims.
package programme

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"time"
	_ "time/tzdata" // zones have names, and a container has no table of them

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/strict"
)

// MaxSize is the largest programme that is read, in bytes. The shipped one has about 2 KiB.
const MaxSize = 1 << 20

var (
	slug    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	word    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	percent = regexp.MustCompile(`^(?:100(?:\.0{1,4})?|\d{1,2}(?:\.\d{1,4})?)%$`)
)

const maxWon = int64(claims.MostWon)

// decoder is one that knows what a programme has.
type decoder struct {
	*strict.Decoder
	zone *time.Location
}

// Load reads the programme at path. An error of the file system is wrapped; any other error is as Parse describes it.
func Load(path string) (*claims.Programme, error) {
	data, err := strict.ReadFile(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("reading the claims programme: %w", err)
	}
	return Parse(path, data)
}

func newDecoder(file string) *decoder {
	return &decoder{Decoder: &strict.Decoder{
		File: file, Subject: "claims programme", Docs: "docs/claims.md", MaxSize: MaxSize,
		Places: []strict.Place{
			{Name: "the top of the file", Known: programmeFields},
			{Name: "a window", Known: windowFields},
			{Name: "a day of stagger", Known: staggerFields},
			{Name: "loss", Known: lossFields},
			{Name: "assessment", Known: assessmentFields},
			{Name: "tiers", Known: tiersFields},
			{Name: "a row of tiers.table", Known: tierFields},
			{Name: "eligibility", Known: eligibilityFields},
			{Name: "council", Known: councilFields},
		},
	}, zone: time.UTC}
}

// Parse reads a programme; name stands for the file in errors. The error joins every problem of it, in the order of the lines,
// one on a line of its own: "file:line: field: what is wrong: what to write instead".
func Parse(name string, data []byte) (*claims.Programme, error) {
	d := newDecoder(name)
	root := d.Document(data)
	if root == nil {
		return nil, d.Err()
	}
	p := d.programme(root)
	if err := d.Err(); err != nil {
		return nil, err
	}
	p.Canonical = canonical(p)
	sum := sha256.Sum256(p.Canonical)
	p.Hash = hex.EncodeToString(sum[:])
	return p, nil
}

func (d *decoder) programme(root *yaml.Node) *claims.Programme {
	m := d.Mapping(strict.Field{Line: root.Line, Node: root}, programmeFields)
	if m == nil {
		return nil
	}
	p := &claims.Programme{Name: d.Match(m.Get("programme"), nameForm, slug, "1 to 63 small letters, digits and hyphens")}
	p.Title, _ = d.Text(m.Get("title"))
	p.Zone = d.location(m.Get("zone"))
	d.zone = p.Zone
	p.Outage = d.period(m.Get("outage"))
	p.Windows = d.windows(m.Get("windows"))
	p.Loss = d.loss(m.Get("loss"), p.Outage)
	p.Assessment = d.assessment(m.Get("assessment"))
	p.Tiers = d.tiers(m.Get("tiers"))
	p.Eligibility = d.eligibility(m.Get("eligibility"))
	p.Budget = claims.Won(d.Integer(m.Get("budget"), maxWon, 0))
	p.Cap = claims.Won(d.Integer(m.Get("cap"), maxWon, 0))
	p.SecondPerson = claims.Won(d.Integer(m.Get("second_person_from"), maxWon, 0))
	p.SecondLook, p.Withheld = d.millionths(m.Get("second_look")), d.millionths(m.Get("withheld"))
	p.Council = d.council(m.Get("council"))
	d.stagger(m.Get("stagger"), p)
	return p
}

func (d *decoder) windows(f strict.Field) (windows []claims.Window) {
	d.list(f, windowFields, func(m *strict.Mapping) {
		at := m.Get("name")
		w := claims.Window{
			Name: d.Match(at, nameForm, slug, "1 to 63 small letters, digits and hyphens"),
			Kind: strict.OneOf(d.Decoder, m.Get("kind"), wordKnown,
				claims.ReportWindow, claims.DocumentsWindow, claims.ObjectionWindow),
			Opens: d.moment(m.Get("from")),
		}
		before, until := m.Get("before"), m.Get("until")
		switch {
		case before.Absent == until.Absent:
			d.Reportf(oneEnd, at.Line, at.Path,
				"say when it ends, once: before, the first moment that is too late, or until, the last second that is in time")
		case until.Absent:
			w.Closes = d.moment(before)
		default:
			if w.Closes = d.moment(until); !w.Closes.IsZero() {
				w.Closes = w.Closes.Add(time.Second)
			}
		}
		if !w.Opens.IsZero() && !w.Closes.IsZero() && !w.Closes.After(w.Opens) {
			d.Reportf(order, at.Line, at.Path, "it ends before it begins: correct one of the two times")
		}
		for _, o := range windows {
			switch {
			case o.Name == w.Name && w.Name != "":
				d.Reportf(windowUnique, at.Line, at.Path, "%s is also the name of another window: give each its own", w.Name)
			case o.Kind == w.Kind && o.Opens.Before(w.Closes) && w.Opens.Before(o.Closes):
				d.Reportf(windowOverlap, at.Line, at.Path,
					"it overlaps with %s, which is of the same kind: which of them a claim is handed in to must be clear", o.Name)
			}
		}
		windows = append(windows, w)
	})
	return windows
}

func (d *decoder) loss(f strict.Field, outage claims.Period) (r claims.LossRule) {
	m := d.Mapping(f, lossFields)
	if m == nil {
		return r
	}
	r.Weeks = strict.OneOf(d.Decoder, m.Get("weeks"), wordKnown, claims.MaxWeek, claims.MeanWeek, claims.ReportedLoss)
	from := m.Get("from")
	switch none := from.Absent && m.Get("through").Absent; {
	case r.Weeks == claims.ReportedLoss && !none:
		d.Reportf(baseline, from.Line, from.Path, "owners report the loss itself, so no weeks are compared: remove the days")
	case r.Weeks != claims.ReportedLoss && (from.Absent || m.Get("through").Absent):
		d.Reportf(baseline, from.Line, from.Path,
			"say which weeks the outage is compared with: add from: 2022-09-03 and through: 2022-10-14")
	case !none:
		r.Baseline = d.through(m)
		if b := r.Baseline; b.From != "" && outage.From != "" && b.From <= outage.Through && outage.From <= b.Through {
			d.Reportf(baseline, from.Line, from.Path,
				"the weeks to compare with overlap with the outage (%s to %s)", outage.From, outage.Through)
		}
	}
	return r
}

func (d *decoder) assessment(f strict.Field) (r claims.AssessmentRule) {
	m := d.Mapping(f, assessmentFields)
	if m == nil {
		return r
	}
	one := big.NewRat(1, 1)
	r = claims.AssessmentRule{
		DefaultRate:  d.percent(m.Get("profit_rate"), one),
		ServiceShare: d.percent(m.Get("service_share"), one),
		Alternative:  d.percent(m.Get("alternative"), one),
		ProfitRates:  map[string]*big.Rat{},
		Rounding:     strict.OneOf(d.Decoder, m.Get("rounding"), wordKnown, claims.RoundDown, claims.RoundUp, claims.RoundHalfUp),
	}
	d.table(m.Get("by_industry"), func(name string, value strict.Field) { r.ProfitRates[name] = d.percent(value, one) })
	r.OwnRate = strict.OneOf(d.Decoder, m.Get("own_rate"), wordKnown, "no", "with_evidence") == "with_evidence"
	return r
}

func (d *decoder) tiers(f strict.Field) (t claims.Tiers) {
	m := d.Mapping(f, tiersFields)
	if m == nil {
		return t
	}
	t.Basis = strict.OneOf(d.Decoder, m.Get("basis"), wordKnown, claims.SalesLoss, claims.AssessedLoss)
	table := m.Get("table")
	d.list(table, tierFields, func(row *strict.Mapping) {
		tier, at := d.tier(row)
		if n := len(t.Table); n > 0 {
			switch before := &t.Table[n-1]; {
			case before.Open:
				d.Reportf(tierLast, at.Line, at.Path, "comes after the row for all that is above: move that to the end")
			case !tier.Open && tier.End <= before.End && tier.End > 0:
				d.Reportf(tierOrder, at.Line, at.Path,
					"%d is not more than the %d of the row before: write the rows in ascending order", tier.End, before.End)
			case !tier.Review && tier.Pay < before.Pay && tier.Pay > 0:
				d.Reportf(tierPay, at.Line, at.Path,
					"pays %d, less than the row before, %d: a larger loss must not be paid less", tier.Pay, before.Pay)
			}
		}
		t.Table = append(t.Table, tier)
	})
	if n := len(t.Table); n > 0 && !t.Table[n-1].Open {
		d.Reportf(tierLast, table.Line, table.Path, "no row is for what is above %d: add one with above: true", t.Table[n-1].End)
	}
	return t
}

func (d *decoder) tier(row *strict.Mapping) (tier claims.Tier, at strict.Field) {
	below, upTo, above := row.Get("below"), row.Get("up_to"), row.Get("above")
	at = below
	ends := 0
	for _, f := range []strict.Field{below, upTo, above} {
		if !f.Absent {
			at = f
			ends++
		}
	}
	if ends != 1 {
		d.Reportf(oneEnd, at.Line, at.Path,
			"say where the row ends, once: below: N (N belongs to the next row), up_to: N (N belongs to this one), "+
				"or above: true (the last row)")
	}
	end := max(d.Integer(below, maxWon, 0), d.Integer(upTo, maxWon, 0))
	tier = claims.Tier{
		End: claims.Won(end), Inclusive: !upTo.Absent, Open: d.yes(above),
		Pay: claims.Won(d.Integer(row.Get("pay"), maxWon, 0)), Review: d.yes(row.Get("review")),
	}
	if pay := row.Get("pay"); pay.Absent != tier.Review {
		d.Reportf(tierPay, at.Line, pay.Path, "say what the row comes to, once: pay: AMOUNT, or review: true")
	}
	tier.Documents = d.documents(row.Get("documents"))
	return tier, at
}

func (d *decoder) eligibility(f strict.Field) (e claims.Eligibility) {
	if f.Absent {
		return e
	}
	m := d.Mapping(f, eligibilityFields)
	if m == nil {
		return e
	}
	e = claims.Eligibility{OpenedBefore: d.date(m.Get("opened_before")), ClosedBefore: d.date(m.Get("closed_before"))}
	d.table(m.Get("excluded_industries"), func(name string, value strict.Field) {
		if e.ExcludedIndustries == nil {
			e.ExcludedIndustries = map[string]string{}
		}
		e.ExcludedIndustries[name], _ = d.Text(value)
	})
	return e
}

// canonical is the one text for all programmes that mean the same. A field that is added later appears only where it differs from
// what its absence meant before.
func canonical(p *claims.Programme) []byte {
	text, err := json.Marshal(struct {
		Zone string `json:"zone"`
		*claims.Programme
	}{p.Zone.String(), p})
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return text
}
