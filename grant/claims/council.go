package claims

// Council decides together, in meetings, what the tiers leave to people and is too large for one of them. Each decision is a
// motion about one claim, on which the members vote who are there and not recused.
type Council struct {
	From         Won           `json:"from"` // assessed loss from which on nobody else decides a review
	Affiliations []Affiliation `json:"affiliations"`
	Quorum       int           `json:"quorum"`  // members who are there and may vote on a motion, at least
	Present      int           `json:"present"` // affiliations that they have, at least
	Majority     Majority      `json:"majority"`
	Chair        []Affiliation `json:"chair"`      // of which the chair of a meeting is
	AtMost       Bound         `json:"at_most"`    // of the amount
	Objections   Duty          `json:"objections"` // who decides about objections to what it decided: Approver or CouncilDuty
}

// Affiliation is for whom a member speaks, such as consumers.
type Affiliation string

// Majority is how many of those who are there and may vote must be for a motion. Whoever abstains or does not vote is there
// all the same, so a tie carries nothing.
type Majority string

// The majorities.
const (
	MoreThanHalf Majority = "more_than_half"
	TwoThirds    Majority = "two_thirds"
)

// Bound is what the amount of a council's decision is at most. The cap of a claim and what is left of the budget bound it
// besides.
type Bound string

// The bounds.
const (
	AtMostAssessed Bound = "assessed_loss"
	AtMostSales    Bound = "sales_loss"
)

// Decides reports whether only the council decides a review of a loss: nobody else approves or declines it.
func (c *Council) Decides(a *Assessment) bool { return c != nil && a != nil && a.Assessed >= c.From }

// InCouncil reports whether a claim is before the council.
func (s State) InCouncil() bool { return s == BeforeCouncil || s == ObjectionBeforeCouncil }
