// Package aloud says in sentences what a programme means, for people to compare with what was promised.
package aloud

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Programme says a programme, a sentence on each line. Number shows an amount.
func Programme(p *claims.Programme, number func(int64) string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+".\n", args...) }
	won := func(w claims.Won) string { return number(int64(w)) + " won" }
	say("The outage: %s to %s. All days and times are those of %s", p.Outage.From, p.Outage.Through, p.Zone)
	for _, w := range p.Windows {
		say("Window %s (%s): from %s, closed from %s on",
			w.Name, w.Kind, p.Format(w.Opens), p.Format(w.Closes.Truncate(time.Second)))
	}
	for _, s := range p.Stagger {
		say("On %s only businesses hand in whose number ends in %s", s.On, strings.Trim(fmt.Sprint(s.Digits), "[]"))
	}
	switch p.Loss.Weeks {
	case claims.ReportedLoss:
		say("The sales loss is what the owner reports")
	case claims.MeanWeek:
		say("The sales loss is the mean week of %s to %s, less the sales of the outage",
			p.Loss.Baseline.From, p.Loss.Baseline.Through)
	default:
		say("The sales loss is the highest week of %s to %s, less the sales of the outage",
			p.Loss.Baseline.From, p.Loss.Baseline.Through)
	}
	rates := make([]string, 0, len(p.Assessment.ProfitRates))
	for _, industry := range slices.Sorted(maps.Keys(p.Assessment.ProfitRates)) {
		rates = append(rates, industry+" "+share(p.Assessment.ProfitRates[industry]))
	}
	own := ""
	if p.Assessment.OwnRate {
		own = ", or the owner's own with evidence"
	}
	say("The assessed loss is the sales loss × operating profit (%s%s%s) × %s, the company's share of the service; "+
		"× %s when another service was available; rounded %s to whole won",
		join(rates), "all others "+share(p.Assessment.DefaultRate), own, share(p.Assessment.ServiceShare),
		share(p.Assessment.Alternative), p.Assessment.Rounding)
	say("Tiers are by %s. A loss of 0 or less is declined", p.Tiers.Basis)
	for i := range p.Tiers.Table {
		t := &p.Tiers.Table[i]
		what := won(t.Pay)
		if t.Review {
			what = "reviewed by people"
		}
		documents := "no document"
		if len(t.Documents) > 0 {
			documents = strings.Join(t.Documents, ", ")
		}
		say("Tier %d: %s: %s; %s", i+1, p.Tiers.Span(i, won), what, documents)
	}
	e := &p.Eligibility
	if e.OpenedBefore != "" {
		say("The business opened before %s", e.OpenedBefore)
	}
	if e.ClosedBefore != "" {
		say("It had not closed before %s", e.ClosedBefore)
	}
	for _, industry := range slices.Sorted(maps.Keys(e.ExcludedIndustries)) {
		say("Excluded: %s (%s)", industry, e.ExcludedIndustries[industry])
	}
	if p.Budget > 0 {
		say("All payments together: at most %s; then payment stops and asks", won(p.Budget))
	}
	if p.Cap > 0 {
		say("One claim: at most %s", won(p.Cap))
	}
	if p.SecondPerson > 0 {
		say("From %s on a second person approves", won(p.SecondPerson))
	}
	council(p.Council, say, won)
	say("%s of the approved claims get a second look; %s tax is withheld",
		share(big.NewRat(int64(p.SecondLook), 1_000_000)), share(big.NewRat(int64(p.Withheld), 1_000_000)))
	return b.String()
}

// council says who decides together, and how.
func council(c *claims.Council, say func(string, ...any), won func(claims.Won) string) {
	if c == nil {
		return
	}
	majority := "more than half"
	if c.Majority == claims.TwoThirds {
		majority = "two thirds"
	}
	say("The council (%s) decides reviews of an assessed loss from %s on, and nobody else does; smaller ones when it is asked",
		words(c.Affiliations), won(c.From))
	say("It decides when at least %d members of at least %d affiliations are there who may vote, and %s of them are for it. "+
		"A tie carries nothing, and a recused member does not count", c.Quorum, c.Present, majority)
	say("A meeting is chaired by a member of: %s", words(c.Chair))
	say("It pays at most the %s", strings.ReplaceAll(string(c.AtMost), "_", " "))
	if c.Objections == claims.CouncilDuty {
		say("Objections to what it decided are decided by the council, without those who voted before")
		return
	}
	say("Objections to what it decided are decided by an approver")
}

func words(list []claims.Affiliation) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

func join(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, ", ") + ", "
}

// share shows a fraction as the percentage that it was written as.
func share(r *big.Rat) string {
	s := new(big.Rat).Mul(r, big.NewRat(100, 1)).FloatString(4)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + "%"
}
