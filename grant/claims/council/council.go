// Package council says what a meeting of the council has before it and what it decided: who was there and for whom they
// speak, who was recused, the votes, the decisions and why. It says nothing about who owners are.
package council

import (
	"context"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
)

// Minutes are a meeting: its agenda while it goes on, and its minutes when it is closed.
type Minutes struct {
	Programme string         `json:"programme"`
	Title     string         `json:"title"`
	Rules     claims.Council `json:"rules"`
	Meeting   int            `json:"meeting"`
	At        time.Time      `json:"at"`
	Place     string         `json:"place"`
	CalledBy  string         `json:"called_by"`
	Chair     string         `json:"chair,omitempty"` // as the member signs in
	Present   []Attendee     `json:"present"`
	Absent    []Attendee     `json:"absent"` // of those who have a seat now
	Noted     int            `json:"noted"`  // number of the record that says who is present; 0: none does
	Items     []Item         `json:"items"`
	ClosedAt  time.Time      `json:"closed_at,omitzero"`
	ClosedBy  string         `json:"closed_by,omitempty"`
}

// Claims are the numbers of those that the meeting has before it.
func (m *Minutes) Claims() []string {
	ids := make([]string, len(m.Items))
	for i := range m.Items {
		ids[i] = m.Items[i].Claim
	}
	return ids
}

// Attendee is a member, as minutes have one.
type Attendee struct {
	Name        string             `json:"name"`
	Member      string             `json:"member"` // by which he signs in
	Affiliation claims.Affiliation `json:"affiliation"`
}

// Item is one item of a meeting. Of the claim it has what the council may see.
type Item struct {
	vote.Item

	Claim    string       `json:"claim"`
	State    claims.State `json:"state"` // of the claim, now
	Industry string       `json:"industry"`
	Loss     claims.Won   `json:"sales_loss"`
	Assessed claims.Won   `json:"assessed_loss"`
	Open     bool         `json:"open"` // members vote on it
	Now      *Vote        `json:"now,omitempty"`
}

// Vote is how an open item stands. What members vote is not said before it is counted.
type Vote struct {
	Voted   int `json:"voted"`
	MayVote int `json:"may_vote"`
}

// Of returns a meeting of a programme's council.
func Of(ctx context.Context, s *store.Store, p *claims.Programme, number int) (*Minutes, error) {
	all, err := s.Council(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	m, err := all.Meeting(number)
	if err != nil || p.Council == nil {
		return nil, err
	}
	out := &Minutes{
		Programme: p.Name,
		Title:     p.Title,
		Rules:     *p.Council,
		Meeting:   m.Called.Meeting,
		At:        m.At,
		Place:     m.Place,
		CalledBy:  m.CalledBy,
		Chair:     m.Chair,
		Present:   []Attendee{},
		Absent:    []Attendee{},
		Noted:     m.Noted,
		Items:     []Item{},
		ClosedAt:  m.ClosedAt,
		ClosedBy:  m.ClosedBy,
	}
	for _, name := range m.Present {
		out.Present = append(out.Present, attendee(all.Known(name)))
	}
	for i := range all.Members {
		if member := &all.Members[i]; member.Until.IsZero() && !m.Attends(member.Name) {
			out.Absent = append(out.Absent, attendee(member.Seat))
		}
	}
	ids := make([]string, len(m.Items))
	for i := range m.Items {
		ids[i] = m.Items[i].Claim
	}
	list, err := s.Get(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for i, c := range list {
		out.Items = append(out.Items, itemOf(p, all, m, c, &m.Items[i]))
	}
	return out, nil
}

// ShownAs is what minutes call a member.
func ShownAs(s vote.Seat) string {
	if s.Shown != "" {
		return s.Shown
	}
	return s.Name
}

func attendee(s vote.Seat) Attendee {
	return Attendee{Name: ShownAs(s), Member: s.Name, Affiliation: s.Affiliation}
}

// itemOf is an item of a claim, closed or open.
func itemOf(p *claims.Programme, all *store.Council, m *store.Meeting, c *store.Claim, at *store.OnAgenda) Item {
	out := Item{Claim: c.ID, State: c.State, Industry: c.Facts.Industry}
	if c.Assessment != nil {
		out.Loss, out.Assessed = c.Assessment.SalesLoss, c.Assessment.Assessed
	}
	for _, i := range c.Items {
		if i.Meeting == at.Meeting && i.Number == at.Item {
			out.Item = i
			return out
		}
	}
	if c.Item == nil || c.Item.Meeting != at.Meeting || c.Item.Number != at.Item {
		return out
	}
	out.Item, out.Open = *c.Item, true
	o := vote.Count(p.Council, all.Attending(m), c.Item, c.Barred)
	out.Now = &Vote{Voted: len(o.Ballots) - o.Silent, MayVote: len(o.Ballots)}
	out.Votes = nil // nobody votes by what others did
	out.Recused = o.Recused
	return out
}
