package desk

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
)

// decide is the route of decisions about acts that take a second person.
const decide = "POST " + ofCampaign + "/acts/{request}"

// waiting are acts that wait for a second person.
type waiting struct {
	Campaign  string           `json:"campaign"`
	Proposals []grant.Proposal `json:"proposals"`
}

func (a *api) proposals(r *http.Request, _ Principal) (any, error) {
	doer, err := a.doer(r)
	if err != nil {
		return nil, err
	}
	all := cmp.Or(r.URL.Query().Get("all"), "false")
	if all != "true" && all != "false" {
		return nil, newProblem(kindMalformed, "all: want true or false")
	}
	list, err := doer.Pending(r.Context(), all == "true")
	return waiting{doer.Campaign.Name, list}, err
}

// decided is a proposal, and what it does.
type decided struct {
	Campaign string          `json:"campaign"`
	Proposal *grant.Proposal `json:"proposal"`
	Report   *acts.Report    `json:"report,omitempty"`
	Unknown  string          `json:"unknown,omitempty"` // why there is no report
}

func (a *api) proposal(r *http.Request, _ Principal) (any, error) {
	doer, err := a.doer(r)
	if err != nil {
		return nil, err
	}
	p, report, err := doer.Show(r.Context(), r.PathValue("request"))
	out := decided{Campaign: doer.Campaign.Name, Proposal: p, Report: report}
	if p != nil && err != nil {
		out.Report, out.Unknown, err = nil, err.Error(), nil
	}
	return out, noProposal(err)
}

// decision is the body of a request that decides.
type decision struct {
	Decision string `json:"decision"`
	Reason   string `json:"reason"`
}

func (a *api) decide(r *http.Request, who Principal) (any, error) {
	var body decision
	if err := readBody(r, maxOrder, &body); err != nil {
		return nil, err
	}
	if body.Decision != "approve" && body.Decision != "reject" {
		return nil, newProblem(kindInvalid, "decision: want approve or reject; nothing was decided")
	}
	if err := grant.ValidateWhy(body.Reason); err != nil {
		return nil, newProblem(kindInvalid, err.Error()+"; nothing was decided")
	}
	doer, err := a.doer(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.cfg.pace.request)
	defer cancel()
	p, report, err := doer.Decide(ctx, r.PathValue("request"), body.by(who))
	return decided{Campaign: doer.Campaign.Name, Proposal: p, Report: report}, noProposal(err)
}

// noProposal makes a problem of what is not there, and leaves other errors.
func noProposal(err error) error {
	if errors.Is(err, grant.ErrNoProposal) {
		return newProblem(kindNotFound, err.Error())
	}
	return err
}

func (d *decision) by(who Principal) grant.Decision {
	return grant.Decision{
		Approve: d.Decision == "approve", Who: who.Name, Via: via, Role: string(who.Role), Why: d.Reason,
	}
}
