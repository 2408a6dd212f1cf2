package council

import (
	"context"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
)

// Now is a programme's council: who is on it, how it decides, and its meetings.
type Now struct {
	Programme string         `json:"programme"`
	Title     string         `json:"title"`
	Rules     claims.Council `json:"rules"`
	Members   []Seated       `json:"members"`
	Meetings  []Brief        `json:"meetings"` // the oldest first
}

// Seated is who has or had a seat.
type Seated struct {
	Attendee

	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// Brief is a meeting in one line.
type Brief struct {
	Meeting  int       `json:"meeting"`
	At       time.Time `json:"at"`
	Place    string    `json:"place"`
	Chair    string    `json:"chair,omitempty"`
	Present  int       `json:"present"`
	Items    int       `json:"items"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
	ClosedBy string    `json:"closed_by,omitempty"`
}

// Is returns a programme's council, which it must have.
func Is(ctx context.Context, s *store.Store, p *claims.Programme) (*Now, error) {
	all, err := s.Council(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	out := &Now{Programme: p.Name, Title: p.Title, Rules: *p.Council, Members: []Seated{}, Meetings: []Brief{}}
	for i := range all.Members {
		m := &all.Members[i]
		out.Members = append(out.Members, Seated{attendee(m.Seat), m.Since, m.Until})
	}
	for i := range all.Meetings {
		m := &all.Meetings[i]
		out.Meetings = append(out.Meetings, Brief{
			m.Meeting, m.At, m.Place, m.Chair, len(m.Present), len(m.Items), m.ClosedAt, m.ClosedBy,
		})
	}
	return out, nil
}

// Case is an item with what the council sees of its claim.
type Case struct {
	Programme string `json:"programme"`
	Item

	Business  string        `json:"business"` // with the last half of the number masked
	Received  time.Time     `json:"received"`
	Facts     claims.Facts  `json:"facts"`
	Steps     []claims.Step `json:"steps"` // why it is this loss
	Documents []Document    `json:"documents"`
	Before    []Done        `json:"before"` // the oldest first
	Reader    *Ballot       `json:"reader,omitempty"`
}

// Document is one that the owner sent.
type Document struct {
	Kind     string `json:"kind"`
	Digest   string `json:"digest,omitempty"`   // of what the council reads; empty: it reads nothing of it
	Redacted bool   `json:"redacted,omitempty"` // and that is not what the owner sent
}

// Done is a step that was taken before, and in which duty: the council is not told who.
type Done struct {
	At     time.Time     `json:"at"`
	Action claims.Action `json:"action"`
	State  claims.State  `json:"state"` // after it
	Duty   claims.Duty   `json:"duty"`
	Why    string        `json:"why,omitempty"`
}

// Ballot is what the member who reads may do about an open item.
type Ballot struct {
	May    bool        `json:"may_vote"`
	Why    string      `json:"why_not,omitempty"`
	Choice vote.Choice `json:"choice,omitempty"` // what the member has voted
}

// Masked is a business number of which the last half is nobody's to see.
func Masked(unit claims.BusinessNumber) string {
	s := unit.String()
	return s[:len(s)-5] + "*****"
}

// Sees reports whether the council is told of an entry: of what was decided about the claim, and not of what its owner did.
func Sees(e *store.Entry) bool {
	return (e.From != e.To || e.Action == claims.Adjourn) && e.By.Duty != claims.Owner
}

// CaseOf is an item with what the council sees of its claim, of which history and documents are given. Reader is the member who
// reads it; empty: somebody else.
func CaseOf(
	p *claims.Programme, all *store.Council, i *Item, history []store.Entry, kept []store.Kept, reader string,
) *Case {
	c := store.Fold(history)
	out := &Case{
		Programme: p.Name, Item: *i, Business: Masked(c.Unit), Received: c.Received, Facts: c.Facts,
		Steps: []claims.Step{}, Documents: []Document{}, Before: []Done{},
	}
	if c.Assessment != nil {
		out.Steps = c.Assessment.Steps
	}
	for k := range kept {
		doc := &kept[k]
		if doc.Redacts != "" {
			continue
		}
		as := c.ShownAs(doc.Digest)
		out.Documents = append(out.Documents, Document{doc.Kind, as, as != "" && as != doc.Digest})
	}
	for k := range history {
		if e := &history[k]; Sees(e) {
			out.Before = append(out.Before, Done{e.At, e.Action, e.To, e.By.Duty, e.Reason})
		}
	}
	if reader == "" || !i.Open {
		return out
	}
	out.Reader = &Ballot{}
	if err := all.MayVote(c, i.Meeting, i.Number, reader); err != nil {
		out.Reader.Why = strings.TrimPrefix(err.Error(), claims.ErrIllegal.Error()+": ")
	} else {
		out.Reader.May = true
	}
	if seat, has := all.Seat(reader); has && c.Item != nil {
		for _, v := range c.Item.Votes {
			if v.Member == seat.Name {
				out.Reader.Choice = v.Choice
			}
		}
	}
	return out
}
