package review

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
)

// What is read and done about the council, by the pages and by the API alike. Whoever reads something of a claim is recorded
// before it is answered; what somebody has no duty for is a claims.ErrIllegal, what is not there a store.ErrNotFound, and what is
// not said as it should be an ErrForm. Nothing was done then.

// AskCouncil returns who is on the council, and its meetings. It says nothing of any claim.
func (d *Desk) AskCouncil(ctx context.Context) (*council.Now, error) {
	if d.Programme.Council == nil {
		return nil, store.ErrNotFound
	}
	return council.Is(ctx, d.Store, d.Programme)
}

// AskMeeting returns a meeting's agenda or minutes and, for the secretary of one that goes on, the claims that can be put before
// it.
func (d *Desk) AskMeeting(ctx context.Context, who *Staff, number int) (*council.Minutes, []*store.Claim, error) {
	m, err := d.readMinutes(ctx, who, number)
	if err != nil || !who.has(claims.Secretary) || !m.ClosedAt.IsZero() {
		return m, nil, err
	}
	waiting, err := d.waiting(ctx)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]string, len(waiting))
	for i := range waiting {
		ids[i] = waiting[i].ID
	}
	return m, waiting, d.Store.Read(ctx, who.Reading(store.ReadList, "", ids...))
}

// readMinutes returns a meeting, and notes who reads it.
func (d *Desk) readMinutes(ctx context.Context, who *Staff, number int) (*council.Minutes, error) {
	m, err := d.minutesOf(ctx, number)
	if err != nil {
		return nil, err
	}
	return m, d.Store.Read(ctx, who.Reading(store.ReadCouncil, "", m.Claims()...))
}

func (d *Desk) minutesOf(ctx context.Context, number int) (*council.Minutes, error) {
	m, err := council.Of(ctx, d.Store, d.Programme, number)
	if errors.Is(err, claims.ErrIllegal) || err == nil && m == nil {
		return nil, store.ErrNotFound
	}
	return m, err
}

// AskItem returns an item of a meeting, with what the council sees of its claim, and what the reader can do about it.
func (d *Desk) AskItem(ctx context.Context, who *Staff, meeting, number int) (*council.Case, error) {
	b, err := d.readItem(ctx, meeting, number)
	if err != nil {
		return nil, err
	}
	if err := d.readsItem(ctx, who, b); err != nil {
		return nil, err
	}
	name := ""
	if who.has(claims.CouncilDuty) {
		name = who.Name
	}
	return council.CaseOf(d.Programme, b.all, b.item, b.history, b.kept, name), nil
}

// readsItem notes who reads an item: of members, history has it. What cannot be recorded is not shown.
func (d *Desk) readsItem(ctx context.Context, who *Staff, b *before) error {
	if !who.has(claims.CouncilDuty) {
		return d.Store.Read(ctx, who.Reading(store.ReadCouncil, "", b.ID))
	}
	why := fmt.Sprintf("item %d of meeting %d of the council", b.item.Number, b.item.Meeting)
	_, err := d.Store.Looked(ctx, d.Programme, b.ID, store.Actor{Name: who.Name, Duty: claims.CouncilDuty}, who.From, why)
	return err
}

// GiveDocument answers with a document as the council reads it, as a download. After an error nothing has been written.
func (d *Desk) GiveDocument(w http.ResponseWriter, r *http.Request, who *Staff, meeting, number int, digest string) error {
	ctx := r.Context()
	b, err := d.readItem(ctx, meeting, number)
	if err != nil {
		return err
	}
	if d.Documents == nil || !slices.ContainsFunc(b.Shown, func(s store.Shown) bool { return s.As == digest }) {
		return store.ErrNotFound
	}
	if !who.has(claims.CouncilDuty) && !who.seesPeople() && !who.has(claims.Secretary) {
		return claims.Illegal(
			"documents are for members of the council, and for those who take claims in, judge or decide")
	}
	doc, data, err := d.Documents.Open(ctx, b.ID, digest)
	if err != nil {
		return err
	}
	duty := claims.CouncilDuty
	if !who.has(duty) {
		duty = who.Duties[0]
	}
	if _, err := d.Store.Looked(ctx, d.Programme, b.ID, store.Actor{Name: who.Name, Duty: duty}, who.From,
		fmt.Sprintf("document %s, as the council reads it", digest[:12])); err != nil { // what cannot be recorded is not shown
		return err
	}
	download(w, b.ID+"-"+doc.Kind+documents.Ending(doc.Type), data)
	return nil
}

// CouncilAct is something that the secretary does. Which fields count depends on Do.
type CouncilAct struct {
	Do  string `json:"do"`
	Why string `json:"why"`

	Name        string             `json:"name,omitempty"` // join, leave: by which the member signs in
	Shown       string             `json:"shown,omitempty"`
	Affiliation claims.Affiliation `json:"affiliation,omitempty"`
	Businesses  []string           `json:"businesses,omitempty"`

	At    string `json:"at,omitempty"` // call: in the programme's zone, such as 2023-03-02T14:00
	Place string `json:"place,omitempty"`

	Meeting int          `json:"meeting,omitempty"` // attend, agenda, close; call sets it
	Chair   string       `json:"chair,omitempty"`
	Present []string     `json:"present,omitempty"`
	Noted   *int         `json:"noted,omitempty"` // attend: that of the meeting, as it was read; nil: whatever it is now
	Claim   string       `json:"claim,omitempty"` // agenda
	Motion  *vote.Motion `json:"motion,omitempty"`
}

// CouncilActs are what the secretary can do.
func CouncilActs() []string { return []string{doJoin, doLeave, doCall, doAttend, doAgenda, doClose} }

// DoSecretary does something that is the secretary's. Act.Meeting is the meeting that it was about; 0: none.
func (d *Desk) DoSecretary(ctx context.Context, who *Staff, act *CouncilAct) error {
	why, err := readableWhy(act.Why)
	switch {
	case !who.has(claims.Secretary):
		return claims.Illegal("the council's business is the secretary's")
	case err != nil:
		return err
	case why == "":
		return claims.Refuse(ErrForm, "say why")
	case act.Motion == nil && act.Do == doAgenda, act.Motion != nil && act.Motion.Action == "":
		return claims.Refuse(ErrForm, "say what is moved")
	}
	by, p := store.Actor{Name: who.Name, Duty: claims.Secretary}, d.Programme
	switch act.Do {
	case doJoin:
		seat := vote.Seat{Name: act.Name, Shown: act.Shown, Affiliation: act.Affiliation}
		for _, b := range act.Businesses {
			unit, err := claims.ParseBusinessNumber(b)
			if err != nil {
				return claims.Refuse(ErrForm, "%.40q is no business number: %w", b, err)
			}
			seat.Businesses = append(seat.Businesses, unit)
		}
		_, err = d.Store.Join(ctx, p, seat, by, why)
	case doLeave:
		_, err = d.Store.Leave(ctx, p, act.Name, by, why)
	case doCall:
		at, wrong := time.ParseInLocation("2006-01-02T15:04", act.At, p.Zone)
		if wrong != nil {
			return claims.Refuse(ErrForm, "say when the council meets, such as 2023-03-02T14:00 in %s", p.Zone)
		}
		var m *store.Meeting
		if m, err = d.Store.CallMeeting(ctx, p, at, act.Place, by, why); err == nil {
			act.Meeting = m.Meeting
		}
	case doAttend:
		_, err = d.Store.Attend(ctx, p, store.Attendance{Meeting: act.Meeting, Chair: act.Chair, Present: act.Present}, act.Noted,
			by, why)
	case doAgenda:
		_, err = d.Store.PutOnAgenda(ctx, p, act.Claim, act.Meeting, *act.Motion, by, why)
	case doClose:
		_, err = d.Store.CloseMeeting(ctx, p, act.Meeting, by, why)
	default:
		err = claims.Refuse(ErrForm, "there is nothing to do: want one of %s", strings.Join(CouncilActs(), ", "))
	}
	return err
}

// What is done with an item.
const (
	DoesVote   = "vote"
	DoesRecuse = "recuse"
	DoesCount  = "count"
)

// VoteAct is something that is done with an item that is voted on. The meeting and the item are those that were read: a motion
// never changes under its number.
type VoteAct struct {
	Do            string // DoesVote, DoesRecuse or DoesCount
	Meeting, Item int
	Choice        vote.Choice
	Member        string // recuse: whose recusal the secretary notes; empty: the member's own
	Why           string
}

// DoVote votes, notes a recusal, or has an item counted.
func (d *Desk) DoVote(ctx context.Context, who *Staff, act *VoteAct) error {
	why, err := readableWhy(act.Why)
	if err != nil {
		return err
	}
	m, err := d.minutesOf(ctx, act.Meeting)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(m.Items, func(i council.Item) bool { return i.Number == act.Item })
	if at < 0 {
		return store.ErrNotFound
	}
	on := store.VoteOn{Claim: m.Items[at].Claim, Meeting: act.Meeting, Item: act.Item, Choice: act.Choice, Why: why}
	member := store.Actor{Name: who.Name, Duty: claims.CouncilDuty}
	secretary := store.Actor{Name: who.Name, Duty: claims.Secretary}
	switch own := act.Member == "" || grant.SamePerson(act.Member, who.Name); {
	case act.Do == doCount && who.has(claims.Secretary):
		_, err = d.Store.CloseItem(ctx, d.Programme, on, secretary)
	case act.Do == doRecuse && !own && who.has(claims.Secretary):
		_, err = d.Store.RecuseFrom(ctx, d.Programme, on, act.Member, secretary)
	case !who.has(claims.CouncilDuty):
		err = claims.Illegal("members of the council vote, and nobody else")
	case act.Do == doCount:
		_, err = d.Store.CloseItem(ctx, d.Programme, on, member)
	case act.Do == doRecuse && !own:
		err = claims.Illegal("members recuse themselves: %s cannot do so for %.40q", who.Name, act.Member)
	case act.Do == doRecuse:
		_, err = d.Store.RecuseFrom(ctx, d.Programme, on, who.Name, member)
	default:
		_, err = d.Store.Vote(ctx, d.Programme, on, member)
	}
	return err
}
