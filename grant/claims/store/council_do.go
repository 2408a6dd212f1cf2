package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/resident"
)

// ofCouncil adds what judge makes of the council as it is, while nobody else can change it. The secretary does.
func (s *Store) ofCouncil(
	ctx context.Context, p *claims.Programme, by Actor, why string, judge func(*Council, time.Time) (CouncilRecord, error),
) (*Council, error) {
	if p.Council == nil {
		return nil, claims.Illegal("programme %s has no council", p.Name)
	}
	if by.Duty != claims.Secretary {
		return nil, claims.Illegal("the council's business is the secretary's, not that of %s", by.Duty)
	}
	var after *Council
	r, err := s.addRecord(ctx, p.Name, Record{By: by, Kind: RecordCouncil, Why: why},
		func(before []Record, at time.Time) (Recorded, error) {
			after = councilOf(before)
			change, err := judge(after, at)
			return Recorded{Council: &change}, err
		})
	if err != nil {
		return nil, err
	}
	after.apply(&r)
	return after, nil
}

// Join gives somebody a seat on the council.
func (s *Store) Join(ctx context.Context, p *claims.Programme, seat vote.Seat, by Actor, why string) (*Council, error) {
	return s.ofCouncil(ctx, p, by, why, func(c *Council, _ time.Time) (CouncilRecord, error) {
		seat.Name, seat.Shown = strings.TrimSpace(seat.Name), strings.TrimSpace(seat.Shown)
		_, has := c.Seat(seat.Name)
		if err := refuseResident("the name", seat.Name+" "+seat.Shown); err != nil {
			return CouncilRecord{}, err
		}
		switch {
		case seat.Name == "" || len(seat.Name) > maxName || len(seat.Shown) > maxName:
			return CouncilRecord{}, claims.Illegal("say by which name the member signs in, in at most %d bytes", maxName)
		case grant.SamePerson(seat.Name, InCouncil.Name):
			return CouncilRecord{}, claims.Illegal("%s is the name of the council itself", InCouncil.Name)
		case has:
			return CouncilRecord{}, claims.Illegal("%s has a seat already", seat.Name)
		case !slices.Contains(p.Council.Affiliations, seat.Affiliation):
			return CouncilRecord{}, claims.Illegal("%.40q is no affiliation of the programme: possible are %s", seat.Affiliation,
				claims.List[claims.Affiliation](p.Council.Affiliations))
		}
		return CouncilRecord{Joins: &seat}, nil
	})
}

// refuseResident keeps what may be the number of a person out of records, which are for good.
func refuseResident(field, text string) error {
	if err := resident.Refuse(field, text, true); err != nil {
		return claims.Illegal("%w", err)
	}
	return nil
}

// maxName is the longest name, in bytes.
const maxName = 300

// Leave takes somebody's seat away. What the member voted before stays.
func (s *Store) Leave(ctx context.Context, p *claims.Programme, name string, by Actor, why string) (*Council, error) {
	return s.ofCouncil(ctx, p, by, why, func(c *Council, _ time.Time) (CouncilRecord, error) {
		seat, has := c.Seat(name)
		if !has {
			return CouncilRecord{}, claims.Illegal("%.40q has no seat on the council", name)
		}
		return CouncilRecord{Leaves: seat.Name}, nil
	})
}

// CallMeeting calls a meeting, which has the next number.
func (s *Store) CallMeeting(
	ctx context.Context, p *claims.Programme, at time.Time, place string, by Actor, why string,
) (*Meeting, error) {
	c, err := s.ofCouncil(ctx, p, by, why, func(c *Council, _ time.Time) (CouncilRecord, error) {
		if strings.TrimSpace(place) == "" || len(place) > maxName || at.IsZero() {
			return CouncilRecord{}, claims.Illegal("say when and where the council meets")
		}
		if err := refuseResident("the place", place); err != nil {
			return CouncilRecord{}, err
		}
		called := Called{Meeting: len(c.Meetings) + 1, At: at.UTC(), Place: strings.TrimSpace(place)}
		return CouncilRecord{Calls: &called}, nil
	})
	if err != nil {
		return nil, err
	}
	return &c.Meetings[len(c.Meetings)-1], nil
}

// Attend notes who is at a meeting, and who chairs it. It can be noted again while the meeting goes on: what counts for a
// motion is who is there when it is counted. Seen is Meeting.Noted as whoever notes it has read it: it fails with
// claims.ErrIllegal when it was noted since; nil: whatever was noted before.
func (s *Store) Attend(
	ctx context.Context, p *claims.Programme, a Attendance, seen *int, by Actor, why string,
) (*Meeting, error) {
	c, err := s.ofCouncil(ctx, p, by, why, func(c *Council, _ time.Time) (CouncilRecord, error) {
		m, err := c.going(a.Meeting)
		if err != nil {
			return CouncilRecord{}, err
		}
		if seen != nil && *seen != m.Noted {
			return CouncilRecord{}, claims.Illegal("%s noted who is at meeting %d since you looked: look again", m.NotedBy,
				a.Meeting)
		}
		noted := Attendance{Meeting: a.Meeting, Present: []string{}}
		for _, name := range a.Present {
			seat, has := c.Seat(name)
			if !has {
				return CouncilRecord{}, claims.Illegal("%.40q has no seat on the council", name)
			}
			if !slices.Contains(noted.Present, seat.Name) {
				noted.Present = append(noted.Present, seat.Name)
			}
		}
		chair, has := c.Seat(a.Chair)
		switch {
		case !has || !slices.Contains(noted.Present, chair.Name):
			return CouncilRecord{}, claims.Illegal("%.40q is not there, and cannot chair the meeting", a.Chair)
		case !slices.Contains(p.Council.Chair, chair.Affiliation):
			return CouncilRecord{}, claims.Illegal("%s speaks for %s, and a meeting is chaired by a member of: %s", chair.Name,
				chair.Affiliation, claims.List[claims.Affiliation](p.Council.Chair))
		}
		noted.Chair = chair.Name
		return CouncilRecord{Attends: &noted}, nil
	})
	if err != nil {
		return nil, err
	}
	return c.Meeting(a.Meeting)
}

// going returns a meeting that is not closed.
func (c *Council) going(number int) (*Meeting, error) {
	m, err := c.Meeting(number)
	if err == nil && !m.ClosedAt.IsZero() {
		err = claims.Illegal("meeting %d was closed by %s: call another one", number, m.ClosedBy)
	}
	return m, err
}

// CloseMeeting closes a meeting. Every item must have been counted, or its claim have left the council.
func (s *Store) CloseMeeting(ctx context.Context, p *claims.Programme, number int, by Actor, why string) (*Meeting, error) {
	if by.Duty != claims.Secretary {
		return nil, claims.Illegal("meetings are closed by the secretary, not by %s", by.Duty)
	}
	if by.Name == "" || why == "" {
		return nil, claims.Illegal("say who it is, and why")
	}
	var after *Council
	err := s.begin(ctx, func(c *commit) error {
		before, err := records(ctx, c.tx, p.Name)
		if err != nil {
			return err
		}
		after = councilOf(before)
		m, err := after.going(number)
		if err != nil {
			return err
		}
		for _, i := range m.Items {
			claim, err := c.read(i.Claim)
			if err != nil {
				return err
			}
			if claim.Item != nil && claim.Item.Meeting == number {
				return claims.Illegal("item %d (claim %s) has not been counted: close it first", i.Item, i.Claim)
			}
		}
		r := Record{By: by, Kind: RecordCouncil, Why: why, Change: Recorded{Council: &CouncilRecord{Adjourns: number}}}
		if err := c.record(p.Name, before, &r); err != nil {
			return err
		}
		after.apply(&r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return after.Meeting(number)
}

// read returns a claim as it is, while nobody else can change it.
func (c *commit) read(id string) (*Claim, error) {
	found, err := c.store.historiesOf(c.ctx, c.tx, []string{id})
	if err != nil {
		return nil, err
	}
	if len(found[id]) == 0 {
		return nil, fmt.Errorf("claim %s: %w", id, ErrNotFound)
	}
	return Fold(found[id]), nil
}

// atCouncil runs work with a claim before the council and the council as they are, while nobody else can change either.
func (s *Store) atCouncil(
	ctx context.Context, p *claims.Programme, id string, work func(*commit, *Claim, *Council, []Record) error,
) (*Claim, error) {
	if p.Council == nil {
		return nil, claims.Illegal("programme %s has no council", p.Name)
	}
	var claim *Claim
	return claim, s.begin(ctx, func(c *commit) error {
		before, err := records(ctx, c.tx, p.Name)
		if err != nil {
			return err
		}
		if claim, err = c.read(id); err != nil {
			return err
		}
		if claim.Programme != p.Name {
			return fmt.Errorf("claim %s: %w", id, ErrNotFound)
		}
		return work(c, claim, councilOf(before), before)
	})
}

// PutOnAgenda moves something about a claim: from now on members vote on it. Why is what the owner is told when it is carried.
func (s *Store) PutOnAgenda(
	ctx context.Context, p *claims.Programme, id string, meeting int, m vote.Motion, by Actor, why string,
) (*Claim, error) {
	return s.atCouncil(ctx, p, id, func(c *commit, claim *Claim, council *Council, before []Record) error {
		at, err := council.going(meeting)
		if err != nil {
			return err
		}
		if claim.Item != nil {
			return claims.Illegal(
				"claim %s is item %d of meeting %d: have that counted first",
				id,
				claim.Item.Number,
				claim.Item.Meeting,
			)
		}
		if err := c.move(p, claim, &m); err != nil {
			return fmt.Errorf("claim %s: %w", id, err)
		}
		item := OnAgenda{Meeting: meeting, Item: len(at.Items) + 1, Claim: id}
		step := Step{Claim: claim, Action: claims.PutOnAgenda, By: by, Reason: why,
			Change: Change{Voted: &Voted{Meeting: meeting, Item: item.Item, Motion: &m}}}
		if err := c.step(&step); err != nil {
			return err
		}
		return c.record(p.Name, before, &Record{By: by, Kind: RecordCouncil, Why: why,
			Change: Recorded{Council: &CouncilRecord{Item: &item}}})
	})
}

// move refuses a motion that the programme, or what is left of the budget, does not allow.
func (c *commit) move(p *claims.Programme, claim *Claim, m *vote.Motion) error {
	left := claims.Won(-1)
	if p.Budget > 0 {
		var budget, promised claims.Won // the budget may be another one than that of the rules
		if err := c.tx.QueryRowContext(c.ctx, "SELECT budget, (SELECT CAST(COALESCE(SUM(owed), 0) AS BIGINT) FROM claims "+
			"WHERE programme = $1 AND id <> $2) FROM programmes WHERE name = $1", p.Name, claim.ID).
			Scan(&budget, &promised); err != nil {
			return err
		}
		left = max(budget-promised, 0)
	}
	return m.Check(p, claim.State, claim.Assessment, left)
}

// VoteOn is what a member votes on an item.
type VoteOn struct {
	Claim         string
	Meeting, Item int // those that the member has read
	Choice        vote.Choice
	Why           string
}

// Vote gives a member's vote; until the item is counted the last one counts. Members may vote at the same time.
func (s *Store) Vote(ctx context.Context, p *claims.Programme, v VoteOn, by Actor) (*Claim, error) {
	if !slices.Contains(vote.Choices(), v.Choice) {
		return nil, claims.Illegal("%.40q is no vote: possible are %s", v.Choice, claims.List[vote.Choice](vote.Choices()))
	}
	return s.atCouncil(ctx, p, v.Claim, func(c *commit, claim *Claim, council *Council, _ []Record) error {
		seat, err := council.mayVote(claim, v.Meeting, v.Item, by.Name)
		if err != nil {
			return err
		}
		return c.step(&Step{Claim: claim, Action: claims.Vote, By: by, Reason: v.Why, Change: Change{Voted: &Voted{
			Meeting: claim.Item.Meeting, Item: claim.Item.Number, Member: seat.Name, Choice: v.Choice,
		}}})
	})
}

// MayVote refuses a vote of somebody on an item of a claim, or says nothing: it could be given now.
func (c *Council) MayVote(claim *Claim, meeting, item int, name string) error {
	_, err := c.mayVote(claim, meeting, item, name)
	return err
}

// mayVote returns the seat of a member who may vote on an item of a claim now.
func (c *Council) mayVote(claim *Claim, meeting, item int, name string) (vote.Seat, error) {
	seat, err := c.onItem(claim, meeting, item, name)
	if err != nil {
		return seat, err
	}
	m, err := c.going(meeting)
	if err != nil {
		return seat, err
	}
	if !m.Attends(name) {
		return seat, claims.Illegal("%s is not among those at meeting %d: the secretary notes who is there", name, meeting)
	}
	if r, is := claim.Item.IsRecused(seat.Name); is {
		return seat, claims.Illegal("%s is recused: %s", name, r.Why)
	}
	if why := claim.Barred(&seat); why != "" {
		return seat, claims.Illegal("%s has no vote on this: %s", name, why)
	}
	return seat, nil
}

// onItem returns the seat of a member, if an item is the one that is voted on.
func (c *Council) onItem(claim *Claim, meeting, item int, name string) (vote.Seat, error) {
	seat, has := c.Seat(name)
	switch now := claim.Item; {
	case !has:
		return seat, claims.Illegal("%.40q has no seat on the council", name)
	case now == nil || now.Meeting != meeting || now.Number != item:
		return seat, claims.Illegal(
			"item %d of meeting %d has been counted, or is about another claim: nobody votes on it any more",
			item,
			meeting,
		)
	}
	return seat, nil
}

// RecuseFrom takes a member off an item, who then counts neither as a vote nor for the quorum. Members do so themselves; the
// secretary does so for one who says so at the meeting.
func (s *Store) RecuseFrom(ctx context.Context, p *claims.Programme, v VoteOn, member string, by Actor) (*Claim, error) {
	if by.Duty == claims.CouncilDuty && !grant.SamePerson(member, by.Name) {
		return nil, claims.Illegal("members recuse themselves: %s cannot do so for %s", by.Name, member)
	}
	return s.atCouncil(ctx, p, v.Claim, func(c *commit, claim *Claim, council *Council, _ []Record) error {
		seat, err := council.onItem(claim, v.Meeting, v.Item, member)
		if err != nil {
			return err
		}
		if _, is := claim.Item.IsRecused(seat.Name); is {
			return claims.Illegal("%s is recused already", seat.Name)
		}
		return c.step(&Step{Claim: claim, Action: claims.Recuse, By: by, Reason: v.Why, Change: Change{Voted: &Voted{
			Meeting: claim.Item.Meeting, Item: claim.Item.Number, Member: seat.Name,
		}}})
	})
}

// Looked notes that a member has read a claim as the council sees it, from which address, and why.
func (s *Store) Looked(ctx context.Context, p *claims.Programme, id string, by Actor, from, why string) (*Claim, error) {
	return s.atCouncil(ctx, p, id, func(c *commit, claim *Claim, _ *Council, _ []Record) error {
		return c.step(&Step{Claim: claim, Action: Look, By: by, Reason: why, Change: Change{From: from}})
	})
}

// CloseItem counts an item: the motion is carried, and decides the claim, or it is not, and the claim stays before the council.
// The secretary has it counted, or who chairs the meeting.
func (s *Store) CloseItem(ctx context.Context, p *claims.Programme, v VoteOn, by Actor) (*Claim, error) {
	return s.atCouncil(ctx, p, v.Claim, func(c *commit, claim *Claim, council *Council, _ []Record) error {
		item := claim.Item
		if item == nil || item.Meeting != v.Meeting || item.Number != v.Item {
			return claims.Illegal("item %d of meeting %d has been counted already, or is about another claim", v.Item, v.Meeting)
		}
		m, err := council.going(item.Meeting)
		if err != nil {
			return err
		}
		if by.Duty != claims.Secretary && !(by.Duty == claims.CouncilDuty && grant.SamePerson(by.Name, m.Chair)) {
			return claims.Illegal("an item is counted by the secretary or the chair of the meeting (%s), not by %s", m.Chair,
				by.Name)
		}
		o := vote.Count(p.Council, council.Attending(m), item, claim.Barred)
		step := Step{
			Claim:  claim,
			Action: claims.Adjourn,
			By:     InCouncil,
			Reason: o.Says(p.Council),
			Change: Change{Voted: &Voted{
				Meeting: item.Meeting, Item: item.Number, Outcome: &o, Closed: by.Name,
			}},
		}
		if o.Carried {
			if err := c.move(p, claim, &item.Motion); err != nil {
				return fmt.Errorf("claim %s: %w", v.Claim, err)
			}
			carry(&step, item)
		}
		if err := c.mayDecide([]Step{step}); err != nil {
			return err
		}
		return c.step(&step)
	})
}

// carry makes a step what a motion says.
func carry(step *Step, item *vote.Item) {
	step.Action, step.Reason = item.Motion.Action, item.Why
	if item.Motion.Pays() {
		amount := item.Motion.Amount
		step.Change.Owed = &amount
	}
	step.Change.Declined = item.Motion.Declined
}
