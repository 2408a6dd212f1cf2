//go:build integration

package pagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

var tablet = screen{name: "390", width: 390, height: 844, mobile: true}

// briefs are five campaigns: one runs, and of the others one is held, one not begun, one over, one aborted; and one is broken.
func briefs(st status.Status) []status.Brief {
	at := func(d time.Duration) *time.Time {
		t := time.Now().Add(d).Truncate(time.Second).In(seoul)
		return &t
	}
	hold := []grant.Hold{{
		Cause: grant.CauseOperator, Detail: "paused by jiyoon: complaints about the second emoticon", Since: time.Now(),
	}}
	return []status.Brief{
		{
			Campaign: "store-credit-2026", Title: "스토어 크레딧 5,000원", Phase: status.PhasePaused, StartsAt: at(-time.Hour),
			Granted: 1_200_000, Expected: 9 * million, Percentage: 13.33, Replicas: 4, Holds: hold,
			Control: &grant.Control{Version: 1, Paused: true, PausedBy: &grant.Given{
				At: *at(-time.Minute), Who: "jiyoon", Why: "complaints about the second emoticon",
			}},
		},
		st.Brief(),
		status.Unreadable("broken-2021", fmt.Errorf(
			"the ledger is inconsistent: the spec that users are granted by (granter:{broken-2021}:spec) cannot be read")),
		{
			Campaign: "summer-2027", Title: "여름 이모티콘 선물", Phase: status.PhaseWaiting, StartsAt: at(73 * time.Hour),
			Expected: 48 * million, Replicas: 2,
			Holds: []grant.Hold{{Cause: grant.CauseSchedule, Detail: "starts in 3 days", Since: time.Now()}},
		},
		{
			Campaign: "test-2025", Title: "A test that was aborted", Phase: status.PhaseAborted, StartsAt: at(-9000 * time.Hour),
			Granted: 12, Holds: []grant.Hold{},
		},
		{
			Campaign: "sorry-2021", Title: "사과의 마음을 담은 이모티콘", Phase: status.PhaseFinished, StartsAt: at(-9999 * time.Hour),
			Granted: 47_999_120, Expected: 48 * million, Percentage: 99.998, Holds: []grant.Hold{},
		},
	}
}

func listed(t *testing.T) (*desk, *page) {
	t.Helper()
	st := running()
	d := newDesk(t, st)
	d.briefs = briefs(st)
	p := openAt(t, d.URL+"/")
	p.signIn(viewerToken)
	p.await("document.querySelectorAll('#campaigns tr').length === 6")
	return d, p
}

// TestListOfCampaigns: one line for each campaign, with what somebody wants to know first; it follows, and tells.
func TestListOfCampaigns(t *testing.T) {
	d, p := listed(t)
	rows := eval[[]string](p,
		"[...document.querySelectorAll('#campaigns tr')].map((tr) => tr.innerText.replace(/[\\u202f\\u00a0]/g, ' '))")
	for i, want := range [][]string{
		{
			"스토어 크레딧 5,000원", "store-credit-2026", "Paused", "13.33 % · 1 200 000 of 9 000 000", "UTC+09:00", "4",
			"Paused by operator: paused by jiyoon",
		},
		{"Three emoticons for every KakaoTalk user", "Running", "65.00 %", "2", "nothing"},
		{"broken-2021", "Not known", "not known", "Cannot be read: the ledger is inconsistent"},
		{"여름 이모티콘 선물", "Waiting", "Before the start"},
		{"Aborted", "12 users"},
		{"사과의 마음을 담은 이모티콘", "Finished", "99.99 % · 47 999 120 of 48 000 000"},
	} {
		for _, words := range want {
			require.Contains(t, rows[i], words)
		}
	}
	require.Equal(t, []string{"ko", "", "", "ko", "", "ko"},
		eval[[]string](p, "[...document.querySelectorAll('#campaigns a')].map((a) => a.lang)"))
	require.Equal(t, "6 campaigns", p.text("campaigns-summary"))

	d.change(func(d *desk) { d.briefs[0].Phase, d.briefs[0].Holds = status.PhaseRunning, []grant.Hold{} })
	p.await("document.querySelector('#campaigns .phase').innerText === 'Running'")
	p.shows("announcer", "스토어 크레딧 5,000원: Running.")

	d.change(func(d *desk) { d.fails["/api/v1/campaigns"] = &problem{Status: 503, Detail: "cannot reach Redis"} })
	p.shows("campaigns-error", "cannot reach Redis")
	p.shows("connection", "Lost")
	require.Len(t, eval[[]string](p, "[...document.querySelectorAll('#campaigns tr')].map((tr) => tr.innerText)"), 6,
		"what is known stays")
	d.comeBack()
	p.shows("connection", "Live")
	require.Empty(t, p.text("campaigns-error"))
}

// TestListByKeyboard: in, along the list, into a campaign, and back, without a mouse.
func TestListByKeyboard(t *testing.T) {
	d, p := listed(t)
	p.await("document.activeElement.id === 'main'")
	for range 12 {
		p.press("Tab")
		if strings.Contains(p.focused(), "Three emoticons") {
			break
		}
	}
	require.Contains(t, p.focused(), "Three emoticons")
	p.press("Enter")
	p.await("location.pathname === '/campaigns/" + d.campaign.Name + "/'" +
		" && document.getElementById('sections')?.hidden === false")
	require.Equal(t, "wallboard", p.text("user-name"), "nobody has to sign in again")
	eval[any](p, "document.activeElement.blur(), null")
	for range 12 {
		p.press("Tab")
		if p.focused() == "all" {
			break
		}
	}
	require.Equal(t, "all", p.focused())
	p.press("Enter")
	p.await("location.pathname === '/' && document.querySelectorAll('#campaigns tr').length === 6")
}

// TestListIsAccessible looks at the list in both widths and themes, and keeps pictures of it.
func TestListIsAccessible(t *testing.T) {
	_, p := listed(t)
	for _, s := range []screen{desktop, tablet, phone} {
		for _, theme := range []string{"light", "dark"} {
			p.show(s, theme)
			p.shot("list-"+s.name+"-"+theme, true)
			p.usable("list-" + s.name + "-" + theme)
		}
	}
	for _, width := range []int64{320, 480, 600, 736, 737, 1024, 1920} {
		p.show(screen{width: width, height: 800, mobile: width < 700}, "light")
		p.usable(fmt.Sprint(width))
	}
	require.Subset(t, tree(p), []node{
		{"banner", ""}, {"main", ""}, {"link", "Skip to the campaigns"}, {"heading", "Campaigns"}, {"region", "Campaigns"},
		{"columnheader", "Phase"}, {"columnheader", "What holds it"}, {"link", "여름 이모티콘 선물"},
		{"progressbar", "13.33 % of 스토어 크레딧 5,000원"},
	})
}

// TestOneCampaignNeedsNoList: whoever may see one campaign only is shown it, and the link carries the token there.
func TestOneCampaignNeedsNoList(t *testing.T) {
	d := newDesk(t, running())
	p := openAt(t, d.URL+"/#token="+viewerToken)
	p.await("location.href === '" + d.page() + "' && document.getElementById('sections')?.hidden === false")
	require.False(t, p.visible("all"))
	p.do(chromedp.Navigate(d.URL + "/?all"))
	p.await("!document.getElementById('desk').hidden")
	require.Equal(t, "/", eval[string](p, "location.pathname"))
}
