package claims

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

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

// carries reports whether so many votes for a motion, of so many, are a majority.
func (m Majority) carries(votes, of int) bool {
	if m == TwoThirds {
		return of > 0 && 3*votes >= 2*of
	}
	return 2*votes > of
}

// Bound is what the amount of a council's decision is at most. The cap of a claim and what is left of the budget bound it
// besides.
type Bound string

// The bounds.
const (
	AtMostAssessed Bound = "assessed_loss"
	AtMostSales    Bound = "sales_loss"
)

// Seat is one member of a council.
type Seat struct {
	Name        string           `json:"name"` // by which the member signs in
	Affiliation Affiliation      `json:"affiliation"`
	Shown       string           `json:"shown,omitempty"`      // as minutes have it; empty: Name
	Businesses  []BusinessNumber `json:"businesses,omitempty"` // of the member: their claims are decided without him
}

// Motion is one way to decide a claim.
type Motion struct {
	Action   Action `json:"action"`
	Amount   Won    `json:"amount,omitempty"`
	Declined Reason `json:"declined,omitempty"`
}

// Choice is what a member votes.
type Choice string

// The choices.
const (
	For     Choice = "for"
	Against Choice = "against"
	Abstain Choice = "abstain"
)

// Choices are all of them.
func Choices() []Choice { return []Choice{For, Against, Abstain} }

// Ballot is what one member voted who was there and not recused. No choice: none.
type Ballot struct {
	Member      string      `json:"member"`
	Affiliation Affiliation `json:"affiliation"`
	Choice      Choice      `json:"choice,omitempty"`
	Why         string      `json:"why,omitempty"`
}

// Recusal is why a member has no vote on an item.
type Recusal struct {
	Member string `json:"member"`
	Why    string `json:"why"`
	Rule   bool   `json:"rule,omitempty"` // the rules say so, and nobody had to
}

// Why the rules recuse a member.
const (
	BarredOwn     = "the claim is the member's own"
	BarredEntered = "the member entered the claim"
	BarredHand    = "the member judged or decided the claim before"
	BarredVoted   = "the member voted on what is objected to"
)

// Item is a motion on the agenda of a meeting.
type Item struct {
	Meeting int       `json:"meeting"`
	Number  int       `json:"item"`
	Motion  Motion    `json:"motion"`
	Why     string    `json:"why"` // what the owner is told if it is carried
	Votes   []Ballot  `json:"votes,omitempty"`
	Recused []Recusal `json:"recused,omitempty"`

	Outcome *Outcome  `json:"outcome,omitempty"` // when it is closed by a count
	Ended   Action    `json:"ended,omitempty"`   // what closed it
	At      time.Time `json:"closed_at,omitzero"`
}

// Vote sets what a member votes: one vote for each, and the last one counts.
func (i *Item) Vote(b Ballot) {
	i.Votes = slices.DeleteFunc(slices.Clone(i.Votes), func(was Ballot) bool { return was.Member == b.Member })
	i.Votes = append(i.Votes, b)
}

// Recuse takes a member off an item, with the vote that he gave.
func (i *Item) Recuse(r Recusal) {
	if _, is := i.IsRecused(r.Member); is {
		return
	}
	i.Votes = slices.DeleteFunc(slices.Clone(i.Votes), func(was Ballot) bool { return was.Member == r.Member })
	i.Recused = append(slices.Clip(i.Recused), r)
}

// IsRecused says whether a member is recused, and why.
func (i *Item) IsRecused(member string) (Recusal, bool) {
	at := slices.IndexFunc(i.Recused, func(r Recusal) bool { return r.Member == member })
	if at < 0 {
		return Recusal{}, false
	}
	return i.Recused[at], true
}

// Outcome is what became of a motion: who could vote, and what.
type Outcome struct {
	Ballots      []Ballot  `json:"ballots"` // of all who were there and not recused, by name
	Recused      []Recusal `json:"recused,omitempty"`
	For          int       `json:"for"`
	Against      int       `json:"against"`
	Abstained    int       `json:"abstained"`
	Silent       int       `json:"silent"` // there, and gave no vote
	Affiliations int       `json:"affiliations"`
	Quorum       bool      `json:"quorum"`
	Carried      bool      `json:"carried"`
}

// Count says what becomes of an item. Present are those who are there; barred says why the rules recuse one of them, empty:
// they do not. A recused member counts neither as a vote nor for the quorum.
func (c *Council) Count(present []Seat, i *Item, barred func(*Seat) string) Outcome {
	var o Outcome
	affiliations := map[Affiliation]bool{}
	for _, seat := range present {
		if r, is := i.IsRecused(seat.Name); is {
			o.Recused = append(o.Recused, r)
			continue
		}
		if why := barred(&seat); why != "" {
			o.Recused = append(o.Recused, Recusal{Member: seat.Name, Why: why, Rule: true})
			continue
		}
		b := Ballot{Member: seat.Name}
		for _, v := range i.Votes {
			if v.Member == seat.Name {
				b = v
			}
		}
		b.Affiliation = seat.Affiliation
		affiliations[seat.Affiliation] = true
		switch b.Choice {
		case For:
			o.For++
		case Against:
			o.Against++
		case Abstain:
			o.Abstained++
		default:
			o.Silent++
		}
		o.Ballots = append(o.Ballots, b)
	}
	slices.SortFunc(o.Ballots, func(a, b Ballot) int { return strings.Compare(a.Member, b.Member) })
	slices.SortFunc(o.Recused, func(a, b Recusal) int { return strings.Compare(a.Member, b.Member) })
	o.Affiliations = len(affiliations)
	o.Quorum = len(o.Ballots) >= c.Quorum && o.Affiliations >= c.Present
	o.Carried = o.Quorum && c.Majority.carries(o.For, len(o.Ballots))
	return o
}

// Says is an outcome in one sentence, for history.
func (o *Outcome) Says(c *Council) string {
	votes := fmt.Sprintf("%d for, %d against, %d abstained, %d gave no vote", o.For, o.Against, o.Abstained, o.Silent)
	switch {
	case !o.Quorum:
		return fmt.Sprintf("no quorum: %d members of %d affiliations may vote, and %d of %d are needed",
			len(o.Ballots), o.Affiliations, c.Quorum, c.Present)
	case o.Carried:
		return "carried: " + votes
	default:
		return "not carried: " + votes
	}
}

// Decides reports whether only the council decides a review of a loss: nobody else approves or declines it.
func (c *Council) Decides(a *Assessment) bool { return c != nil && a != nil && a.Assessed >= c.From }

// InCouncil reports whether a claim is before the council.
func (s State) InCouncil() bool { return s == BeforeCouncil || s == ObjectionBeforeCouncil }

// Motions are what can be moved about a claim in a state, in the order of the table.
func Motions(s State) (out []Action) {
	for _, t := range transitions {
		if t.From == s && s.InCouncil() && t.From != t.To && slices.Equal(t.By, byCouncil) {
			out = append(out, t.Action)
		}
	}
	return out
}

// Pays reports whether a motion has an amount.
func (m *Motion) Pays() bool {
	return m.Action == Approve || m.Action == Uphold || m.Action == PartlyUphold
}

// Move refuses what cannot be moved about a claim: what is not for its state, an amount that the programme does not allow, or
// none. Left is what the budget has left for it; negative: there is none to keep to.
func (p *Programme) Move(m *Motion, s State, a *Assessment, left Won) error {
	if p.Council == nil {
		return fmt.Errorf("%w: programme %s has no council", ErrIllegal, p.Name)
	}
	if !slices.Contains(Motions(s), m.Action) {
		return fmt.Errorf(
			"%w: %s of a claim in state %s is nothing that the council decides: possible are %s",
			ErrIllegal,
			m.Action,
			s,
			words(Motions(s)),
		)
	}
	switch {
	case !m.Pays() && m.Amount != 0:
		return fmt.Errorf("%w: an amount is part of a motion to pay only", ErrIllegal)
	case m.Action == Decline && !slices.Contains(Reasons(), m.Declined):
		return fmt.Errorf("%w: say the reason that the owner is told, one of %s", ErrIllegal, words(Reasons()))
	case m.Action != Decline && m.Declined != "":
		return fmt.Errorf("%w: a reason of the list is part of a motion to decline only", ErrIllegal)
	case !m.Pays():
		return nil
	case m.Amount <= 0:
		return fmt.Errorf("%w: say how much: above the tiers no rule does", ErrIllegal)
	}
	return p.bounds(m.Amount, a, left)
}

// bounds refuses an amount that is more than the programme lets the council pay.
func (p *Programme) bounds(amount Won, a *Assessment, left Won) error {
	if a == nil {
		return fmt.Errorf("%w: the loss has not been assessed", ErrIllegal)
	}
	most, what := a.Assessed, "assessed loss"
	if p.Council.AtMost == AtMostSales {
		most, what = a.SalesLoss, "sales loss"
	}
	switch {
	case amount > most:
		return fmt.Errorf("%w: %d won is more than the %s, %d won", ErrIllegal, amount, what, most)
	case p.Cap > 0 && amount > p.Cap:
		return fmt.Errorf("%w: %d won is more than the %d that one claim is paid at most", ErrIllegal, amount, p.Cap)
	case left >= 0 && amount > left:
		return fmt.Errorf(
			"%w: %d won is more than the %d that nobody has been promised of the budget",
			ErrIllegal,
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
