package decide

import (
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// ofCouncil refuses what is the council's to decide, and what is not for it.
func (d *Decision) ofCouncil(p *claims.Programme, c *store.Claim) error {
	again := p.Council != nil && c.CouncilDecided() && p.Council.Objections == claims.CouncilDuty
	switch {
	case d.By.Duty == claims.CouncilDuty:
		return claims.Illegal("the council decides by vote only: granter claims council")
	case d.Action == claims.Refer && p.Council == nil:
		return claims.Illegal("programme %s has no council", p.Name)
	case d.Action == claims.Refer && c.State == claims.Objected && !again:
		return claims.Illegal(
			"an objection is the council's when it decided the claim and the programme says so (objections: council)",
		)
	case c.State == claims.InReview && p.Council.Decides(c.Assessment) &&
		(d.Action == claims.Approve || d.Action == claims.Decline):
		return claims.Illegal("an assessed loss from %d won on is the council's to decide: refer it", p.Council.From)
	case c.State == claims.Objected && again && decides(d.Action):
		return claims.Illegal("the council decided it, and decides about the objection: refer it")
	}
	return nil
}

func decides(a claims.Action) bool {
	return a == claims.Uphold || a == claims.PartlyUphold || a == claims.Reject
}
