package vote

import (
	"slices"

	"github.com/granter/granter/grant/claims"
)

// Motion is one way to decide a claim.
type Motion struct {
	Action   claims.Action `json:"action"`
	Amount   claims.Won    `json:"amount,omitempty"`
	Declined claims.Reason `json:"declined,omitempty"`
}

// Motions are what can be moved about a claim in a state, in the order of the table.
func Motions(s claims.State) (out []claims.Action) {
	for _, t := range claims.Transitions() {
		if t.From == s && s.InCouncil() && t.From != t.To && slices.Equal(t.By, []claims.Duty{claims.CouncilDuty}) {
			out = append(out, t.Action)
		}
	}
	return out
}

// Pays reports whether a motion has an amount.
func (m *Motion) Pays() bool {
	return m.Action == claims.Approve || m.Action == claims.Uphold || m.Action == claims.PartlyUphold
}

// Check refuses what cannot be moved about a claim: what is not for its state, an amount that the programme does not allow, or
// none. Left is what the budget has left for it; negative: there is none to keep to.
func (m *Motion) Check(p *claims.Programme, s claims.State, a *claims.Assessment, left claims.Won) error {
	if p.Council == nil {
		return claims.Illegal("programme %s has no council", p.Name)
	}
	if !slices.Contains(Motions(s), m.Action) {
		return claims.Illegal("%s of a claim in state %s is nothing that the council decides: possible are %s",
			m.Action,
			s,
			claims.List[claims.Action](Motions(s)),
		)
	}
	switch {
	case !m.Pays() && m.Amount != 0:
		return claims.Illegal("an amount is part of a motion to pay only")
	case m.Action == claims.Decline && !slices.Contains(claims.Reasons(), m.Declined):
		return claims.Illegal("say the reason that the owner is told, one of %s",
			claims.List[claims.Reason](claims.Reasons()))
	case m.Action != claims.Decline && m.Declined != "":
		return claims.Illegal("a reason of the list is part of a motion to decline only")
	case !m.Pays():
		return nil
	case m.Amount <= 0:
		return claims.Illegal("say how much: above the tiers no rule does")
	}
	return bounds(p, m.Amount, a, left)
}

// bounds refuses an amount that is more than the programme lets the council pay.
func bounds(p *claims.Programme, amount claims.Won, a *claims.Assessment, left claims.Won) error {
	if a == nil {
		return claims.Illegal("the loss has not been assessed")
	}
	switch {
	case p.Council.AtMost == claims.AtMostSales && amount > a.SalesLoss:
		return claims.Illegal("%d won is more than the sales loss, %d won", amount, a.SalesLoss)
	case p.Council.AtMost != claims.AtMostSales && amount > a.Assessed:
		return claims.Illegal("%d won is more than the assessed loss, %d won", amount, a.Assessed)
	case p.Cap > 0 && amount > p.Cap:
		return claims.Illegal("%d won is more than the %d that one claim is paid at most", amount, p.Cap)
	case left >= 0 && amount > left:
		return claims.Illegal("%d won is more than the %d that nobody has been promised of the budget",
			amount,
			left,
		)
	}
	return nil
}
