package desk

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/desk/searchpage"
)

// receipt makes the receipt of a user by the newest audit of the campaign that left receipts. It asks no ledger. Whoever asks is
// recorded before it is made, as with every read of a person's record.
func (a *api) receipt(r *http.Request, who Principal) (any, error) {
	c, err := a.campaign(r)
	if err != nil {
		return nil, err
	}
	user, err := readUserOf(c.Campaign, r.PathValue("id"))
	switch {
	case err != nil:
		return nil, err
	case a.cfg.Receipts == nil:
		return nil, newProblem(kindNoReceipts, "this desk makes no receipts: start it with --reports DIR, "+
			"where granter audit --report DIR --receipts leaves them")
	}
	if err := a.reads(r, who, accesslog.WhatReceipt, user); err != nil {
		return nil, err
	}
	made, err := a.cfg.Receipts.Of(c.Campaign.Name, user)
	switch {
	case errors.Is(err, audit.ErrNoReceipts):
		return nil, newProblem(kindNoReceipts, err.Error())
	case errors.Is(err, audit.ErrNotInReport):
		return nil, newProblem(kindNotInReport, err.Error()+": if the user has it by now, the next report has the receipt")
	}
	return made, err
}

// downloadReceipt is the same as a file, by a link of the page.
func (a *api) downloadReceipt(w http.ResponseWriter, r *http.Request, who Principal) {
	made, err := a.receipt(r, who)
	if err != nil {
		v, problem := a.view(w, r, who), problemOf(err)
		if f := refused(err); f != nil {
			a.gate.note(w, r, who, f)
			problem = f.Problem
		}
		v.Problem = searchpage.NoReceipt(v.Lang, problem.is(kindNoReceipts), problem.is(kindNotInReport), problem.Detail)
		a.html(w, problem.Status, func(out io.Writer) error { return searchpage.Search(out, v) })
		return
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q",
		"receipt-"+r.PathValue("campaign")+"-"+r.PathValue("id")+".json"))
	writeJSON(w, "application/json", http.StatusOK, made)
}
