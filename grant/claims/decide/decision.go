package decide

import (
	"slices"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// Decision is what a person does with a claim.
type Decision struct {
	Action claims.Action
	By     store.Actor
	Why    string
	Amount *claims.Won   // of an approval or an objection that is upheld; nil: what the rules propose
	Reason claims.Reason // of a declined claim
	To     string        // the colleague to whom a case is handed over
}

// reserved are the actions that are not decided: money moves by payments, and claims are handed in by intake.
var reserved = []claims.Action{
	claims.HandIn, claims.Send, claims.Settle, claims.Return, claims.Draw,
	claims.PutOnAgenda, claims.Vote, claims.Recuse, claims.Adjourn, // by granter claims council
}

// Reserved reports whether an action is not decided by people.
func Reserved(a claims.Action) bool { return slices.Contains(reserved, a) }

// maxTo is the longest name, in bytes.
const maxTo = 300

// Step turns a decision into what is committed. An amount that needs two people is first approved by one, then, for the same
// amount, by another.
func (d *Decision) Step(p *claims.Programme, c *store.Claim) (store.Step, error) {
	s := store.Step{Claim: c, Action: d.Action, By: d.By, Reason: d.Why}
	if err := d.ofCouncil(p, c); err != nil {
		return s, err
	}
	switch d.Action {
	case claims.Approve, claims.Uphold, claims.PartlyUphold:
		amount, err := d.amount(p, c)
		if err != nil {
			return s, err
		}
		if p.NeedsSecond(amount) && c.First == nil {
			if _, err := c.State.Next(d.Action, d.By.Duty, d.Why); err != nil {
				return s, err
			}
			s.Action, s.Change.Approval = store.FirstApproval, &amount
			return s, nil
		}
		if c.First != nil && p.NeedsSecond(amount) && *c.First != amount {
			return s, claims.Illegal(
				"the first of two approved %d won, and this is %d: agree on one, or ask again",
				*c.First, amount)
		}
		s.Change.Owed = &amount
	case claims.Decline:
		if d.Reason == "" {
			d.Reason = claims.ReasonOther
		}
		s.Change.Declined = d.Reason
	case store.HandOver:
		switch {
		case strings.TrimSpace(d.To) == "" || len(d.To) > maxTo:
			return s, claims.Illegal("say to whom it is handed over")
		case strings.TrimSpace(d.Why) == "":
			return s, claims.Illegal("say why it is handed over")
		case c.State.Final():
			return s, claims.Illegal("a claim in state %s needs nobody to see to it", c.State)
		case c.Assigned == d.To:
			return s, claims.Illegal("%s sees to it already", d.To)
		}
		s.Change.Assigned = d.To
	default:
		if Reserved(d.Action) {
			return s, claims.Illegal("%s is not decided: granter claims import, pay and council do it",
				d.Action,
			)
		}
	}
	if d.Amount != nil && s.Change.Owed == nil {
		return s, claims.Illegal("an amount is part of an approval only")
	}
	return s, nil
}

func (d *Decision) amount(p *claims.Programme, c *store.Claim) (claims.Won, error) {
	switch {
	case d.Amount != nil && *d.Amount <= 0:
		return 0, claims.Illegal("%d won is nothing to approve: decline it", *d.Amount)
	case d.Amount != nil && p.Cap > 0 && *d.Amount > p.Cap:
		return 0, claims.Illegal("%d won is more than the %d that one claim is paid at most",
			*d.Amount,
			p.Cap,
		)
	case d.Amount != nil && d.Action == claims.Approve && c.Proposal != nil && !c.Proposal.Review && *d.Amount != c.Proposal.Pay:
		return 0, claims.Illegal("the rules pay %d won for this loss, and no other amount", c.Proposal.Pay)
	case d.Amount != nil:
		return *d.Amount, nil
	case c.Proposal == nil || c.Proposal.Review || c.Proposal.Pay == 0:
		return 0, claims.Illegal("the rules propose no amount: say how much")
	default:
		return c.Proposal.Pay, nil
	}
}
