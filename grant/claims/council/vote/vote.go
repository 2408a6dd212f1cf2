// Package vote has the rules by which a council decides, together: who is there and may vote, what can be moved, and what the
// votes come to. Like the rules of claims it is pure, so each count can be made again.
package vote

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Seat is one member of a council.
type Seat struct {
	Name        string                  `json:"name"` // by which the member signs in
	Affiliation claims.Affiliation      `json:"affiliation"`
	Shown       string                  `json:"shown,omitempty"`      // as minutes have it; empty: Name
	Businesses  []claims.BusinessNumber `json:"businesses,omitempty"` // of the member: their claims are decided without him
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
	Member      string             `json:"member"`
	Affiliation claims.Affiliation `json:"affiliation"`
	Choice      Choice             `json:"choice,omitempty"`
	Why         string             `json:"why,omitempty"`
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

	Outcome *Outcome      `json:"outcome,omitempty"` // when it is closed by a count
	Ended   claims.Action `json:"ended,omitempty"`   // what closed it
	At      time.Time     `json:"closed_at,omitzero"`
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
func Count(c *claims.Council, present []Seat, i *Item, barred func(*Seat) string) Outcome {
	var o Outcome
	affiliations := map[claims.Affiliation]bool{}
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
	o.Carried = o.Quorum && carries(c.Majority, o.For, len(o.Ballots))
	return o
}

// Says is an outcome in one sentence, for history.
func (o *Outcome) Says(c *claims.Council) string {
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

// carries reports whether so many votes for a motion, of so many, are a majority.
func carries(m claims.Majority, votes, of int) bool {
	if m == claims.TwoThirds {
		return of > 0 && 3*votes >= 2*of
	}
	return 2*votes > of
}
