package claims

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/granter/granter/grant/strict"
)

// Facts are what an owner says about the loss. Sales are those of whole weeks.
type Facts struct {
	Industry    string   `json:"industry"`
	Opened      Date     `json:"opened"`
	Closed      Date     `json:"closed,omitempty"` // empty: still open
	OutageSales Won      `json:"outage_sales"`
	WeekSales   []Won    `json:"week_sales"`            // of the weeks of the baseline
	Reported    *Won     `json:"reported_loss"`         // where the programme asks for one figure
	OwnRate     *big.Rat `json:"own_profit_rate"`       // with evidence; nil: the table's
	Alternative bool     `json:"alternative_available"` // a service that could have been used instead
}

// ParseFacts reads facts as JSON, strictly: a field that nobody knows may be a slip of one that matters.
func ParseFacts(data []byte) (*Facts, error) {
	var f Facts
	if err := strict.JSON(data, &f); err != nil {
		return nil, err
	}
	return &f, f.Check()
}

// Check returns what is wrong with facts under any programme.
func (f *Facts) Check() error {
	var errs []error
	for _, day := range []struct {
		name string
		Date
	}{{"opened", f.Opened}, {"closed", f.Closed}} {
		if _, err := time.Parse(time.DateOnly, string(day.Date)); err != nil && (day.Date != "" || day.name == "opened") {
			errs = append(errs, fmt.Errorf("%s: %.40q is not a day: write it as in 2020-03-01", day.name, day.Date))
		}
	}
	return errors.Join(errs...)
}

// Step is one line of a computation, for whoever asks why it is this amount.
type Step struct {
	Name   string `json:"name"`
	How    string `json:"how"`    // with the numbers in it
	Result string `json:"result"` // exact: won, or a fraction of won

	// The same for whoever puts it into words of another language. They are no part of what is stored: assessing again gives
	// them.
	Kind  StepKind   `json:"-"`
	Terms []*big.Rat `json:"-"` // what it was computed from, in the order in which it is said
	Value *big.Rat   `json:"-"`
}

// StepKind is what a step does.
type StepKind string

// The kinds of steps.
const (
	StepHighestWeek StepKind = "highest_week" // of so many
	StepMeanWeek    StepKind = "mean_week"    // of so many
	StepReported    StepKind = "reported"
	StepLoss        StepKind = "loss"     // usual week − week of the outage
	StepProfit      StepKind = "profit"   // loss × rate, of the table
	StepOwnProfit   StepKind = "own_rate" // loss × rate, the owner's own
	StepShare       StepKind = "share"
	StepAlternative StepKind = "alternative"
	StepRounded     StepKind = "rounded"
)

// StepKinds are all of them.
var StepKinds = []StepKind{
	StepHighestWeek, StepMeanWeek, StepReported, StepLoss, StepProfit, StepOwnProfit, StepShare, StepAlternative, StepRounded,
}

// Assessment is what the facts of a claim come to.
type Assessment struct {
	SalesLoss Won    `json:"sales_loss"`
	Assessed  Won    `json:"assessed_loss"`
	Steps     []Step `json:"steps"`
}

// MaxSales is the largest sum that is read for one week: a quarter of what fits, so that nothing overflows, and more than the
// whole country sells.
const MaxSales Won = 1 << 61

// Assess computes the loss and what of it is the company's to make good. It fails when the facts cannot be: something that
// the programme needs is missing, negative, or absurd. A loss of 0 or less is no error.
func (p *Programme) Assess(f *Facts) (Assessment, error) {
	if err := p.Check(f); err != nil {
		return Assessment{}, err
	}
	var a Assessment
	loss := p.salesLoss(f, &a)
	a.SalesLoss = a.round("sales loss in won", loss, p.Assessment.Rounding)

	kind, rate, from := StepProfit, p.Rate(f.Industry), "the rate of all other industries"
	if _, ok := p.Assessment.ProfitRates[f.Industry]; ok {
		from = "the rate of " + f.Industry
	}
	if f.OwnRate != nil {
		kind, rate, from = StepOwnProfit, f.OwnRate, "the owner's own rate"
	}
	value := a.times(kind, "operating profit", loss, rate, from)
	value = a.times(StepShare, "share of the service", value, p.Assessment.ServiceShare, "the company's share")
	if f.Alternative {
		value = a.times(StepAlternative, "alternative service", value, p.Assessment.Alternative, "one was available")
	}
	a.Assessed = a.round("assessed loss in won", value, p.Assessment.Rounding)
	return a, nil
}

// Rate is the operating profit of an industry, by the table.
func (p *Programme) Rate(industry string) *big.Rat {
	if r, ok := p.Assessment.ProfitRates[industry]; ok {
		return r
	}
	return p.Assessment.DefaultRate
}

// Check returns everything for which facts cannot be assessed.
func (p *Programme) Check(f *Facts) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	amount := func(name string, w Won) {
		switch {
		case w < 0:
			wrong("%s: %d won is negative: sales are 0 or more", name, w)
		case w > MaxSales:
			wrong("%s: %d won cannot be", name, w)
		}
	}
	if p.Loss.Weeks == ReportedLoss {
		if f.Reported == nil {
			wrong("reported_loss: is missing")
		} else if *f.Reported > MaxSales || *f.Reported < -MaxSales {
			wrong("reported_loss: %d won cannot be", *f.Reported)
		}
	} else {
		amount("outage_sales", f.OutageSales)
		if len(f.WeekSales) == 0 {
			wrong("week_sales: give the sales of at least one week of %s to %s", p.Loss.Baseline.From, p.Loss.Baseline.Through)
		}
		for i, w := range f.WeekSales {
			amount(fmt.Sprintf("week_sales[%d]", i), w)
		}
	}
	if r := f.OwnRate; r != nil {
		switch {
		case !p.Assessment.OwnRate:
			wrong("own_profit_rate: this programme takes the rates of its table only")
		case r.Sign() < 0 || r.Cmp(big.NewRat(1, 1)) > 0:
			wrong("own_profit_rate: %s is not between 0 and 1", r.RatString())
		}
	}
	return errors.Join(errs...)
}

// salesLoss computes what was sold less than in a usual week.
func (p *Programme) salesLoss(f *Facts, a *Assessment) *big.Rat {
	if p.Loss.Weeks == ReportedLoss {
		loss := rat(*f.Reported)
		a.add(StepReported, "sales loss", "as reported", loss)
		return loss
	}
	usual := new(big.Rat)
	switch p.Loss.Weeks {
	case MeanWeek:
		for _, w := range f.WeekSales {
			usual.Add(usual, rat(w))
		}
		usual.Quo(usual, big.NewRat(int64(len(f.WeekSales)), 1))
		a.add(
			StepMeanWeek,
			"usual week",
			fmt.Sprintf("mean of %d weeks", len(f.WeekSales)),
			usual,
			big.NewRat(int64(len(f.WeekSales)), 1),
		)
	default:
		for _, w := range f.WeekSales {
			if r := rat(w); r.Cmp(usual) > 0 {
				usual = r
			}
		}
		a.add(
			StepHighestWeek,
			"usual week",
			fmt.Sprintf("highest of %d weeks", len(f.WeekSales)),
			usual,
			big.NewRat(int64(len(f.WeekSales)), 1),
		)
	}
	loss := new(big.Rat).Sub(usual, rat(f.OutageSales))
	a.add(StepLoss, "sales loss", fmt.Sprintf("%s − %d", usual.RatString(), f.OutageSales), loss, usual, rat(f.OutageSales))
	return loss
}

func rat(w Won) *big.Rat { return big.NewRat(int64(w), 1) }

func (a *Assessment) add(kind StepKind, name, how string, result *big.Rat, terms ...*big.Rat) {
	a.Steps = append(a.Steps, Step{Name: name, How: how, Result: result.RatString(), Kind: kind, Terms: terms, Value: result})
}

// times multiplies by a share, and says so.
func (a *Assessment) times(kind StepKind, name string, value, share *big.Rat, why string) *big.Rat {
	out := new(big.Rat).Mul(value, share)
	a.add(kind, name, fmt.Sprintf("%s × %s (%s)", value.RatString(), share.RatString(), why), out, value, share)
	return out
}

// round ends a computation in whole won. Down is towards zero, and half up away from it, for gains as for losses.
func (a *Assessment) round(name string, value *big.Rat, how Rounding) Won {
	whole, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	twice := new(big.Int).Abs(rest)
	twice.Lsh(twice, 1)
	if how == RoundUp && rest.Sign() != 0 || how == RoundHalfUp && twice.Cmp(value.Denom()) >= 0 {
		whole.Add(whole, big.NewInt(int64(value.Sign())))
	}
	a.add(StepRounded, name, value.RatString()+", rounded "+string(how), new(big.Rat).SetInt(whole), value)
	return Won(whole.Int64())
}
