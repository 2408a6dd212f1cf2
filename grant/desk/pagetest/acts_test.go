//go:build integration

package pagetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
)

// byHand does acts to the users of a ledger that is none, and keeps what waits for a second person.
type byHand struct {
	*people
	waiting []grant.Proposal
}

func (b *byHand) Do(_ context.Context, todo []ledger.UserAct, dry bool) ([]ledger.ActResult, error) {
	out := make([]ledger.ActResult, len(todo))
	for i := range todo {
		u := b.grants[todo[i].User]
		if u == nil {
			u = &ledger.User{User: todo[i].User, Place: grant.PlaceNone}
		}
		place, state, err := u.State.After(u.Place, &todo[i].Act)
		if out[i].Err = err; err == nil && !dry {
			u.Place, u.State = place, state
		}
	}
	return out, nil
}

func (b *byHand) BeginMove(context.Context, ledger.AccountMove) error       { return nil }
func (b *byHand) EndMove(context.Context, ledger.AccountMove) error         { return nil }
func (b *byHand) Moves(context.Context) ([]ledger.AccountMove, error)       { return nil, nil }
func (b *byHand) ActsAbout(context.Context, grant.UserID) ([]string, error) { return nil, nil }
func (b *byHand) Forget(context.Context, ledger.Forget, bool) (ledger.Forgotten, error) {
	return ledger.Forgotten{}, nil
}
func (b *byHand) Record(context.Context, grant.HistoryEntry) error { return nil }

func (b *byHand) Proposals(context.Context) ([]grant.Proposal, time.Time, error) {
	return b.waiting, time.Now(), nil
}

func (b *byHand) Alone(context.Context, string, int64, int64, bool) (int64, bool, error) {
	return 0, true, nil
}

func (b *byHand) Propose(context.Context, grant.Proposal, time.Duration, [][]byte) (grant.Proposal, error) {
	return grant.Proposal{}, nil
}

func (b *byHand) Proposal(context.Context, string) (*grant.Proposal, time.Time, error) {
	return nil, time.Now(), nil
}
func (b *byHand) Proposed(context.Context, *grant.Proposal) ([]string, error) { return nil, nil }
func (b *byHand) Conclude(context.Context, string, grant.HistoryEntry) error  { return nil }

func (b *byHand) Decide(_ context.Context, id string, d grant.Decision) (grant.Proposal, error) {
	for i := range b.waiting {
		if p := b.waiting[i]; p.Act.ID == id {
			d.At = time.Now()
			out, err := p.Decide(&d)
			if err == nil {
				b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			}
			return out, err
		}
	}
	return grant.Proposal{}, grant.ErrNoProposal
}

// handled are campaigns about whose users somebody may do something.
type handled struct {
	several
	hands []*byHand
}

func (c handled) Open(ctx context.Context, name string) (*realdesk.Subject, error) {
	s, err := c.several.Open(ctx, name)
	for _, hand := range c.hands {
		if err == nil && name == hand.campaign.Name {
			s.Acts = func(granted *grant.Campaign) (*acts.Doer, error) {
				return &acts.Doer{Campaign: granted, Ledger: hand, Reader: hand, Trail: hand, Proposals: hand}, nil
			}
		}
	}
	return s, err
}

// acting opens the page of a user, for somebody who may do anything.
func acting(t *testing.T, path string) *page {
	t.Helper()
	access := filepath.Join(t.TempDir(), "access")
	line := fmt.Sprintf("minseo operator,erase sha256:%x\n", sha256.Sum256([]byte(supportToken)))
	require.NoError(t, os.WriteFile(access, []byte(line), 0o600))
	all := fiveCampaigns()
	at := time.Now()
	first := &byHand{people: all[0], waiting: []grant.Proposal{{
		Act: grant.Act{
			ID:         "bots",
			Kind:       grant.ActRevoke,
			Who:        "jiyoon",
			Via:        "cli",
			Reason:     "봇 계정 목록 12",
			Revocation: grant.RevokedFraud,
		},
		Users: 5000, Expected: map[string]int{"done": 4990}, At: at, Until: at.Add(72 * time.Hour), State: grant.ProposalPending,
	}}}
	server, err := realdesk.Start(realdesk.Config{
		Addr: "127.0.0.1:0", Access: access, Campaigns: handled{all, []*byHand{first, {people: all[1]}}},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return openAt(t, server.URL()+path)
}

// looks requires that axe-core and our own check find nothing on the page, on a screen and on a phone, and keeps
// what it looked like.
func (p *page) looks(axe, name string) {
	p.t.Helper()
	narrow := screen{name: "narrow", width: 390, height: 844, mobile: true}
	for theme, s := range map[string]screen{"light": desktop, "dark": narrow} {
		p.show(s, theme)
		at := name + "-" + s.name + "-" + theme
		p.shot(at, true)
		p.usable(at)
		p.clean(axe, at)
	}
	p.show(desktop, "light")
}

// tabTo presses Tab until an element has the focus.
func (p *page) tabTo(selector string) {
	p.t.Helper()
	for range 80 {
		if eval[bool](p, "document.activeElement.matches('"+selector+"')") {
			return
		}
		p.press("Tab")
	}
	require.FailNow(p.t, "not reached by Tab", selector)
}

// TestActsByKeyboard: in Korean and without a mouse: the link, the form, what will happen, the act, and what waits for a second
// person; axe-core and our own check find nothing on any of it, on a screen and on a phone.
func TestActsByKeyboard(t *testing.T) {
	script := axe(t)
	p := acting(t, fmt.Sprintf("/users/%d", customer))
	look := func(name string) { p.looks(script, "acts-"+name) }
	p.await(element("token") + " !== null")
	p.enter(supportToken)
	p.do(chromedp.Focus(chromedp.CSS("button[lang=ko]")))
	p.leave()
	p.await("document.documentElement?.lang === 'ko'")
	look("user")
	p.tabTo(`a.act[href$="sorry-2022/revoke"]`)
	p.leave()
	p.await(element("f-reason") + " !== null")
	look("form")
	p.tabTo("#f-revocation")
	p.do(chromedp.KeyEvent("부정"))
	p.tabTo("#f-reason")
	p.do(chromedp.KeyEvent("문의 4711: 부정 사용"))
	p.tabTo("#next")
	p.leave()
	p.await(element("confirm") + " !== null")
	require.Contains(t, p.text("happens"), "사용자 41231007의 sorry-2022 혜택(thank-you-permanent, cheer-up-90d, short-7d)을 회수합니다")
	look("confirm")
	p.tabTo("#confirm")
	p.leave()
	p.await(element("notice") + " !== null")
	require.Equal(t, "완료: 회수.", p.text("notice"))
	require.Contains(t, strings.Join(strings.Fields(p.text("main")), " "), "회수됨 사과의 마음을 담은 이모티콘 3종")
	look("done")

	p.tabTo("#waiting")
	p.leave()
	p.await("document.querySelectorAll('article[data-request=bots]').length === 1")
	look("waiting")
	p.tabTo("#p0-why")
	p.do(chromedp.KeyEvent("목록 확인"))
	p.tabTo("button[value=reject]")
	p.leave()
	p.await(element("nothing") + " !== null")
	require.Contains(t, p.text("notice"), "거절했습니다")
}

// TestEveryFormOfAnAct: each form, reached by keyboard from the user whom it is for, and what it says will happen: axe-core and
// our own check find nothing, on a screen and on a phone.
func TestEveryFormOfAnAct(t *testing.T) {
	script := axe(t)
	p := acting(t, fmt.Sprintf("/users/%d", customer))
	p.await(element("token") + " !== null")
	p.enter(supportToken)
	root := strings.TrimSuffix(eval[string](p, "location.href"), fmt.Sprintf("/users/%d", customer))
	for _, form := range []struct {
		user      int
		act       string
		also, has string // a field beside the reason, and what is in it
		happens   string // what will happen
	}{
		{stranger, "sorry-2022/hand", "", "", "99999999 is granted sorry-2022 now"},
		{stranger, "sorry-2022/exclude", "", "", "99999999 never gets sorry-2022"},
		{revoked, "sorry-2022/reinstate", "", "", "41231008 has sorry-2022 again, with the first dates"},
		{customer, "sorry-2022/extend", "f-time", "2031-02-03T23:59", "in sorry-2022 ends at 3 February 2031, 23:59:00"},
		{customer, "sorry-2022/move", "f-to", fmt.Sprint(stranger), "41231007 loses sorry-2022, and user 99999999 gets it"},
		{customer, "offer-2023/recall", "f-item", "credit", "credit of offer-2023 that user 41231007 has not taken"},
		{customer, "sorry-2022/note", "", "", "Whoever looks user 41231007 up sees the note"},
		{customer, "sorry-2022/erase", "f-confirm", fmt.Sprint(customer), "note about this user alone goes for good"},
	} {
		p.do(chromedp.Navigate(fmt.Sprintf("%s/users/%d?lang=en", root, form.user)))
		p.await(element("q") + " !== null")
		p.tabTo(`a.act[href$="` + form.act + `"]`)
		p.leave()
		p.await(element("f-reason") + " !== null")
		if form.also != "" {
			p.tabTo("#" + form.also)
			eval[any](p, fmt.Sprintf("%s.value = %q, null", element(form.also), form.has))
		}
		p.tabTo("#f-reason")
		p.do(chromedp.KeyEvent("ticket 4711 🙏"))
		name := strings.ReplaceAll(form.act, "/", "-")
		p.looks(script, "form-"+name)
		p.tabTo("#next")
		p.leave()
		p.await(element("confirm") + " !== null")
		require.Contains(t, p.text("main"), "ticket 4711 🙏")
		require.Contains(t, p.text("happens"), form.happens, form.act)
		if form.act == "sorry-2022/erase" { // it says most
			p.looks(script, "confirm-"+name)
		}
	}
}
