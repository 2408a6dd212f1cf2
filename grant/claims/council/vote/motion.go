package vote

import (
	"fmt"
	"slices"
	"strings"

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
		return fmt.Errorf("%w: programme %s has no council", claims.ErrIllegal, p.Name)
	}
	if !slices.Contains(Motions(s), m.Action) {
		return fmt.Errorf(
			"%w: %s of a claim in state %s is nothing that the council decides: possible are %s",
			claims.ErrIllegal,
			m.Action,
			s,
			words(Motions(s)),
		)
	}
	switch {
	case !m.Pays() && m.Amount != 0:
		return fmt.Errorf("%w: an amount is part of a motion to pay only", claims.ErrIllegal)
	case m.Action == claims.Decline && !slices.Contains(claims.Reasons(), m.Declined):
		return fmt.Errorf("%w: say the reason that the owner is told, one of %s", claims.ErrIllegal, words(claims.Reasons()))
	case m.Action != claims.Decline && m.Declined != "":
		return fmt.Errorf("%w: a reason of the list is part of a motion to decline only", claims.ErrIllegal)
	case !m.Pays():
		return nil
	case m.Amount <= 0:
		return fmt.Errorf("%w: say how much: above the tiers no rule does", claims.ErrIllegal)
	}
	return bounds(p, m.Amount, a, left)
}

// bounds refuses an amount that is more than the programme lets the council pay.
func bounds(p *claims.Programme, amount claims.Won, a *claims.Assessment, left claims.Won) error {
	if a == nil {
		return fmt.Errorf("%w: the loss has not been assessed", claims.ErrIllegal)
	}
	most, what := a.Assessed, "assessed loss"
	if p.Council.AtMost == claims.AtMostSales {
		most, what = a.SalesLoss, "sales loss"
	}
	switch {
	case amount > most:
		return fmt.Errorf("%w: %d won is more than the %s, %d won", claims.ErrIllegal, amount, what, most)
	case p.Cap > 0 && amount > p.Cap:
		return fmt.Errorf("%w: %d won is more than the %d that one claim is paid at most", claims.ErrIllegal, amount, p.Cap)
	case left >= 0 && amount > left:
		return fmt.Errorf(
			"%w: %d won is more than the %d that nobody has been promised of the budget",
			claims.ErrIllegal,
			amount,
			left,
		)
	}
	return nil
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}
