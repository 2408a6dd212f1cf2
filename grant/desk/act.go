package desk

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
)

// act is the route of acts: what somebody does about single users.
const act = "POST " + ofCampaign + "/acts"

// maxActed is how many users one request may be about. A longer list is a file for the command line, which gives it back.
const maxActed = 100

// actRequest is the body of a request to do something about users.
type actRequest struct {
	Act        grant.ActKind        `json:"act"`
	Users      []string             `json:"users"`
	To         string               `json:"to,omitempty"` // of a move, which is about one user
	Reason     string               `json:"reason"`
	Revocation grant.RevocationKind `json:"revocation,omitempty"`
	Effective  time.Time            `json:"effective,omitzero"`
	Item       string               `json:"item,omitempty"`
	Until      time.Time            `json:"until,omitzero"`
	AfterEnd   bool                 `json:"after_end,omitempty"`
	Seen       string               `json:"seen,omitempty"` // of the one user
	DryRun     bool                 `json:"dry_run,omitempty"`
	Confirm    string               `json:"confirm,omitempty"` // of an erasure: the user once more
	Propose    bool                 `json:"propose,omitempty"` // to a second person, whatever the campaign's rule
}

// act does something about users. What became of each is in the answer, which is 200 also where some were refused.
func (a *api) act(r *http.Request, who Principal) (any, error) {
	var body actRequest
	if err := readBody(r, maxOrder, &body); err != nil {
		return nil, err
	}
	if n := len(body.Users); n == 0 || n > maxActed {
		return nil, newProblem(
			kindMalformed,
			fmt.Sprintf("%d users: want 1 to %d; a longer list is for the command line", n, maxActed),
		)
	}
	if right := rightFor(body.Act); !who.Role.may(right) {
		return nil, a.gate.failure(who.Name, refuse(kindRight, who.Role.lacks([]Right{right})))
	}
	doer, err := a.doer(r)
	if err != nil {
		return nil, err
	}
	match, err := ifSeen(r)
	if err == nil && match != "" {
		err = body.onlyAs(match)
	}
	if err != nil {
		return nil, err
	}
	command, err := body.command(doer.Campaign, who)
	if err != nil {
		return nil, err
	}
	// It is carried out and recorded whether or not somebody still waits for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.cfg.pace.request)
	defer cancel()
	report, err := doer.Run(ctx, command)
	if err == nil && match != "" && report.Results[0].Changed() {
		err = notDone(&report.Results[0])
	}
	return report, err
}

// onlyAs makes a request one about the user as an answer with an ETag said.
func (b *actRequest) onlyAs(seen string) error {
	switch {
	case len(b.Users) != 1:
		return newProblem(kindInvalid, "If-Match is for one user; nothing was done")
	case b.Seen != "" && b.Seen != seen:
		return newProblem(kindInvalid, "If-Match and seen are of two different answers: send one of them; nothing was done")
	}
	b.Seen = seen
	return nil
}

// notDone is the problem of whoever wanted just this one act.
func notDone(r *acts.Result) *Problem {
	k := kindRefused
	if r.Changed() {
		k = kindChanged
	}
	p := newProblem(k, r.Why)
	p.whyNot = r.Code
	return p
}

// doer is what carries out acts about users of the campaign that a request names.
func (a *api) doer(r *http.Request) (*acts.Doer, error) {
	return a.doerOf(r.Context(), r.PathValue("campaign"))
}

// rightFor is what an act needs: notes are for everybody who looks users up, erasures for whoever was given the right.
func rightFor(kind grant.ActKind) Right {
	switch kind {
	case grant.ActNote:
		return RightNote
	case grant.ActErase:
		return RightErase
	default:
		return RightAct
	}
}

// within says in which field a problem is.
func within(field string, err error) *Problem {
	p := problemOf(err)
	p.Detail = field + ": " + p.Detail + "; nothing was done"
	return p
}

// act is what a request asks for, whoever it is about.
func (b *actRequest) act(who Principal) grant.Act {
	return grant.Act{
		ID: grant.NewRunID(time.Now()).String(), Kind: b.Act, Who: who.Name, Via: via, Role: string(who.Role), Reason: b.Reason,
		Revocation: b.Revocation, Effective: b.Effective, Item: b.Item, Until: b.Until,
	}
}

// confirmed refuses an erasure of somebody whom the request does not name twice: there is no way back.
func (b *actRequest) confirmed() error {
	switch {
	case b.Act != grant.ActErase && b.Confirm != "":
		return newProblem(kindInvalid, "confirm is for erase; nothing was done")
	case b.Act == grant.ActErase && len(b.Users) != 1:
		return newProblem(kindInvalid, "an erasure is about one user; nothing was done")
	case b.Act == grant.ActErase && b.Confirm != b.Users[0] && (!b.DryRun || b.Confirm != ""):
		return newProblem(kindInvalid, "there is no way back: confirm wants to be the user's ID once more, or dry_run true; "+
			"nothing was done")
	}
	return nil
}

// command is what a request asks for, by a principal.
func (b *actRequest) command(c *grant.Campaign, who Principal) (*acts.Command, error) {
	act := b.act(who)
	rows := make([]acts.Row, len(b.Users))
	for i, text := range b.Users {
		user, err := readMember(c, text)
		if err != nil {
			return nil, within(fmt.Sprintf("users[%d]", i), err)
		}
		rows[i].User = user
	}
	switch {
	case b.Act == grant.ActMove && (len(rows) != 1 || b.To == ""):
		return nil, newProblem(kindInvalid, "a move is from one user to another: want one of users, and to; nothing was done")
	case b.Act != grant.ActMove && b.To != "":
		return nil, newProblem(kindInvalid, "to is for a move; nothing was done")
	case b.To != "":
		to, err := readMember(c, b.To)
		if err != nil {
			return nil, within("to", err)
		}
		act.To, rows[0].To = &to, &to
	}
	if err := b.confirmed(); err != nil {
		return nil, err
	}
	if b.AfterEnd && b.Act != grant.ActHand {
		return nil, newProblem(kindInvalid, "after_end is for hand; nothing was done")
	}
	if b.Seen != "" && len(rows) != 1 {
		return nil, newProblem(kindInvalid, "seen is for one user; nothing was done")
	}
	rows[0].Seen = b.Seen
	if err := act.Validate(); err != nil {
		return nil, newProblem(kindInvalid, err.Error()+"; nothing was done")
	}
	return &acts.Command{Act: act, Rows: rows, Dry: b.DryRun, AfterEnd: b.AfterEnd, Propose: b.Propose}, nil
}
