//go:build integration

package pagetest

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	realdesk "github.com/granter/granter/grant/desk"
)

// reviewing opens the queues of a desk with claims: one is in review, two share a phone.
func reviewing(t *testing.T) (*page, *store.Store) {
	t.Helper()
	s, p := storetest.Open(t)
	storetest.Receive(t, s, p, 2, 310_000)
	large := storetest.Filing(p, 7, 20_000_000)
	storetest.Reported(t, s, p, 7, 350_000, store.Reporter{Phone: "010-9999-9999"})
	_, err := s.Receive(t.Context(), []store.Filing{large}, nil)
	require.NoError(t, err)
	list, err := s.Get(t.Context(), "c-000000", "c-000001", large.ID)
	require.NoError(t, err)
	for i, c := range list {
		a, err := p.Assess(&c.Facts)
		require.NoError(t, err)
		proposal := p.Propose(&c.Facts, &a)
		action, signals := claims.Review, []claims.Signal(nil)
		if i < 2 {
			action = claims.Flag
			signals = []claims.Signal{
				{Kind: claims.SamePhone, What: "1 other claims have the same phone", Others: []string{list[1-i].ID}},
			}
		}
		steps := []store.Step{
			{Claim: c, Action: claims.Check, By: store.Rules, Change: store.Change{Assessment: &a, Proposal: &proposal}},
			{
				Claim:  c,
				Action: action,
				By:     store.Rules,
				Reason: "1 other claims have the same phone",
				Change: store.Change{Signals: signals},
			},
		}
		require.NoError(t, s.Commit(t.Context(), steps, nil))
	}
	return openAt(t, claimsDesk(t, s, p, map[string]string{"seoyeon claims-reviewer,claims-approver": supportToken})), s
}

// claimsDesk serves the pages of claims to people with tokens, by their names and roles, and returns where they begin.
func claimsDesk(t *testing.T, s *store.Store, p *claims.Programme, people map[string]string) string {
	t.Helper()
	return claimsDeskWith(t, s, p, documents.NewKeeper(s, documents.Folder(t.TempDir()), nil), people)
}

// claimsDeskWith is claimsDesk with documents that are there already.
func claimsDeskWith(
	t *testing.T, s *store.Store, p *claims.Programme, keeper *documents.Keeper, people map[string]string,
) string {
	t.Helper()
	desk := &review.Desk{Store: s, Programme: p, Documents: keeper, Within: 10 * 24 * time.Hour, Now: time.Now}
	return claimsDeskOf(t, desk, people)
}

// claimsDeskOf is claimsDesk with all that a review desk can have.
func claimsDeskOf(t *testing.T, desk *review.Desk, people map[string]string) string {
	t.Helper()
	access := filepath.Join(t.TempDir(), "access")
	lines := ""
	for who, token := range people {
		lines += fmt.Sprintf("%s sha256:%x\n", who, sha256.Sum256([]byte(token)))
	}
	require.NoError(t, os.WriteFile(access, []byte(lines), 0o600))
	desk.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	server, err := realdesk.Start(realdesk.Config{
		Addr: "127.0.0.1:0", Access: access, Campaigns: several{}, Log: desk.Log, Claims: desk,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.URL() + "/claims"
}

// enterClaims signs in to the pages of claims by keyboard, in Korean.
func (p *page) enterClaims(token string) {
	p.t.Helper()
	p.await(element("token") + "?.checkVisibility()")
	p.fill("token", token)
	p.leave()
	p.await(element("find") + " !== null")
	p.tabTo("header a[lang=ko]")
	p.leave()
	require.Equal(p.t, "ko", eval[string](p, "document.documentElement.lang"))
}

// TestAReviewersDay: in Korean, by keyboard only: sign in, judge the signals of two claims together, decide a large one, and be
// told when somebody else was first.
func TestAReviewersDay(t *testing.T) {
	p, s := reviewing(t)
	script := axe(t)
	screens := func(name string) {
		for _, sc := range []screen{phone, desktop} {
			p.show(sc, "light")
			p.clean(script, name+" on a "+sc.name)
			p.shot("claims-"+name+"-"+sc.name, true)
			require.True(
				t,
				eval[bool](p, "document.documentElement.scrollWidth <= window.innerWidth"),
				"%s is wider than a %s",
				name,
				sc.name,
			)
		}
	}
	enter := func(focus string) {
		p.do(chromedp.Focus(chromedp.CSS(focus)))
		p.leave()
	}
	p.await(element("token") + "?.checkVisibility()")
	p.fill("token", supportToken)
	p.leave()
	p.await(element("find") + " !== null")
	enter("header a[lang=ko]")
	require.Equal(t, "ko", eval[string](p, "document.documentElement.lang"))
	p.shows("title", "보류: 확인할 신호 2")
	screens("queue")

	for _, id := range []string{"c-000000", "c-000001"} {
		p.do(chromedp.Focus(chromedp.CSS("input[value="+id+"]")), chromedp.KeyEvent(" "))
	}
	p.do(chromedp.Focus(chromedp.CSS("#many-why")), chromedp.KeyEvent("사장님 한 분의 가게 두 곳"))
	enter(".many button")
	p.shows("title", "예상 결과: 모두 처리")
	screens("together")
	enter("#sure")
	p.shows("title", "처리 결과: 모두 처리")
	list, err := s.Get(t.Context(), "c-000000", "c-000001", "c-000007")
	require.NoError(t, err)
	require.Equal(t, claims.Checking, list[0].State)
	require.Equal(t, claims.Checking, list[1].State)

	enter("main p a")
	p.do(chromedp.Focus(chromedp.CSS("#find")), chromedp.KeyEvent("c-000007"))
	p.leave()
	p.shows("title", "c-000007 심사 중")
	p.shows("earlier", "이전 신고")
	p.do(chromedp.Focus(chromedp.CSS("details:has(#do-approve) summary")), chromedp.KeyEvent(" "))
	screens("case")
	p.do(chromedp.Focus(chromedp.CSS("#approve-amount")), chromedp.KeyEvent("900,000"),
		chromedp.Focus(chromedp.CSS("#approve-why")), chromedp.KeyEvent("매출 자료로 확인함"))
	enter("#do-approve button")
	p.awaitFocus("sure")
	screens("confirm")

	other := decide.Decision{Action: store.Note, By: store.Actor{Name: "minji", Duty: claims.Reviewer}, Why: "전화 통화함"}
	require.NoError(
		t,
		s.Commit(t.Context(), []store.Step{{Claim: list[2], Action: other.Action, By: other.By, Reason: other.Why}}, nil),
	)
	p.leave()
	p.shows("problem", "minji")
	screens("second")
	p.await(`document.querySelector("#approve-amount").value === "900,000"`) // the form is open, with what was written
	p.await(`document.querySelector("#approve-why").value === "매출 자료로 확인함"`)
	enter("#do-approve button")
	p.awaitFocus("sure")
	p.leave()
	p.shows("title", "c-000007 지급 결정")
	list, err = s.Get(t.Context(), "c-000007")
	require.NoError(t, err)
	require.EqualValues(t, 900_000, list[0].Owed)
	screens("decided")
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
}
