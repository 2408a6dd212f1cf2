// Package simulate says what another programme would pay for the claims that there are, before anybody adopts it: what it costs,
// who gets more and who less, what is left of the budget; and how the losses are distributed. It changes nothing.
package simulate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/granter/granter/grant/claims"
)

// Case is one claim.
type Case struct {
	Facts claims.Facts
	Owed  claims.Won // that was decided; 0: nothing yet
	Ended bool       // it was withdrawn: nobody would pay it
}

// Result is what a programme comes to.
type Result struct {
	Name     string         `json:"programme"`
	Hash     string         `json:"hash"`
	Tiers    []Tier         `json:"tiers"`
	Declined map[string]int `json:"declined"` // claims, by reason
	Cost     claims.Won     `json:"cost"`     // of what the table pays by itself
	Reviewed claims.Won     `json:"reviewed"` // of those that people decide, or the assessed loss
	Budget   claims.Won     `json:"budget"`
	Left     claims.Won     `json:"left"`    // of the budget, after both; negative: it does not suffice
	Refused  int            `json:"refused"` // claims whose facts this programme cannot compute
}

// Tier is a row of the table.
type Tier struct {
	Tier   int        `json:"tier"`
	Says   string     `json:"says"`
	Claims int        `json:"claims"`
	Cost   claims.Won `json:"cost"`
	Review bool       `json:"review,omitempty"`
}

// Report compares two programmes.
type Report struct {
	Claims    int        `json:"claims"`
	Withdrawn int        `json:"withdrawn"` // and in none of the figures
	Losses    Losses     `json:"losses"`
	Present   Result     `json:"present"`
	Proposed  Result     `json:"proposed"`
	More      int        `json:"more"` // claims that would get more, of those that neither programme reviews
	Less      int        `json:"less"`
	Same      int        `json:"same"`
	Gain      claims.Won `json:"gain"`    // of those who would get more, together
	Cut       claims.Won `json:"cut"`     // of those who would get less
	Unknown   int        `json:"unknown"` // people decide in one programme at least
}

// Losses is how the sales losses are distributed, of claims that have one.
type Losses struct {
	Count     int                   `json:"count"`
	Sum       claims.Won            `json:"sum"`
	Quantiles map[string]claims.Won `json:"quantiles"` // the loss that so many percent do not exceed
	Histogram []Bin                 `json:"histogram"`
}

// Bin counts losses from one amount to below another.
type Bin struct {
	From  claims.Won `json:"from"`
	Below claims.Won `json:"below"`
	Count int        `json:"count"`
}

// bins begin at these amounts: 1, 2 and 5 times a power of ten, as people read them.
var bins = func() []claims.Won {
	out := []claims.Won{1}
	for power := claims.Won(10_000); power <= 1_000_000_000; power *= 10 {
		out = append(out, power, 2*power, 5*power)
	}
	return out
}()

// Simulation adds up claims, one after the other.
type Simulation struct {
	present, proposed *claims.Programme
	report            Report
	losses            []claims.Won
}

// New compares two programmes.
func New(present, proposed *claims.Programme) *Simulation {
	s := &Simulation{present: present, proposed: proposed}
	s.report.Present, s.report.Proposed = result(present), result(proposed)
	return s
}

func result(p *claims.Programme) Result {
	r := Result{Name: p.Name, Hash: p.Hash, Budget: p.Budget, Declined: map[string]int{}, Tiers: make([]Tier, len(p.Tiers.Table))}
	for i := range p.Tiers.Table {
		row := &p.Tiers.Table[i]
		t := Tier{Tier: i + 1, Review: row.Review}
		switch {
		case row.Open:
			t.Says = "above"
		case row.Inclusive:
			t.Says = fmt.Sprintf("up to %d", row.End)
		default:
			t.Says = fmt.Sprintf("below %d", row.End)
		}
		r.Tiers[i] = t
	}
	return r
}

// verdict is what a programme pays for a claim; known is false where people decide or nothing can be computed.
type verdict struct {
	pay   claims.Won
	known bool
}

// Add adds a claim.
func (s *Simulation) Add(c *Case) {
	s.report.Claims++
	if c.Ended {
		s.report.Withdrawn++
		return
	}
	now, then := s.report.Present.add(s.present, c), s.report.Proposed.add(s.proposed, c)
	if a, err := s.present.Assess(&c.Facts); err == nil && a.SalesLoss > 0 {
		s.losses = append(s.losses, a.SalesLoss)
	}
	switch {
	case !now.known || !then.known:
		s.report.Unknown++
	case then.pay > now.pay:
		s.report.More++
		s.report.Gain += then.pay - now.pay
	case then.pay < now.pay:
		s.report.Less++
		s.report.Cut += now.pay - then.pay
	default:
		s.report.Same++
	}
}

func (r *Result) add(p *claims.Programme, c *Case) verdict {
	a, err := p.Assess(&c.Facts)
	if err != nil {
		r.Refused++
		return verdict{}
	}
	proposal := p.Propose(&c.Facts, &a)
	if proposal.Declined != "" {
		r.Declined[string(proposal.Declined)]++
		return verdict{known: true}
	}
	t := &r.Tiers[proposal.Tier-1]
	t.Claims++
	if !proposal.Review {
		t.Cost += proposal.Pay
		r.Cost += proposal.Pay
		return verdict{proposal.Pay, true}
	}
	amount := c.Owed
	if amount == 0 {
		amount = max(a.Assessed, 0)
	}
	if p.Cap > 0 {
		amount = min(amount, p.Cap)
	}
	t.Cost += amount
	r.Reviewed += amount
	return verdict{}
}

// ErrNothing means that there is no claim to say anything about.
var ErrNothing = errors.New("there are no claims yet: nothing can be said about the cost")

// quantiles are the percentages of Losses.Quantiles.
var quantiles = []int{10, 25, 50, 75, 90, 99}

// Report is what was added comes to.
func (s *Simulation) Report() (*Report, error) {
	out := &s.report
	if out.Claims == 0 {
		return nil, ErrNothing
	}
	for _, r := range []*Result{&out.Present, &out.Proposed} {
		if r.Budget > 0 {
			r.Left = r.Budget - r.Cost - r.Reviewed
		}
	}
	slices.Sort(s.losses)
	out.Losses = Losses{Count: len(s.losses), Quantiles: map[string]claims.Won{}}
	for _, l := range s.losses {
		out.Losses.Sum += l
	}
	if n := len(s.losses); n > 0 {
		for _, q := range quantiles {
			out.Losses.Quantiles[fmt.Sprintf("p%d", q)] = s.losses[(n*q+99)/100-1] // nearest rank
		}
	}
	out.Losses.Histogram = histogram(s.losses)
	return out, nil
}

// histogram counts sorted losses, without the empty bins at both ends.
func histogram(losses []claims.Won) []Bin {
	out := []Bin{}
	for i, from := range bins {
		b := Bin{From: from}
		first, _ := slices.BinarySearch(losses, from)
		last := len(losses)
		if i+1 < len(bins) {
			b.Below = bins[i+1]
			last, _ = slices.BinarySearch(losses, b.Below)
		}
		if b.Count = last - first; b.Count > 0 || len(out) > 0 && last < len(losses) {
			out = append(out, b)
		}
	}
	return out
}
