package desk

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/userid"
)

// User is the answer about one user in all campaigns that whoever asks may look into.
type User struct {
	At   time.Time    `json:"at"`
	User grant.UserID `json:"user"` // JavaScript has no integers above 2^53
	// Answers are one for each campaign: those first that granted something, then those that began last.
	Answers []lookup.Answer `json:"answers"`
	Next    string          `json:"next,omitempty"` // the cursor of the next page, where pages were asked for
}

// readUser reads the ID of a user. One that is well formed, and larger than any user's, is a problem of another kind: it may be
// right in another campaign.
func readUser(text string, most uint64) (grant.UserID, error) {
	id, err := userid.Parse(text, most)
	switch {
	case errors.Is(err, userid.ErrOverLimit):
		return id, newProblem(kindOverLimit, err.Error())
	case err != nil:
		return id, newProblem(kindMalformed, err.Error())
	}
	return id, nil
}

// user answers about one user in one campaign. Unlike users it fails when the ledger does.
func (a *api) user(r *http.Request, who Principal) (any, error) {
	c, err := a.readable(r)
	if err != nil {
		return nil, err
	}
	id, err := readUserOf(c.Campaign, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	whole, err := readTrace(r)
	if err != nil {
		return nil, err
	}
	answers, err := lookup.Look(r.Context(), a.asked(c), []grant.UserID{id})
	if err != nil {
		return nil, err
	}
	if err := a.reads(r, who, accesslog.WhatLookup, id); err != nil {
		return nil, err
	}
	if whole != nil {
		err = a.trace(r.Context(), c, answers, *whole)
	}
	return answers[0], err
}

// users answers about one user in all campaigns.
func (a *api) users(r *http.Request, who Principal) (any, error) {
	id, err := a.readAnyUser(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	page, err := readNamePage(r)
	if err != nil {
		return nil, err
	}
	answers, next, err := a.lookUp(r.Context(), who, page, []grant.UserID{id})
	if err != nil {
		return nil, err
	}
	out := User{At: a.cfg.Clock().UTC(), User: id, Answers: append([]lookup.Answer{}, answers[0]...), Next: next}
	if !known(answers) {
		return out, nil
	}
	return out, a.reads(r, who, accesslog.WhatLookup, id)
}

// asked is a campaign for questions about users, by the desk's clock.
func (a *api) asked(c *Subject) *lookup.Subject {
	s := c.Lookup()
	s.Now = a.cfg.Clock
	return s
}

// known reports whether answers say anything about anybody. Where no ledger answers there is no record that is read, and none
// can be made of it.
func known(answers [][]lookup.Answer) bool {
	return slices.ContainsFunc(answers, func(of []lookup.Answer) bool {
		return slices.ContainsFunc(of, func(a lookup.Answer) bool { return a.Known })
	})
}

// lookUp answers about some users in all campaigns that somebody may look into, or in a page of them: one list for each user, and
// the cursor of the next page. It fails when it is not even known which campaigns there are.
func (a *api) lookUp(
	ctx context.Context, who Principal, page paged, users []grant.UserID,
) (answers [][]lookup.Answer, next string, err error) {
	names, err := a.names(ctx)
	if err != nil {
		return nil, "", err
	}
	names, next = page.byName(slices.DeleteFunc(names, func(name string) bool { return !who.in(name) }))
	opened := make([]*lookup.Subject, len(names))
	var work errgroup.Group // one after the other, those that wait for a Redis that is away would take longer than anybody waits
	work.SetLimit(listAtOnce)
	for i, name := range names {
		work.Go(func() error {
			c, err := a.cfg.Campaigns.Open(ctx, name)
			if _, gone := errors.AsType[*NoCampaignError](err); gone {
				return nil
			}
			if err != nil {
				opened[i] = &lookup.Subject{Campaign: &grant.Campaign{Name: name}, Broken: err}
				return nil //nolint:nilerr // the answer about this campaign says it
			}
			opened[i] = a.asked(c)
			return nil
		})
	}
	_ = work.Wait() // what is wrong with one is said of it
	subjects := slices.DeleteFunc(opened, func(s *lookup.Subject) bool { return s == nil })
	return lookup.All(ctx, subjects, users), next, nil
}

// names returns all campaigns that there are: also those that began since somebody looked last, since an answer about all
// must not leave one out.
func (a *api) names(ctx context.Context) ([]string, error) {
	err := a.cfg.Campaigns.Refresh(ctx)
	names := a.cfg.Campaigns.Names()
	if len(names) == 0 {
		return nil, err
	}
	return names, nil
}

// reads records that somebody is about to see the records of some users. It comes before the answer: what cannot be recorded is
// not shown. The log of the process does not say whose, since that is where user IDs do not belong.
func (a *api) reads(r *http.Request, who Principal, what accesslog.What, users ...grant.UserID) error {
	return a.readsWhy(r, who, what, cmp.Or(r.URL.Query().Get("why"), r.PostForm.Get(searchpage.FieldWhy)), users...)
}

// readsWhy is reads with the reason.
func (a *api) readsWhy(r *http.Request, who Principal, what accesslog.What, why string, users ...grant.UserID) error {
	a.cfg.Log.Info("users were looked up", "who", who.Name, "remote", r.RemoteAddr, "route", r.Pattern, "what", what,
		"users", len(users))
	why = strings.TrimSpace(why)
	if err := accesslog.NeedsReason(len(users), why); err != nil {
		p := newProblem(kindInvalid, "why: "+err.Error())
		if why == "" {
			p.onPage = searchpage.NeedsReason
		}
		return p
	}
	if a.cfg.Reads == nil {
		return nil
	}
	return a.cfg.Reads.Record(
		r.Context(),
		accesslog.Access{Who: who.Name, From: address(r), Why: why, What: what, Users: users},
	)
}

// address is from where a request came.
func address(r *http.Request) string {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return from
}
