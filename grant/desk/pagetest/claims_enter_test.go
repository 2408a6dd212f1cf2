//go:build integration

package pagetest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// TestStaffEnterAClaimOnThePage, in Korean and by keyboard only: a mistake, the answers once more, and the receipt.
func TestStaffEnterAClaimOnThePage(t *testing.T) {
	s, programme := storetest.Open(t)
	now := func() time.Time { return time.Date(2022, 10, 21, 3, 0, 0, 0, time.UTC) }
	s.SetClock(now)
	p := openAt(t, claimsDeskOf(t, &review.Desk{Store: s, Programme: programme, Now: now, Public: "https://claims.example.com"},
		map[string]string{"han claims-intake": supportToken}))
	script := axe(t)
	p.enterClaims(supportToken)
	p.tabTo(`.places a[href$="claims/enter"]`)
	p.leave()
	p.shows("title", "대신해 접수")
	write := func(field, words string) {
		p.tabTo("#f-" + field)
		p.do(chromedp.KeyEvent(words))
	}
	write("business_number", "120-81-47521")
	write("representative", "김사장")
	write("opened", "20200301")
	p.tabTo("#f-industry")
	p.press("Space")
	write("outage_sales", "1000000")
	write("week_sales_1", "131만")
	p.tabTo("#f-alternative_available")
	p.press("Space")
	write("phone", "010")
	p.tabTo("#f-bank")
	p.do(chromedp.KeyEvent("신"))
	write("account", "110-123-456789")
	p.tabTo("#enter button")
	p.leave()
	p.await("document.querySelector('.problem') !== null")
	p.staffSees(script, "claims-enter-wrong")
	write("phone", "010-1234-5678") // the tabulator chooses what is there
	p.tabTo("#enter button")
	p.leave()
	p.awaitFocus("sure")
	p.shows("confirm", "신청인에게 읽어 주고")
	p.staffSees(script, "claims-enter-check")
	p.tabTo("#sure")
	p.leave()
	p.shows("title", "접수했습니다")
	p.staffSees(script, "claims-receipt")
	number := eval[string](p, "document.getElementById('number').innerText")
	_, _, err := s.Enter(t.Context(), number, eval[string](p, "document.getElementById('code').innerText"))
	require.NoError(t, err)
	list, err := s.Get(t.Context(), number)
	require.NoError(t, err)
	require.Equal(t, []string{"staff", "han"}, []string{list[0].Channel, list[0].EnteredBy})
}
