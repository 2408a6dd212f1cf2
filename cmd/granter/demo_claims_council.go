//go:build demo

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// demoCouncil are the members of the demo's council, in the order in which they were named, and how each votes.
var demoCouncil = []struct {
	name, shown, affiliation string
	vote                     vote.Choice
}{
	{"cho", "조위원", "consumers", vote.For},
	{"min", "민위원", "small_business", vote.For},
	{"han", "한교수", "academia", vote.For},
	{"yoon", "윤교수", "academia", vote.Abstain},
	{"seo", "서위원", "company", vote.Against},
}

// shared are the claims in review, by who decides them: the largest goes to the council now, others that are the council's
// stay on the desk, and the rest is an approver's.
func shared(p *claims.Programme, waiting []*store.Claim) (now *store.Claim, later, approver []*store.Claim) {
	slices.SortStableFunc(waiting, func(a, b *store.Claim) int {
		return cmp.Compare(b.Assessment.Assessed, a.Assessment.Assessed)
	})
	for i, c := range waiting {
		switch {
		case i == 0:
			now = c
		case c.Assessment.Assessed >= p.Council.From:
			later = append(later, c)
		default:
			approver = append(approver, c)
		}
	}
	return now, later, approver
}

// council carries one claim through the council: its documents are shown, members meet and vote, and the minutes say how. The
// commands are run as they would be typed; members vote by themselves, each on the desk.
func (d *claimsDemo) council(ctx context.Context, s *store.Store, p *claims.Programme, c *store.Claim) error {
	amount := c.Assessment.Assessed
	d.say("\nclaim %s, whose loss is assessed at %s won, is the council's to decide: consumers, small businesses, academia\n"+
		"and the company. Its documents:\n", c.ID, text.Number(int64(amount)))
	if err := d.run(ctx, "claims", "documents", c.ID); err != nil {
		return err
	}
	kim := store.Actor{Name: "kim", Duty: claims.Reviewer}
	d.say("\nkim, a reviewer, lets the council read them and refers the claim; oh, the secretary, gives the seats and calls\n" +
		"a meeting\n")
	for _, doc := range c.Documents {
		if err := s.ShowToCouncil(ctx, c, doc.Digest, false, kim, "nobody is named in it"); err != nil {
			return err
		}
	}
	err := d.decide(ctx, c.ID, "refer", "--as", "reviewer", "--who", "kim", "--why", "the loss is above the tiers")
	if err != nil {
		return err
	}
	var present []string
	for _, m := range demoCouncil {
		present = append(present, m.name)
		if err := d.secretary(ctx, "named by their association", "members", "--add", m.name, "--shown", m.shown,
			"--affiliation", m.affiliation); err != nil {
			return err
		}
	}
	at := time.Now().In(p.Zone).Format("2006-01-02T15:04")
	err = d.secretary(ctx, "the first claims", "meet", "--at", at, "--place", "3rd floor")
	if err == nil {
		err = d.secretary(ctx, "who came", "meet", "1", "--present", strings.Join(present, ","), "--chair", "han")
	}
	if err == nil {
		err = d.secretary(ctx, "the documents show the loss", "agenda", "1", "--put", c.ID, "--move", "approve",
			"--amount", strconv.FormatInt(int64(amount), 10))
	}
	if err != nil {
		return err
	}
	for _, m := range demoCouncil {
		if _, err := s.Vote(ctx, p, store.VoteOn{Claim: c.ID, Meeting: 1, Item: 1, Choice: m.vote},
			store.Actor{Name: m.name, Duty: claims.CouncilDuty}); err != nil {
			return fmt.Errorf("%s votes: %w", m.name, err)
		}
	}
	d.say("\nmembers have voted; oh counts, and closes the meeting\n")
	if err := d.run(ctx, "claims", "council", "close", c.ID, "--who", "oh"); err != nil {
		return err
	}
	if err := d.secretary(ctx, "all is decided", "meet", "1", "--close"); err != nil {
		return err
	}
	d.decided = c.ID
	return d.run(ctx, "claims", "council", "minutes", "1")
}

// secretary does something of the council's business.
func (d *claimsDemo) secretary(ctx context.Context, why string, args ...string) error {
	args = append(append([]string{"claims", "council"}, args...), "--who", "oh", "--why", why, "--database", d.file("claims.db"))
	return d.quietly(ctx, io.Discard, args...)
}
