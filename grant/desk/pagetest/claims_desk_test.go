//go:build integration

package pagetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// staffSees requires that axe-core and our own check find nothing on the page, on a screen and on a phone, and keeps what it
// looked like.
func (p *page) staffSees(axe, name string) {
	p.t.Helper()
	narrow := screen{name: "narrow", width: 390, height: 844, mobile: true}
	for theme, s := range map[string]screen{"light": desktop, "dark": narrow} {
		p.show(s, theme)
		at := name + "-" + s.name
		p.shot(at, true)
		require.Empty(p.t, eval[[]string](p, check), at)
		p.clean(axe, at)
	}
	p.show(desktop, "light")
}

// TestASecretaryExtendsAWindow, in Korean and by keyboard only.
func TestASecretaryExtendsAWindow(t *testing.T) {
	s, programme := storetest.Open(t)
	p := openAt(t, claimsDesk(t, s, programme, map[string]string{"oh claims-secretary": supportToken}))
	script := axe(t)
	p.enterClaims(supportToken)
	p.tabTo(`.places a[href$="claims/windows"]`)
	p.leave()
	p.shows("title", "기간")
	p.tabTo("details:has(#extend-documents) summary")
	p.press("Space")
	p.staffSees(script, "claims-windows")
	until := time.Now().In(programme.Zone).AddDate(0, 1, 0).Format(time.DateOnly) + "T23:59:59"
	p.tabTo("#until-documents")
	eval[any](p, "document.getElementById('until-documents').value = '"+until+"', null")
	p.tabTo("#why-documents")
	p.do(chromedp.KeyEvent("아직 서류를 못 낸 분이 많음"))
	p.tabTo("#extend-documents button")
	p.leave()
	p.awaitFocus("sure")
	p.staffSees(script, "claims-extend")
	p.tabTo("#sure")
	p.leave()
	p.shows("amendments", "연장 기록")
	p.staffSees(script, "claims-extended")
	list, err := s.Amendments(t.Context(), programme.Name)
	require.NoError(t, err)
	require.Equal(t, "oh", list[0].Who)
	require.Equal(t, "아직 서류를 못 낸 분이 많음", list[0].Why)
}

// TestAReviewerHandsOverWhileDecisionsAreFrozen, in Korean and by keyboard only; the colleague finds it among hers, looks at what
// chance has looked at again, and says that it is right when the freeze has ended.
func TestAReviewerHandsOverWhileDecisionsAreFrozen(t *testing.T) {
	s, _ := storetest.Open(t)
	programme, err := s.Adopt(t.Context(),
		bytes.Replace(storetest.Source(t), []byte("second_look: 0%"), []byte("second_look: 100%"), 1))
	require.NoError(t, err)
	c := storetest.Receive(t, s, programme, 1, 310_000)[0]
	won := claims.Won(50_000)
	require.NoError(t, s.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules},
		{Claim: c, Action: claims.Approve, By: store.Rules, Reason: "the rules", Change: store.Change{Owed: &won}},
	}, nil))
	freeze := store.Freeze{Who: "oh", Why: "두 규칙이 서로 다름", Frozen: true}
	_, err = s.SetFreeze(t.Context(), programme.Name, freeze)
	require.NoError(t, err)
	url := claimsDesk(t, s, programme, map[string]string{
		"kim claims-reviewer,claims-freeze": supportToken, "lee claims-reviewer": operatorToken,
	})
	p, script := openAt(t, url), axe(t)
	p.enterClaims(supportToken)
	p.shows("frozen", "oh님이")
	p.tabTo(`a[href*="queue=second_look"]`)
	p.leave()
	p.tabTo("#filters summary")
	p.press("Space")
	p.staffSees(script, "claims-frozen-queue")
	p.tabTo("#filter-industry")
	p.do(chromedp.KeyEvent("retail"))
	p.tabTo("#filters button")
	p.leave()
	p.shows("title", "무작위 재확인 1")
	p.tabTo(`tbody a`)
	p.leave()
	require.True(t, eval[bool](p, "document.querySelector('#do-confirm button').disabled"))
	p.tabTo("details:has(#do-confirm) summary")
	p.press("Space")
	p.tabTo("details:has(#do-hand_over) summary")
	p.press("Space")
	p.staffSees(script, "claims-frozen-case")
	p.tabTo("#hand_over-to")
	p.do(chromedp.KeyEvent("lee"))
	p.tabTo("#hand_over-why")
	p.do(chromedp.KeyEvent("월요일까지 휴가"))
	p.tabTo("#do-hand_over button")
	p.leave()
	p.shows("history", "기록")
	list, err := s.Get(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, "lee", list[0].Assigned)
	p.staffSees(script, "claims-handed-over")

	p.tabTo(`#frozen a[href$="claims/freeze"]`)
	p.leave()
	p.staffSees(script, "claims-freeze")
	p.tabTo("#freeze-why")
	p.do(chromedp.KeyEvent("정리됨"))
	p.tabTo("#do-freeze button")
	p.leave()
	p.awaitFocus("sure")
	p.staffSees(script, "claims-thaw")
	p.tabTo("#sure")
	p.leave()
	p.shows("past", "기록")
	require.NoError(t, s.Frozen(t.Context(), programme.Name))
	p = openAt(t, url)
	p.enterClaims(operatorToken)
	p.tabTo(`a[href*="queue=second_look"]`)
	p.leave()
	p.tabTo(`a[href*="whose=mine"]`)
	p.leave()
	p.shows("title", "무작위 재확인 1")
	p.staffSees(script, "claims-mine")
	p.tabTo(`tbody a`)
	p.leave()
	p.tabTo("details:has(#do-confirm) summary")
	p.press("Space")
	p.tabTo("#confirm-why")
	p.do(chromedp.KeyEvent("매출 자료와 같음"))
	p.tabTo("#do-confirm button")
	p.leave()
	p.shows("title", "지급 결정")
	list, err = s.Get(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, claims.Approved, list[0].State)
}

// TestPrivacyAtTheDesk, in Korean and by keyboard only: who has looked, and an owner is erased.
func TestPrivacyAtTheDesk(t *testing.T) {
	s, programme := storetest.Open(t)
	c := storetest.Receive(t, s, programme, 1, 310_000)[0]
	require.NoError(t, s.Commit(t.Context(), []store.Step{{Claim: c, Action: claims.Withdraw, By: store.Owner}}, nil))
	_, err := s.ReadPerson(t.Context(), c.ID, store.Actor{Name: "kim", Duty: claims.Reviewer}, "127.0.0.1", "본인 전화")
	require.NoError(t, err)
	p := openAt(t, claimsDesk(t, s, programme, map[string]string{"seo claims-privacy": supportToken}))
	script := axe(t)
	p.enterClaims(supportToken)
	p.tabTo(`.places a[href$="claims/access"]`)
	p.leave()
	p.shows("title", "누가 누구의 개인정보를")
	const row = "[...document.querySelectorAll('main %s')].map(c => c.innerText.trim()).join(' | ')"
	require.Equal(t, "언제 | 누가 | 업무 | 어디서 | 신청 | 무엇을 | 왜", eval[string](p, fmt.Sprintf(row, "thead th")))
	require.Regexp(t, `^[^|]*20[^|]* \| kim \| 심사 \| 127\.0\.0\.1 \| `+c.ID+` \| 신청인 \| 본인 전화$`,
		eval[string](p, fmt.Sprintf(row, "tbody tr:first-child > *")))
	p.staffSees(script, "claims-access")
	p.tabTo("tbody a")
	p.leave()
	p.tabTo("details:has(#do-erase) summary")
	p.press("Space")
	p.tabTo("#erase-why")
	p.do(chromedp.KeyEvent("본인 요청"))
	p.tabTo("#do-erase button")
	p.leave()
	p.awaitFocus("sure")
	p.staffSees(script, "claims-erase")
	p.tabTo("#sure")
	p.leave()
	p.shows("person", "신청인")
	list, err := s.Get(t.Context(), c.ID)
	require.NoError(t, err)
	require.True(t, list[0].Erased)
}

// TestStatisticsOnThePage, in Korean and by keyboard only: a budget is confirmed by a second person; what there is, and what
// other rules would cost.
func TestStatisticsOnThePage(t *testing.T) {
	s, programme := storetest.Open(t)
	for i, loss := range []claims.Won{80_000, 250_000, 310_000, 320_000, 460_000, 900_000, 20_000_000} {
		_, err := s.Receive(t.Context(), []store.Filing{storetest.Filing(programme, i, loss)}, nil)
		require.NoError(t, err)
		storetest.Reported(t, s, programme, 2*i, loss, store.Reporter{})
	}
	_, err := s.ProposeBudget(t.Context(), programme, programme.Budget, 6_000_000_000, nil,
		store.Actor{Name: "oh", Duty: claims.Secretary}, "이사회 결정 14호")
	require.NoError(t, err)
	p := openAt(t, claimsDesk(t, s, programme, map[string]string{"shin claims-approver": supportToken}))
	script := axe(t)
	p.enterClaims(supportToken)
	p.tabTo(`.places a[href$="claims/budget"]`)
	p.leave()
	p.shows("proposal", "다른 사람의 확인을 기다리는 제안")
	p.staffSees(script, "claims-budget")
	p.tabTo("details:has(#do-confirm) summary")
	p.press("Space")
	p.tabTo("#confirm-why")
	p.do(chromedp.KeyEvent("결정서를 확인함"))
	p.tabTo("#do-confirm button")
	p.leave()
	p.awaitFocus("sure")
	p.tabTo("#sure")
	p.leave()
	p.shows("amendments", "예산 변경 기록")
	p.staffSees(script, "claims-budget-amended")
	p.tabTo(`.places a[href$="claims/statistics"]`)
	p.leave()
	p.shows("title", "통계")
	p.shows("reported", "먼저 신고한 사업자")
	p.staffSees(script, "claims-statistics")
	p.tabTo("#proposed")
	proposed := bytes.Replace(storetest.Source(t), []byte("pay: 50000"), []byte("pay: 80000"), 1)
	eval[any](p, fmt.Sprintf("document.getElementById('proposed').value = %q, null", proposed))
	p.tabTo("#compute")
	p.leave()
	p.shows("change", "누가 더 받고")
	p.staffSees(script, "claims-proposal")
}
