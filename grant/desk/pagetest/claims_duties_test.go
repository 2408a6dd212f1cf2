//go:build integration

package pagetest

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// TestAClaimFromTheApproverToTheAuditor, in Korean and by keyboard only: an approver decides what is in review; a payer sees it
// owed, at the bank and paid, with the bank's money, and notes that it came back; an auditor reads all of it, and can change
// nothing.
func TestAClaimFromTheApproverToTheAuditor(t *testing.T) {
	s, programme := storetest.Open(t)
	filing := storetest.Filing(programme, 0, 1_500_000)
	_, err := s.Receive(t.Context(), []store.Filing{filing}, nil)
	require.NoError(t, err)
	now := func() *store.Claim {
		list, err := s.Get(t.Context(), filing.ID)
		require.NoError(t, err)
		return list[0]
	}
	c := now()
	assessed, err := programme.Assess(&c.Facts)
	require.NoError(t, err)
	proposal := programme.Propose(&c.Facts, &assessed)
	require.NoError(t, s.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules, Change: store.Change{Assessment: &assessed, Proposal: &proposal}},
		{Claim: c, Action: store.Identify, By: store.Rules, Change: store.Change{Identity: &store.Identity{Complete: true}}},
		{Claim: c, Action: claims.Review, By: store.Rules, Reason: "above the tiers"},
	}, nil))
	const auditorToken = "granter_auditor-of-claims-0123456789abcdefghijklmn"
	url := claimsDesk(t, s, programme, map[string]string{
		"park claims-approver": supportToken, "choi claims-payer": operatorToken, "shin auditor": auditorToken,
	})
	script := axe(t)
	p := openAt(t, url)
	queue := func(name, title string) {
		p.tabTo(`a[href*="queue=` + name + `"]`)
		p.leave()
		p.shows("title", title)
	}
	do := func(action, why string, more ...string) {
		p.tabTo("details:has(#do-" + action + ") summary")
		p.press("Space")
		for i := 0; i < len(more); i += 2 {
			p.tabTo("#" + action + "-" + more[i])
			p.do(chromedp.KeyEvent(more[i+1]))
		}
		p.tabTo("#" + action + "-why")
		p.do(chromedp.KeyEvent(why))
		p.tabTo("#do-" + action + " button")
		p.leave()
		p.awaitFocus("sure")
		p.staffSees(script, "claims-"+action+"-sure")
		p.tabTo("#sure")
		p.leave()
	}

	p.enterClaims(supportToken)
	queue("in_review", "심사 1")
	p.tabTo("tbody a")
	p.leave()
	p.staffSees(script, "claims-approver")
	do("approve", "매출 자료로 확인함", "amount", "105000")
	p.shows("title", "지급 결정")
	require.EqualValues(t, 105_000, now().Owed)
	p.staffSees(script, "claims-approved")

	p = openAt(t, url)
	p.enterClaims(operatorToken)
	queue("payment", "지급 대기 1")
	p.staffSees(script, "claims-payer")
	run, err := s.Declare(t.Context(), programme, 10, store.Actor{Name: "choi", Duty: claims.Payer}) // granter claims pay
	require.NoError(t, err)
	require.Equal(t, 1, run.Payments)
	orders, err := s.HandOver(t.Context(), programme.Name, 0)
	require.NoError(t, err)
	queue("bank", "은행 처리 중 1")
	answer := store.Answer{ID: "r-1", Payment: orders[0].ID, Status: store.BankSettled, Amount: 105_000}
	_, err = s.Answers(t.Context(), []store.Answer{answer}, nil) // granter claims reconcile
	require.NoError(t, err)
	queue("done", "끝남 1")
	p.tabTo("tbody a")
	p.leave()
	p.shows("payments", "지급")
	require.Contains(t, eval[string](p, "document.querySelector('main').innerText"), "은행이 지급한 금액: 105,000원")
	p.staffSees(script, "claims-paid")
	do("recoup", "은행이 잘못 보낸 돈을 돌려받음")
	p.shows("title", "반환됨")
	require.Equal(t, claims.Recouped, now().State)

	p = openAt(t, url)
	p.enterClaims(auditorToken)
	queue("done", "끝남 1")
	p.tabTo("tbody a")
	p.leave()
	p.shows("history", "기록")
	p.staffSees(script, "claims-auditor")
	require.Zero(t, eval[int](p, "document.querySelectorAll('main form[method=post]').length"), "an auditor can change nothing")
	require.NotContains(t, eval[string](p, "document.body.innerText"), filing.Person.Phone)
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
}

// TestOneSearchInABrowser, in Korean and by keyboard only: a phone number finds a claim, with a reason.
func TestOneSearchInABrowser(t *testing.T) {
	s, programme := storetest.Open(t)
	storetest.Receive(t, s, programme, 1, 310_000)
	p := openAt(t, usersOf(claimsDesk(t, s, programme, map[string]string{"kim claims-intake": supportToken})))
	script := axe(t)
	p.await(element("token") + "?.checkVisibility()")
	p.fill("token", supportToken)
	p.leave()
	p.await(element("q") + " !== null")
	p.tabTo(`.languages button[value=ko]`)
	p.leave()
	p.tabTo("#q")
	p.do(chromedp.KeyEvent("010-1234-0000"))
	p.tabTo("#search .primary")
	p.leave()
	p.shows("claims-note", "사유를 입력하세요")
	p.staffSees(script, "search-why")
	p.tabTo("#why")
	p.do(chromedp.KeyEvent("본인 전화"))
	p.tabTo("#search .primary")
	p.leave()
	p.shows("claims-list", "c-000000")
	p.staffSees(script, "search-found")
}

// usersOf is the page on which people are looked up, of the desk whose claims are at an address.
func usersOf(claimsAt string) string { return claimsAt[:len(claimsAt)-len("claims")] + "users" }
