package desk

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/audit"
)

// receipts are those of user 2.
type receipts struct {
	none bool
	err  error
	made int
}

func (r *receipts) Has(string) bool { return !r.none }

func (r *receipts) Of(campaign string, user grant.UserID) (*audit.Receipt, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case r.none:
		return nil, audit.ErrNoReceipts
	case user != grant.NumberID(2):
		return nil, audit.ErrNotInReport
	}
	r.made++
	hash := "5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f"
	step := audit.Step{Size: 1, Path: []string{hash}}
	return &audit.Receipt{
		Format: 1, Campaign: campaign, User: "2", At: time.Now().UTC(), Run: "0000000000000007", Flush: "1", Spec: "{}",
		Items: []audit.Item{{ID: "thank-you", Until: "permanent"}}, Blind: hash[:32], Group: step,
		Chunk: audit.ChunkStep{Step: step, Chunk: "0", Users: 1, Content: hash}, Report: step, Head: "signed",
	}, nil
}

func withReceipts(w *world) { w.cfg.Receipts = &receipts{} }

func TestAReceiptIsMadeForWhoMayAndRecorded(t *testing.T) {
	var log readings
	all := &receipts{}
	w := newWorld(t, func(w *world) { w.cfg.Reads, w.cfg.Receipts = &log, all })
	w.grant()
	var r audit.Receipt
	w.get(RoleSupport, base+"/users/2/receipt?why=ticket+5").into(&r)
	require.Equal(t, "2", r.User)
	w.get(RoleViewer, base+"/users/2/receipt").is(http.StatusForbidden)
	w.get(RoleSupport, "/api/v1/campaigns/other/users/2/receipt").is(http.StatusNotFound)
	w.get(RoleSupport, base+"/users/x/receipt").is(http.StatusBadRequest)
	require.Contains(t, w.get(RoleSupport, base+"/users/3/receipt").is(http.StatusNotFound), "the next report has the receipt")
	require.Equal(t, []accesslog.Access{
		{Who: "a-support", From: "127.0.0.1", What: accesslog.WhatReceipt, Why: "ticket 5", Users: grant.NumberIDs(2)},
		{Who: "a-support", From: "127.0.0.1", What: accesslog.WhatReceipt, Users: grant.NumberIDs(3)},
	}, log.all)

	log.err = errors.New("recording who reads this: the disk is full")
	made := all.made
	w.get(RoleSupport, base+"/users/2/receipt").is(http.StatusServiceUnavailable)
	require.Equal(t, made, all.made, "what cannot be recorded is not made")
	log.err = nil
	all.none = true
	require.Contains(t, w.get(RoleSupport, base+"/users/2/receipt").is(http.StatusNotFound), "granter audit")
	all.err = errors.New("the file of receipts is cut off")
	w.get(RoleSupport, base+"/users/2/receipt").is(http.StatusServiceUnavailable)
}

func TestADeskWithoutReceiptsSaysHowItGetsThem(t *testing.T) {
	w := newWorld(t)
	require.Contains(t, w.get(RoleSupport, base+"/users/2/receipt").is(http.StatusNotFound), "--reports")
}

// Support finds a link on the page of a user, and gets a file to send on.
func TestAReceiptIsDownloadedFromThePage(t *testing.T) {
	all := &receipts{}
	w := newWorld(t, func(w *world) { w.cfg.Receipts = all })
	w.grant()
	b := newBrowser(w)
	const link = "/users/2/receipts/sorry-2022"
	page := b.visit(http.MethodGet, link, nil)
	page.isPage(http.StatusUnauthorized)
	require.Contains(t, string(page.body), `action="../../../users/sign-in"`)
	require.Contains(t, string(page.body), `value="users/2"`, "it goes on at the page that has the link")
	b.visit(http.MethodPost, "/users/sign-in", url.Values{"token": {w.tokens[RoleSupport]}})
	page = b.visit(http.MethodGet, "/users/2", nil)
	require.Contains(t, string(page.body), `href="../users/2/receipts/sorry-2022"`)
	require.NotContains(t, string(b.visit(http.MethodGet, "/users/3", nil).body), "/receipts/", "who has nothing")
	file := b.visit(http.MethodGet, link, nil)
	file.is(http.StatusOK)
	require.Equal(t, `attachment; filename="receipt-sorry-2022-2.json"`, file.header.Get("Content-Disposition"))
	var r audit.Receipt
	file.into(&r)
	require.Equal(t, "2", r.User)

	page = b.visit(http.MethodGet, "/users/3/receipts/sorry-2022", nil)
	page.isPage(http.StatusNotFound)
	require.Contains(t, readable(page.body), "After the next one there is a receipt")
	page = b.visit(http.MethodGet, "/users/3/receipts/sorry-2022", nil, "Accept-Language", "ko")
	require.Contains(t, readable(page.body), "다음 감사 이후에 증명서가 만들어집니다")
	b.visit(http.MethodGet, "/users/2/receipts/none", nil).isPage(http.StatusNotFound)
	all.none = true
	require.NotContains(t, string(b.visit(http.MethodGet, "/users/2", nil).body), "/receipts/", "there are none")
}
