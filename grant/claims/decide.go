package claims

import (
	"fmt"
	"slices"
)

// RateEvidence is the document that whoever reckons with an operating profit of his own must send.
const RateEvidence = "proof_of_profit_rate"

// Reason is why a claim is declined.
type Reason string

// The reasons for which rules decline a claim; people have more of their own, and always give a text.
const (
	ReasonNoLoss      Reason = "no_loss"
	ReasonOpenedLater Reason = "opened_after_outage"
	ReasonClosed      Reason = "closed_before_outage"
	ReasonIndustry    Reason = "excluded_industry"
	ReasonExcluded    Reason = "excluded"
	ReasonTwice       Reason = "claimed_before"
	ReasonDocuments   Reason = "documents_missing"
	ReasonOther       Reason = "other"
)

// Reasons are all reasons, in the order in which people choose among them.
func Reasons() []Reason {
	return []Reason{
		ReasonNoLoss,
		ReasonOpenedLater,
		ReasonClosed,
		ReasonIndustry,
		ReasonExcluded,
		ReasonTwice,
		ReasonDocuments,
		ReasonOther,
	}
}

// Proposal is what the rules make of a claim, before any person or signal has a say.
type Proposal struct {
	Tier      int      `json:"tier"` // from 1; 0: none, it is declined
	Pay       Won      `json:"pay"`
	Review    bool     `json:"review"` // people decide the amount
	Documents []string `json:"documents,omitempty"`
	Declined  Reason   `json:"declined,omitempty"`
	Why       string   `json:"why"` // one sentence
	Second    bool     `json:"second_person"`
}

// Propose applies eligibility and the table of tiers.
func (p *Programme) Propose(f *Facts, a *Assessment) Proposal {
	decline := func(r Reason, format string, args ...any) Proposal {
		return Proposal{Declined: r, Why: fmt.Sprintf(format, args...)}
	}
	e := &p.Eligibility
	basis := p.Tiers.basis(a)
	switch why, excluded := e.ExcludedIndustries[f.Industry]; {
	case excluded:
		return decline(ReasonIndustry, "industry %s: %s", f.Industry, why)
	case e.OpenedBefore != "" && f.Opened >= e.OpenedBefore:
		return decline(ReasonOpenedLater, "the business opened on %s, not before %s", f.Opened, e.OpenedBefore)
	case e.ClosedBefore != "" && f.Closed != "" && f.Closed < e.ClosedBefore:
		return decline(ReasonClosed, "the business closed on %s, before %s", f.Closed, e.ClosedBefore)
	case basis <= 0:
		return decline(ReasonNoLoss, "the %s is %d won: nothing was lost", p.Tiers.Basis, basis)
	}
	i := p.Tiers.of(basis)
	t := &p.Tiers.Table[i]
	out := Proposal{Tier: i + 1, Pay: t.Pay, Review: t.Review, Documents: t.Documents, Why: p.Tiers.says(i, basis)}
	if p.Cap > 0 && out.Pay > p.Cap {
		out.Pay = p.Cap
		out.Why += fmt.Sprintf(", and no claim is paid more than %d won", p.Cap)
	}
	// A rate of the owner's own counts where what was assessed does, and only with evidence.
	if f.OwnRate != nil && (out.Review || p.Tiers.Basis == AssessedLoss) && !slices.Contains(out.Documents, RateEvidence) {
		out.Documents = append(slices.Clip(out.Documents), RateEvidence)
	}
	out.Second = p.NeedsSecond(out.Pay)
	return out
}

// NeedsSecond reports whether a second person must approve an amount.
func (p *Programme) NeedsSecond(amount Won) bool {
	return p.SecondPerson > 0 && amount >= p.SecondPerson
}
