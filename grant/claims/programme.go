// Package claims has the rules of damage claims: what a programme promises, what a reported loss comes to, what is paid for it,
// and which way a claim can go. It is pure: it reads no clock, file, or network, so every decision can be computed again.
package claims

import (
	"maps"
	"math/big"
	"slices"
	"time"
)

// Won is an amount of money in won, which have no smaller unit.
type Won int64

// Date is a day in the zone of the programme, as 2022-10-15, so that dates compare as text.
type Date string

// Programme is what was promised to whom, as data. It is immutable once a claim is received; Hash identifies it. Windows may
// be extended by amendments, which are kept beside it.
type Programme struct {
	Name  string         `json:"name"`
	Title string         `json:"title"`
	Zone  *time.Location `json:"-"` // of all its dates and times

	Outage      Period         `json:"outage"` // the days for which sales were lost
	Windows     []Window       `json:"windows"`
	Loss        LossRule       `json:"loss"`
	Assessment  AssessmentRule `json:"assessment"`
	Tiers       Tiers          `json:"tiers"`
	Eligibility Eligibility    `json:"eligibility"`

	Budget       Won `json:"budget"`        // of all payments together; when it is used up, payment stops and asks
	Cap          Won `json:"cap"`           // of one claim; 0: none
	SecondPerson Won `json:"second_person"` // from this amount on a second person approves; 0: never
	SecondLook   int `json:"second_look"`   // in a million of the approved claims, which a second person looks at again
	Withheld     int `json:"withheld"`      // tax withheld from a payment, in a million

	Council *Council    `json:"council,omitempty"` // nil: there is none
	Stagger []Staggered `json:"stagger,omitempty"` // none: everybody hands in on every day of a window

	Hash      string `json:"-"` // hex SHA-256 of Canonical
	Canonical []byte `json:"-"`
}

// Period is days, both ends included.
type Period struct {
	From    Date `json:"from"`
	Through Date `json:"through"`
}

// Staggered is one day on which only some businesses hand in, so that not all come at once. On other days everybody does.
type Staggered struct {
	On     Date  `json:"on"`     // in the programme's zone
	Digits []int `json:"digits"` // with which the numbers of the businesses end that hand in on that day
}

// LossRule says how sales are compared.
type LossRule struct {
	Baseline Period `json:"baseline"` // whose weeks are compared with the outage
	Weeks    Weeks  `json:"weeks"`
}

// Weeks is how the sales of several weeks become one figure.
type Weeks string

// How the sales of several weeks become one figure, or that owners report the loss itself.
const (
	MaxWeek      Weeks = "max"
	MeanWeek     Weeks = "mean"
	ReportedLoss Weeks = "reported"
)

// AssessmentRule says how much of a sales loss is the company's to make good. Shares are exact fractions of 1.
type AssessmentRule struct {
	ProfitRates  map[string]*big.Rat `json:"profit_rates"`  // operating profit by industry
	DefaultRate  *big.Rat            `json:"default_rate"`  // of an industry that is not in the table
	ServiceShare *big.Rat            `json:"service_share"` // the company's share of the service
	Alternative  *big.Rat            `json:"alternative"`   // what remains when an alternative service was available
	Rounding     Rounding            `json:"rounding"`
	OwnRate      bool                `json:"own_rate"` // an owner may show a rate of his own, with evidence
}

// Rounding says how a fraction of a won ends.
type Rounding string

// The roundings.
const (
	RoundDown   Rounding = "down"
	RoundUp     Rounding = "up"
	RoundHalfUp Rounding = "half_up"
)

// Eligibility says who may claim.
type Eligibility struct {
	OpenedBefore       Date              `json:"opened_before"`                 // the business had opened before that day
	ClosedBefore       Date              `json:"closed_before"`                 // and had not closed before that one
	ExcludedIndustries map[string]string `json:"excluded_industries,omitempty"` // by industry, the reason that the owner is told
}

// Industries are those that the rules name, sorted: those with a profit rate of their own, and behind them those that are
// excluded.
func (p *Programme) Industries() []string {
	out := slices.Sorted(maps.Keys(p.Assessment.ProfitRates))
	out = slices.DeleteFunc(
		out,
		func(name string) bool { _, excluded := p.Eligibility.ExcludedIndustries[name]; return excluded },
	)
	return append(out, slices.Sorted(maps.Keys(p.Eligibility.ExcludedIndustries))...)
}
