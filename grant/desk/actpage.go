package desk

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/status"
)

// On the page an act takes three steps: a form, what exactly it will do, and the act. What was confirmed carries a seal of all
// that was shown to whoever confirms it: so nobody can be made to send what they have not seen, and no step can be left out.
// The name of the request is under the seal, too, and an act of a request is done to a user once: a form may come again.
const (
	actPath     = searchPath + "/{id}/acts/{campaign}/{act}"
	waitingPath = searchPath + "/waiting"
)

func (a *api) actRoutes() []route {
	return []route{
		{"GET " + actPath, []Right{RightNote, RightAct, RightErase}, a.actPage},
		{"POST " + actPath, []Right{RightNote, RightAct, RightErase}, a.actPage},
		{"GET " + waitingPath, []Right{RightAct, RightApprove}, a.waitingPage},
		{"POST " + waitingPath, []Right{RightApprove}, a.decidePage},
		{"GET " + listsPath, []Right{RightNote, RightAct}, a.listsPage},
		{"GET " + listPath, []Right{RightNote, RightAct}, a.listForm},
		{"POST " + listPath, []Right{RightNote, RightAct}, a.listPage},
	}
}

// mayDo is what somebody may do about users on the page; nil: nothing.
func (a *api) mayDo(who Principal) func(string, grant.ActKind) bool {
	if !who.Role.may(RightUsers) || !who.Role.may(RightNote, RightAct, RightErase) {
		return nil
	}
	return func(campaign string, kind grant.ActKind) bool {
		return who.in(campaign) && who.Role.may(rightFor(kind))
	}
}

// doing is one step of an act on the page.
type doing struct {
	page *searchpage.Act
	body actRequest
	doer *acts.Doer
}

// kindOf is the act that the path names, which somebody may do.
func (a *api) kindOf(r *http.Request, who Principal) (grant.ActKind, error) {
	kind := grant.ActKind(r.PathValue("act"))
	if !slices.Contains(grant.ActKinds(), kind) {
		return "", newProblem(kindNotFound, "there is no such act")
	}
	for _, right := range []Right{RightUsers, rightFor(kind)} {
		if !who.Role.may(right) {
			return "", a.gate.failure(who.Name, refuse(kindRight, who.Role.lacks([]Right{right})))
		}
	}
	return kind, nil
}

// begin reads what somebody wants to do, and looks at the user.
func (a *api) begin(w http.ResponseWriter, r *http.Request, who Principal) (*doing, error) {
	kind, err := a.kindOf(r, who)
	if err != nil {
		return nil, err
	}
	c, err := a.readable(r)
	if err != nil {
		return nil, err
	}
	d := &doing{page: &searchpage.Act{View: *a.view(w, r, who), Kind: kind, Fields: map[string]string{}}}
	if d.doer, err = a.doer(r); err != nil {
		return nil, err
	}
	d.page.MayDecide = who.Role.may(RightApprove)
	d.page.Campaign = d.doer.Campaign
	for name, values := range r.PostForm {
		d.page.Fields[name] = strings.TrimSpace(values[0])
	}
	if err := d.read(r.PathValue("id")); err != nil {
		return nil, err
	}
	answers, err := lookup.Look(r.Context(), a.asked(c), []grant.UserID{d.page.User})
	if err == nil {
		err = a.reads(r, who, accesslog.WhatLookup, d.page.User)
	}
	if err != nil {
		return nil, err
	}
	d.page.Now = &answers[0]
	d.body.Seen = cmp.Or(d.page.Fields[searchpage.FieldSeen], answers[0].Seen)
	d.page.Fields[searchpage.FieldSeen] = d.body.Seen
	return d, nil
}

// read makes a request of the fields of a form.
func (d *doing) read(id string) (err error) {
	if d.page.User, err = readMember(d.doer.Campaign, id); err != nil {
		return err
	}
	d.body, d.page.At, err = requestOf(d.page, d.doer.Campaign)
	d.body.Users, d.body.To = []string{id}, d.page.Fields[searchpage.FieldTo]
	return err
}

// requestOf is what the fields of a form ask for, and the time in them. What is wrong with other values is said when it is
// carried out.
func requestOf(page *searchpage.Act, c *grant.Campaign) (body actRequest, at time.Time, err error) {
	f := page.Fields
	body = actRequest{
		Act: page.Kind, Reason: f[searchpage.FieldReason], Item: f[searchpage.FieldItem],
		Revocation: grant.RevocationKind(f[searchpage.FieldRevocation]), AfterEnd: f[searchpage.FieldAfterEnd] != "",
		Confirm: f[searchpage.FieldConfirm],
	}
	text := f[searchpage.FieldTime]
	if text == "" {
		return body, at, nil
	}
	if at, err = time.ParseInLocation(searchpage.TimeForm, text, c.StartsAt.Location()); err != nil {
		return body, at, newProblem(kindMalformed, "the time: want one such as 2023-01-20T09:00")
	}
	if page.Kind == grant.ActExtend {
		body.Until = at
	} else {
		body.Effective = at
	}
	return body, at, nil
}

// seal is of all that was shown to whoever is signed in.
func (d *doing) seal(r *http.Request, who Principal, random []byte) string {
	return sealOf(r, who, random, d.page.Fields)
}

// sealOf is of the fields of a form and what else was shown to whoever is signed in. Its key is what they sign in with, which
// other sites do not know, and which every desk does.
func sealOf(r *http.Request, who Principal, random []byte, f map[string]string, more ...string) string {
	key := random
	if shown := cmp.Or(r.Header.Get("Authorization"), session(r)); shown != "" {
		key = []byte(shown)
	}
	mac := hmac.New(sha256.New, key)
	texts := append([]string{
		who.Name, r.URL.Path, f[searchpage.FieldReason], f[searchpage.FieldRevocation], f[searchpage.FieldTime],
		f[searchpage.FieldItem], f[searchpage.FieldTo], f[searchpage.FieldAfterEnd], f[searchpage.FieldRequest],
		f[searchpage.FieldSeen],
	}, more...)
	mac.Write([]byte(digestOf(texts...)))
	return hex.EncodeToString(mac.Sum(nil))
}

// actPage is each of the steps.
func (a *api) actPage(w http.ResponseWriter, r *http.Request, who Principal) {
	d, err := a.begin(w, r, who)
	switch {
	case err != nil:
		a.failPage(w, r, who, err)
	case r.Method == http.MethodGet:
		a.html(w, http.StatusOK, d.page.Form)
	case hmac.Equal([]byte(d.page.Fields[searchpage.FieldSeal]), []byte(d.seal(r, who, a.sealKey))):
		a.actDone(w, r, who, d)
	default:
		a.actConfirm(w, r, who, d)
	}
}

// actConfirm shows what will happen, after a dry run.
func (a *api) actConfirm(w http.ResponseWriter, r *http.Request, who Principal, d *doing) {
	if d.page.Fields[searchpage.FieldSeal] != "" {
		d.page.Problem = searchpage.ConfirmAgain(d.page.Lang)
	}
	command, err := d.body.command(d.doer.Campaign, who)
	if err == nil {
		command.Dry = true
		var report *acts.Report
		if report, err = d.doer.Run(r.Context(), command); err == nil && report.Results[0].Status != acts.Done {
			err = notDone(&report.Results[0])
		}
		if err == nil {
			d.page.TakesTwo = report.TakesTwo
		}
	}
	if err != nil {
		a.actRefused(w, who, d, err)
		return
	}
	if to := command.Rows[0].To; to != nil {
		d.page.To = *to
	}
	d.page.Confirm = true
	d.page.Fields[searchpage.FieldRequest] = command.Act.ID
	d.page.Fields[searchpage.FieldSeal] = d.seal(r, who, a.sealKey)
	a.html(w, http.StatusOK, d.page.Form)
}

// actDone carries out what was confirmed, and goes on to the user.
func (a *api) actDone(w http.ResponseWriter, r *http.Request, who Principal, d *doing) {
	command, err := d.body.command(d.doer.Campaign, who)
	if err != nil {
		a.actRefused(w, who, d, err)
		return
	}
	command.Act.ID = d.page.Fields[searchpage.FieldRequest]
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.cfg.pace.request)
	defer cancel()
	report, err := d.doer.Run(ctx, command)
	switch {
	case err != nil:
	case report.Overall == acts.Proposed:
		w.Header().Set("Location", d.page.Root+"users/waiting")
		w.WriteHeader(http.StatusSeeOther)
		return
	case report.Results[0].Status != acts.Done:
		err = notDone(&report.Results[0])
	}
	if err != nil {
		a.actRefused(w, who, d, err)
		return
	}
	done := url.Values{"act": {string(d.page.Kind)}, "did": {command.Act.ID}}
	w.Header().Set("Location", d.page.Root+"users/"+url.PathEscape(r.PathValue("id"))+"?"+done.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// actRefused shows the form again, with why nothing was done. It is about the user as it is now.
func (a *api) actRefused(w http.ResponseWriter, who Principal, d *doing, err error) {
	problem := problemOf(err)
	if problem.Status >= http.StatusInternalServerError {
		a.cfg.Log.Error("an act failed", "who", who.Name, "error", err)
	}
	problem.tell(&d.page.View, searchpage.NotDone)
	d.page.Fields[searchpage.FieldSeen] = d.page.Now.Seen
	a.html(w, problem.Status, d.page.Form)
}

// failPage says on a page why something cannot be shown or done.
func (a *api) failPage(w http.ResponseWriter, r *http.Request, who Principal, err error) {
	if f := refused(err); f != nil {
		a.refusePage(&searchArea, w, r, who, f)
		return
	}
	v, problem := a.view(w, r, who), problemOf(err)
	problem.tell(v, searchpage.NotDone)
	a.html(w, problem.Status, func(out io.Writer) error { return searchpage.Search(out, v) })
}

// did is what the page of a user says of an act that was just done.
func did(r *http.Request, lang lookup.Lang, answers [][]lookup.Answer) string {
	id, kind := r.URL.Query().Get("did"), grant.ActKind(r.URL.Query().Get("act"))
	if id == "" || len(answers) != 1 || !slices.Contains(grant.ActKinds(), kind) {
		return ""
	}
	for i := range answers[0] {
		a := &answers[0][i]
		if a.By != nil && a.By.ID == id || a.State != nil && a.State.Done(id) {
			return searchpage.Did(lang, kind)
		}
	}
	return ""
}

// waitingPage shows what waits for a second person, of all campaigns.
func (a *api) waitingPage(w http.ResponseWriter, r *http.Request, who Principal) {
	a.queue(w, r, who, "", nil)
}

func (a *api) queue(w http.ResponseWriter, r *http.Request, who Principal, notice string, problem *Problem) {
	v, code := a.view(w, r, who), http.StatusOK
	v.MayDecide, v.Notice = true, notice
	if problem != nil {
		problem.tell(v, searchpage.NotDone)
		code = problem.Status
	}
	names, err := a.names(r.Context())
	if err != nil {
		a.failPage(w, r, who, err)
		return
	}
	var all []searchpage.Waiting
	for _, name := range names {
		if !who.in(name) {
			continue
		}
		one := searchpage.Waiting{Campaign: name, Zone: time.UTC}
		doer, err := a.doerOf(r.Context(), name)
		if problem, ok := errors.AsType[*Problem](err); ok && problem == errNoActs {
			continue
		}
		if err == nil {
			one.Title, one.Zone = doer.Campaign.Title, doer.Campaign.StartsAt.Location()
			one.Proposals, err = doer.Pending(r.Context(), false)
		}
		if err != nil {
			one.Unknown, _ = problemOf(err).on(v.Lang)
		}
		all = append(all, one)
	}
	a.html(w, code, func(out io.Writer) error { return searchpage.Queue(out, v, all, who.Role.may(RightApprove)) })
}

// decidePage decides about one.
func (a *api) decidePage(w http.ResponseWriter, r *http.Request, who Principal) {
	name := r.PostFormValue(searchpage.FieldCampaign)
	body := decision{
		Decision: r.PostFormValue(searchpage.FieldDecision), Reason: strings.TrimSpace(r.PostFormValue(searchpage.FieldReason)),
	}
	v := a.view(w, r, who)
	if !who.in(name) {
		f := refuse(kindScope, "your line of the access file is for other campaigns: "+who.only)
		a.refusePage(&searchArea, w, r, who, a.gate.failure(who.Name, f))
		return
	}
	p, err := a.decideBy(r.Context(), name, r.PostFormValue(searchpage.FieldRequest), body, who)
	if err != nil {
		problem := problemOf(noProposal(err))
		a.queue(w, r, who, "", problem)
		return
	}
	a.queue(w, r, who, searchpage.Decided(v.Lang, p), nil)
}

func (a *api) decideBy(ctx context.Context, name, request string, body decision, who Principal) (*grant.Proposal, error) {
	if body.Decision != "approve" && body.Decision != "reject" {
		return nil, newProblem(kindInvalid, "decision: want approve or reject")
	}
	if err := grant.ValidateWhy(body.Reason); err != nil {
		return nil, newProblem(kindInvalid, err.Error())
	}
	doer, err := a.doerOf(ctx, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.pace.request)
	defer cancel()
	p, _, err := doer.Decide(ctx, request, body.by(who))
	return p, err
}

var errNoActs = newProblem(kindUnavailable, "acts about users are not carried out here")

// doerOf is what carries out acts about users of a campaign.
func (a *api) doerOf(ctx context.Context, name string) (*acts.Doer, error) {
	c, err := a.cfg.Campaigns.Open(ctx, name)
	if err == nil {
		err = c.Broken
	}
	if err != nil {
		return nil, err
	}
	if c.Acts == nil {
		return nil, errNoActs
	}
	granted, _, err := status.InForce(ctx, c.Coordination, c.Reader, c.Campaign)
	if err != nil {
		return nil, err
	}
	return c.Acts(granted)
}
