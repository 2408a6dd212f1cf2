package store

import (
	"context"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// InCouncil is the council itself, which decides by the votes of its members.
var InCouncil = Actor{Name: "council", Duty: claims.CouncilDuty}

// Voted is what an entry says about an item of the council.
type Voted struct {
	Meeting int           `json:"meeting"`
	Item    int           `json:"item"`
	Motion  *vote.Motion  `json:"motion,omitempty"`
	Member  string        `json:"member,omitempty"` // who votes, or is recused
	Choice  vote.Choice   `json:"choice,omitempty"`
	Outcome *vote.Outcome `json:"outcome,omitempty"`
	Closed  string        `json:"closed_by,omitempty"` // who had it counted
}

// Shown is a document that the council may read: as it is, or another one in its place, in which what it must not see is
// blackened.
type Shown struct {
	Document string `json:"document"`     // digest of what the owner sent
	As       string `json:"as,omitempty"` // digest of what the council reads; empty: nothing any more
}

// vote notes what an entry says about the council.
func (c *Claim) vote(e *Entry) {
	v := e.Change.Voted
	switch {
	case v == nil:
		if c.Item != nil && e.From != e.To { // the claim has left the council, and the motion with it
			c.end(e, nil)
		}
	case e.Action == claims.PutOnAgenda && v.Motion != nil:
		c.Item = &vote.Item{Meeting: v.Meeting, Number: v.Item, Motion: *v.Motion, Why: e.Reason}
	case c.Item == nil: // prove says so
	case e.Action == claims.Vote, e.Action == claims.Recuse:
		item := *c.Item // others may have the claim as it was
		if e.Action == claims.Vote {
			item.Vote(vote.Ballot{Member: v.Member, Choice: v.Choice, Why: e.Reason})
		} else {
			item.Recuse(vote.Recusal{Member: v.Member, Why: e.Reason})
		}
		c.Item = &item
	case v.Outcome != nil:
		c.end(e, v.Outcome)
	}
}

func (c *Claim) end(e *Entry, o *vote.Outcome) {
	item := *c.Item
	item.Outcome, item.Ended, item.At = o, e.Action, e.At
	c.Items, c.Item = append(slices.Clip(c.Items), item), nil
}

// show notes what the council may read.
func (c *Claim) show(s *Shown) {
	c.Shown = slices.DeleteFunc(slices.Clone(c.Shown), func(was Shown) bool { return was.Document == s.Document })
	if s.As != "" {
		c.Shown = append(c.Shown, *s)
	}
}

// ShownAs is the document that the council reads in the place of one of the owner's; empty: none.
func (c *Claim) ShownAs(document string) string {
	for _, s := range c.Shown {
		if s.Document == document {
			return s.As
		}
	}
	return ""
}

// CouncilDecided reports whether the council decided a claim.
func (c *Claim) CouncilDecided() bool {
	return slices.ContainsFunc(c.Items, func(i vote.Item) bool { return i.Outcome != nil && i.Outcome.Carried })
}

// Barred says why the rules recuse a member from deciding a claim; empty: they do not. Nobody decides his own claim, one that he
// entered or had another hand in, or an objection to what he voted on.
func (c *Claim) Barred(seat *vote.Seat) string {
	if slices.Contains(seat.Businesses, c.Unit) {
		return vote.BarredOwn
	}
	if grant.SamePerson(seat.Name, c.EnteredBy) {
		return vote.BarredEntered
	}
	for _, h := range c.Hands {
		if h.Duty != claims.CouncilDuty && grant.SamePerson(h.Name, seat.Name) {
			return vote.BarredHand
		}
	}
	if c.State != claims.ObjectionBeforeCouncil {
		return ""
	}
	for i := range c.Items {
		o := c.Items[i].Outcome
		if o == nil || !o.Carried {
			continue
		}
		for _, b := range o.Ballots {
			if b.Choice != "" && grant.SamePerson(b.Member, seat.Name) {
				return vote.BarredVoted
			}
		}
	}
	return ""
}

// CouncilRecord is what a record says about a council; one field is there.
type CouncilRecord struct {
	Joins    *vote.Seat  `json:"joins,omitempty"`
	Leaves   string      `json:"leaves,omitempty"`
	Calls    *Called     `json:"calls,omitempty"`
	Attends  *Attendance `json:"attends,omitempty"`
	Item     *OnAgenda   `json:"item,omitempty"`
	Adjourns int         `json:"closes,omitempty"` // the meeting that is closed
}

// Called is a meeting that is to come.
type Called struct {
	Meeting int       `json:"meeting"`
	At      time.Time `json:"at"`
	Place   string    `json:"place"`
}

// Attendance is who is at a meeting. The last one counts, for the votes from then on.
type Attendance struct {
	Meeting int      `json:"meeting"`
	Chair   string   `json:"chair"`
	Present []string `json:"present"` // the chair included
}

// OnAgenda is an item of a meeting, and the claim that it is about.
type OnAgenda struct {
	Meeting int    `json:"meeting"`
	Item    int    `json:"item"`
	Claim   string `json:"claim"`
}

// Council is who is on a programme's council, and its meetings, as records say.
type Council struct {
	Members  []Member  `json:"members"`
	Meetings []Meeting `json:"meetings"`
}

// Member is a seat, since when, and until when.
type Member struct {
	vote.Seat

	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// Meeting of a council.
type Meeting struct {
	Called

	CalledBy string     `json:"called_by"`
	Chair    string     `json:"chair,omitempty"`
	Present  []string   `json:"present"`
	Noted    int        `json:"noted,omitempty"` // number of the record that says who is present; 0: none does
	NotedBy  string     `json:"noted_by,omitempty"`
	Items    []OnAgenda `json:"items"`
	ClosedAt time.Time  `json:"closed_at,omitzero"`
	ClosedBy string     `json:"closed_by,omitempty"`
}

// Council returns that of a programme.
func (s *Store) Council(ctx context.Context, programme string) (*Council, error) {
	list, err := s.Records(ctx, programme)
	if err != nil {
		return nil, err
	}
	return councilOf(list), nil
}

func councilOf(list []Record) *Council {
	c := &Council{Members: []Member{}, Meetings: []Meeting{}}
	for i := range list {
		c.apply(&list[i])
	}
	return c
}

func (c *Council) apply(r *Record) {
	change := r.Change.Council
	if change == nil {
		return
	}
	switch {
	case change.Joins != nil:
		c.Members = append(c.Members, Member{Seat: *change.Joins, Since: r.At})
	case change.Leaves != "":
		if m := c.member(change.Leaves); m != nil {
			m.Until = r.At
		}
	case change.Calls != nil:
		c.Meetings = append(c.Meetings, Meeting{
			Called: *change.Calls, CalledBy: r.By.Name, Present: []string{}, Items: []OnAgenda{},
		})
	case change.Attends != nil:
		if m, err := c.Meeting(change.Attends.Meeting); err == nil {
			m.Chair, m.Present = change.Attends.Chair, change.Attends.Present
			m.Noted, m.NotedBy = r.Number, r.By.Name
		}
	case change.Item != nil:
		if m, err := c.Meeting(change.Item.Meeting); err == nil {
			m.Items = append(m.Items, *change.Item)
		}
	default:
		if m, err := c.Meeting(change.Adjourns); err == nil {
			m.ClosedAt, m.ClosedBy = r.At, r.By.Name
		}
	}
}

// member is who has a seat now, by name; nil: nobody of that name has.
func (c *Council) member(name string) *Member {
	for i := range c.Members {
		if m := &c.Members[i]; m.Until.IsZero() && grant.SamePerson(m.Name, name) {
			return m
		}
	}
	return nil
}

// Seat returns the seat that somebody has now.
func (c *Council) Seat(name string) (vote.Seat, bool) {
	if m := c.member(name); m != nil {
		return m.Seat, true
	}
	return vote.Seat{}, false
}

// Known is the seat that somebody has or had last, as minutes show it.
func (c *Council) Known(name string) vote.Seat {
	for _, m := range slices.Backward(c.Members) {
		if grant.SamePerson(m.Name, name) {
			return m.Seat
		}
	}
	return vote.Seat{Name: name}
}

// Meeting returns a meeting by its number.
func (c *Council) Meeting(number int) (*Meeting, error) {
	if number < 1 || number > len(c.Meetings) {
		return nil, claims.Illegal("there is no meeting %d of the council", number)
	}
	return &c.Meetings[number-1], nil
}

// Attending are the members who are at a meeting.
func (c *Council) Attending(m *Meeting) (out []vote.Seat) {
	for _, name := range m.Present {
		if seat, ok := c.Seat(name); ok {
			out = append(out, seat)
		}
	}
	return out
}

// Attends reports whether somebody is at a meeting.
func (m *Meeting) Attends(name string) bool {
	return slices.ContainsFunc(m.Present, func(p string) bool { return grant.SamePerson(p, name) })
}
