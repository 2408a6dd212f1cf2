package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/store"
)

// The routes of the council, which decides claims in meetings, by vote. They do and say what its pages do and say, by the same
// functions; what is said of a claim says nothing about who its owner is.
const (
	pathCouncil    = "/api/v1/claim-council" // and not below the claims, where it would look like one
	pathMeeting    = pathCouncil + "/meetings/{meeting}"
	pathItem       = pathMeeting + "/items/{item}"
	pathShown      = pathItem + "/documents/{digest}"
	doesCouncil    = "POST " + pathCouncil
	votesOnItem    = "POST " + pathItem + "/votes"
	recusesOf      = "POST " + pathItem + "/recusals"
	countsItem     = "POST " + pathItem + "/count"
	asksCouncil    = "GET " + pathCouncil
	asksMeeting    = "GET " + pathMeeting
	asksItem       = "GET " + pathItem
	asksShown      = "GET " + pathShown
	noCouncilThing = "there is no such council, meeting, item, claim or document: check the number"
)

func (a *api) councilAPI() []route {
	reads := append(slices.Clip(ofClaims), RightClaimsCouncil)
	documents := []Right{
		RightClaimsCouncil, RightClaimsSecretary, RightClaimsIntake, RightClaimsReviewer, RightClaimsApprover,
	}
	votes := []Right{RightClaimsCouncil, RightClaimsSecretary}
	return []route{
		{asksCouncil, reads, a.answer(a.councilNow)},
		{asksMeeting, reads, a.answer(a.meetingNow)},
		{asksItem, reads, a.answer(a.itemNow)},
		{asksShown, documents, a.itemDocument},
		{doesCouncil, []Right{RightClaimsSecretary}, a.answer(a.doCouncil)},
		{votesOnItem, []Right{RightClaimsCouncil}, a.answer(a.voteOnItem)},
		{recusesOf, votes, a.answer(a.recuse)},
		{countsItem, votes, a.answer(a.countItem)},
	}
}

// meetingSaid is a meeting and, for its secretary, what could be put before it.
type meetingSaid struct {
	*council.Minutes

	Waiting []waitingClaim `json:"waiting,omitempty"`
}

// waitingClaim is a claim that was referred to the council, and about which nothing has been moved.
type waitingClaim struct {
	Claim    string       `json:"claim"`
	State    claims.State `json:"state"`
	Assessed claims.Won   `json:"assessed_loss"`
}

// onCouncil runs work with the desk of claims and whoever asks.
func (a *api) onCouncil(r *http.Request, who Principal, work func(*review.Desk, *review.Staff) error) error {
	if a.cfg.Claims == nil {
		return noClaims()
	}
	staff := a.staff(r, who)
	return councilProblem(work(a.cfg.Claims, &staff))
}

// councilProblem says what an error means to a client.
func councilProblem(err error) error {
	frozen, conflict := (*store.FrozenError)(nil), (*store.ConflictError)(nil)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return newProblem(kindNotFound, noCouncilThing)
	case errors.Is(err, review.ErrForm):
		return newProblem(kindInvalid, err.Error()+"; nothing was done")
	case errors.As(err, &frozen), errors.As(err, &conflict):
		return newProblem(kindRefused, err.Error())
	}
	return err
}

// numberOf is a number in the path of a request; 0: none, and nothing has it.
func numberOf(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.PathValue(name))
	return max(n, 0)
}

// councilNow says who is on the council, how it decides, and when it meets.
func (a *api) councilNow(r *http.Request, who Principal) (out any, err error) {
	err = a.onCouncil(r, who, func(d *review.Desk, _ *review.Staff) (err error) {
		out, err = d.AskCouncil(r.Context())
		return err
	})
	return out, err
}

// meetingNow is a meeting's agenda and, when it is closed, its minutes.
func (a *api) meetingNow(r *http.Request, who Principal) (any, error) {
	var out meetingSaid
	err := a.onCouncil(r, who, func(d *review.Desk, staff *review.Staff) error {
		m, waiting, err := d.AskMeeting(r.Context(), staff, numberOf(r, "meeting"))
		out.Minutes = m
		for _, c := range waiting {
			one := waitingClaim{Claim: c.ID, State: c.State}
			if c.Assessment != nil {
				one.Assessed = c.Assessment.Assessed
			}
			out.Waiting = append(out.Waiting, one)
		}
		return err
	})
	return &out, err
}

// itemNow is an item, with what the council sees of its claim.
func (a *api) itemNow(r *http.Request, who Principal) (out any, err error) {
	err = a.onCouncil(r, who, func(d *review.Desk, staff *review.Staff) (err error) {
		out, err = d.AskItem(r.Context(), staff, numberOf(r, "meeting"), numberOf(r, "item"))
		return err
	})
	return out, err
}

// itemDocument gives a document out as the council reads it.
func (a *api) itemDocument(w http.ResponseWriter, r *http.Request, who Principal) {
	if ok, _ := a.gate.underWay.take(who); !ok {
		a.busy(w, r, who)
		return
	}
	defer a.gate.underWay.giveBack(who)
	if err := a.onCouncil(r, who, func(d *review.Desk, staff *review.Staff) error {
		return d.GiveDocument(w, r, staff, numberOf(r, "meeting"), numberOf(r, "item"), r.PathValue("digest"))
	}); err != nil {
		a.failed(w, r, who, err)
	}
}

// doCouncil does something that is the secretary's.
func (a *api) doCouncil(r *http.Request, who Principal) (out any, err error) {
	text, err := readAll(r, maxOrder)
	if err != nil {
		return nil, err
	}
	var act review.CouncilAct
	if err := strictly("body", text, &act); err != nil {
		return nil, err
	}
	if hasNull(text) { // which would count as absent
		return nil, newProblem(kindMalformed, "a field is null: leave out what does not apply")
	}
	err = a.onCouncil(r, who, func(d *review.Desk, staff *review.Staff) (err error) {
		if err := a.whole(r, func(ctx context.Context) error { return d.DoSecretary(ctx, staff, &act) }); err != nil {
			return err
		}
		a.cfg.Log.Info("the council's business was done", "what", act.Do, "who", who.Name, "meeting", act.Meeting)
		out, err = d.AskCouncil(r.Context())
		return err
	})
	return out, err
}

// hasNull reports whether something in JSON is null.
func hasNull(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		switch token, err := d.Token(); {
		case err != nil:
			return false
		case token == nil:
			return true
		}
	}
}

// whole carries something out whether or not somebody still waits for the answer.
func (a *api) whole(r *http.Request, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.cfg.pace.request)
	defer cancel()
	return work(ctx)
}

// onItem does something with the item that a request names, and answers with it.
func (a *api) onItem(r *http.Request, who Principal, act *review.VoteAct) (out any, err error) {
	act.Meeting, act.Item = numberOf(r, "meeting"), numberOf(r, "item")
	err = a.onCouncil(r, who, func(d *review.Desk, staff *review.Staff) (err error) {
		if err := a.whole(r, func(ctx context.Context) error { return d.DoVote(ctx, staff, act) }); err != nil {
			return err
		}
		out, err = d.AskItem(r.Context(), staff, act.Meeting, act.Item)
		return err
	})
	return out, err
}

func (a *api) voteOnItem(r *http.Request, who Principal) (any, error) {
	var body struct {
		Choice vote.Choice `json:"choice"`
		Why    string      `json:"why,omitempty"`
	}
	if err := readBody(r, maxOrder, &body); err != nil {
		return nil, err
	}
	return a.onItem(r, who, &review.VoteAct{Do: review.DoesVote, Choice: body.Choice, Why: body.Why})
}

func (a *api) recuse(r *http.Request, who Principal) (any, error) {
	var body struct {
		Member string `json:"member,omitempty"`
		Why    string `json:"why"`
	}
	if err := readBody(r, maxOrder, &body); err != nil {
		return nil, err
	}
	return a.onItem(r, who, &review.VoteAct{Do: review.DoesRecuse, Member: body.Member, Why: body.Why})
}

func (a *api) countItem(r *http.Request, who Principal) (any, error) {
	if err := readBody(r, maxOrder, &struct{}{}); err != nil {
		return nil, err
	}
	return a.onItem(r, who, &review.VoteAct{Do: review.DoesCount})
}
