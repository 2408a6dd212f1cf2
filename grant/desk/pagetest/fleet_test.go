//go:build integration

package pagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/status"
)

// TestADayWithFiveCampaigns: five campaigns run at once, by twenty replicas, and one desk shows them; and somebody in support
// spends a day with it: in Korean, by keyboard alone, on real servers.
func TestADayWithFiveCampaigns(t *testing.T) {
	s := ship(t)
	const campaigns, each, users = 5, 4, 400
	for c := range campaigns {
		items := ""
		if c == 0 {
			items = offers
		}
		spec, _ := s.campaign(fmt.Sprintf("gift-%d", c+1), longAgo, users, items)
		if c == 0 {
			s.do("exclude", "-f", spec, "--reason", "해외 전화번호", fmt.Sprint(toExclude))
		}
		for range each {
			s.start("run", "-f", spec, "--follow", "--listen=off", "--shards=2", "--memory=128MiB")
		}
	}
	tokens := s.serve(map[string]realdesk.Role{"minseo": realdesk.RoleSupport, "jiyoon": realdesk.RoleOperator})
	s.token = tokens["minseo"]
	s.await("twenty replicas have granted all", func() bool {
		var list struct{ Campaigns []status.Brief }
		s.get(s.token, "/api/v1/campaigns", &list)
		replicas, granted := 0, int64(0)
		for _, b := range list.Campaigns {
			replicas += b.Replicas
			granted += b.Granted
		}
		return len(list.Campaigns) == campaigns && replicas == campaigns*each && granted == campaigns*users-1
	})
	s.do("revoke", "--campaign", "gift-1", "--kind", "fraud", "--reason", "도용 신고", fmt.Sprint(toRevoke))
	t.Run("list", s.listOfFive(tokens["jiyoon"]))
	t.Run("day", s.day)
}

// listOfFive looks at the list, on a screen and on a phone.
func (s *shipped) listOfFive(token string) func(*testing.T) {
	return func(t *testing.T) {
		p := openAt(t, s.desk+"/")
		p.signIn(token)
		p.await("document.querySelectorAll('#campaigns tr').length === 5")
		says := strings.Join(strings.Fields(p.text("campaigns")), " ")
		for c := range 5 {
			require.Contains(t, says, fmt.Sprintf("캠페인 gift-%d", c+1))
		}
		require.Equal(t, 5, strings.Count(says, "4 replicas")+strings.Count(says, " 4 "), says)
		script := axe(t)
		for _, on := range []screen{desktop, tablet} {
			p.show(on, "light")
			p.shot("five-campaigns-"+on.name, true)
			p.clean(script, "five campaigns, "+on.name)
		}
	}
}

// tab presses Tab until something has the focus.
func (p *page) tab(selector string) {
	p.t.Helper()
	for range 80 {
		p.press("Tab")
		if eval[bool](p, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	require.FailNow(p.t, "no Tab leads there", selector)
}

// day is the day of somebody in support. No step of it uses a mouse.
func (s *shipped) day(t *testing.T) {
	p := openAt(t, "about:blank")
	p.do(command(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: "Mozilla/5.0 Chrome", AcceptLanguage: "ko-KR,ko",
	}), chromedp.Navigate(s.desk+"/users"))
	script := axe(t)
	look := func(name string) {
		for _, on := range []screen{desktop, tablet} {
			p.show(on, "light")
			p.shot("day-"+name+"-"+on.name, true)
			p.usable("day-" + name)
			p.clean(script, "day, "+name+", "+on.name)
		}
		p.show(desktop, "light")
	}
	p.await("document.documentElement?.lang === 'ko' && " + element("token") + " !== null")
	p.awaitFocus("token")
	look("sign-in")
	p.do(chromedp.KeyEvent(s.token))
	p.leave()
	p.awaitFocus("q")

	p.do(chromedp.KeyEvent("고객님 회원번호는 ０００１３ 입니다"))
	p.leave()
	p.await(element("verdict") + " !== null")
	require.Equal(t, "지급됨: 캠페인 5개 중 5개.", p.text("verdict"))
	look("granted")
	p.tab("details.replies summary")
	p.press("Enter")
	p.tab("details.replies textarea")
	require.Contains(t, eval[string](p, "document.activeElement.value"), "혜택은")
	p.tab("details.replies button.copy")
	p.press("Enter")
	p.await("document.querySelector('details.replies .copied').innerText !== ''")

	p.tab("a.trace")
	p.leave()
	p.await("document.querySelector('section.trace')")
	require.Contains(t, p.text("main"), "ID가 1번 나옵니다")
	look("trace")

	for user, code := range map[int]lookup.Code{toExclude: lookup.Excluded, toRevoke: lookup.Revoked} {
		p.do(chromedp.Focus(chromedp.CSS("#q")))
		p.fill("q", fmt.Sprint(user))
		p.leave()
		p.await(fmt.Sprintf("document.querySelector('[data-code=%s]')", code))
		look(string(code))
	}
	p.fill("q", fmt.Sprintf("%d, %d, 99,999", toTake, toExclude))
	p.leave()
	p.await("document.querySelectorAll('.answers tbody tr').length === 3")
	look("list")
	p.tab("#sign-out")
	p.leave()
	p.await(element("token") + " !== null")
}
