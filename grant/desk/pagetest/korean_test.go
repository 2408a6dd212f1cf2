//go:build integration

package pagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

// in opens a page in a language, as somebody does who chooses it.
func in(t *testing.T, d *desk, lang, at string) *page {
	t.Helper()
	return openAt(t, d.URL+"/?lang="+lang+"&next="+at)
}

// koreanPage is the operations page in Korean, for somebody who is signed in.
func koreanPage(t *testing.T, d *desk, token string) *page {
	t.Helper()
	p := in(t, d, "ko", "campaigns/"+d.campaign.Name+"/")
	p.signIn(token)
	p.await("!document.getElementById('sections').hidden")
	return p
}

// english returns the words on the page that a reader of Korean would not expect: whatever is seen or read out in Latin letters,
// is in no element of another language, and is no name. Theirs are names and words of others.
func (p *page) english(theirs ...string) []string {
	p.t.Helper()
	return eval[[]string](p, fmt.Sprintf(`(() => {
		const names = new RegExp("\\b(granter( [a-z]+)*|Redis|Kafka|Prometheus|JavaScript|API|JSON|UUID|UTF|UTC|ID|" +
			"[KMGT]?i?B|ms|[0-9a-f]{8,})\\b|v\\d[.\\d]*", "g");
		const theirs = %s;
		const left = (text) => theirs.reduce((rest, word) => rest.replaceAll(word, ""), text).replace(names, "")
			.match(/[A-Za-z]{2,}/g) ?? [];
		const found = [];
		const look = (text, element) => {
			for (const word of left(text)) found.push([word, "in", text.trim().slice(0, 80), "of", element.tagName].join(" "));
		};
		const theirOwn = (e) => e.closest("[lang]").lang !== "ko" ||
			e.closest("code, bdi, script, style, noscript, .bytes, #user-name, [role=rowheader]");
		for (const e of document.querySelectorAll("body, body *")) {
			if (theirOwn(e)) continue;
			for (const a of ["aria-label", "aria-valuetext", "title", "alt", "placeholder", "data-label"]) {
				if (e.hasAttribute(a)) look(e.getAttribute(a), e);
			}
			for (const n of e.childNodes) if (n.nodeType === Node.TEXT_NODE) look(n.data, e);
		}
		look(document.title, document.querySelector("title"));
		return found;
	})()`, encode(p.t, append([]string{"sorry-2022-emoticons"}, theirs...))))
}

// others are people and words of the tests' own.
var others = []string{
	"jiyoon", "minseo", "dohyun", "wallboard", "wrong <b>emoticon</b>", "to look", "everybody is in", "start gently", "running",
	"cheer-up", "thank-you", "grant-job", "b9wq4", "x7k2p",
}

// In all faces of the page, everything that people read is in the page's language; what is left in English says so, as people's
// own words do. In Korean axe finds nothing, on a telephone in the dark and on a desk by day; TestFaces looks at them in English.
func TestFacesInBothLanguages(t *testing.T) {
	script := axe(t)
	for name, scenario := range scenarios {
		for _, lang := range []string{"en", "ko"} {
			t.Run(name+"-"+lang, func(t *testing.T) {
				d := newDesk(t, scenario())
				d.acts, d.past = trail(), lastMinutes(d.st)
				p := in(t, d, lang, "campaigns/"+d.campaign.Name+"/")
				p.signIn(operatorToken)
				p.await("document.querySelectorAll('#history li').length > 0")
				p.await("document.querySelector('.curve').getAttribute('d').length > 200")
				require.Equal(t, lang, eval[string](p, "document.documentElement.lang"))
				if lang == "ko" {
					for at, s := range widths {
						theme := []string{"dark", "light"}[at]
						p.show(s, theme)
						view := name + "-ko-" + s.name + "-" + theme
						p.shot(view, true)
						p.usable(view)
						p.clean(script, view)
					}
					require.Empty(t, p.english(others...))
				} else {
					require.NotRegexp(t, `\p{Hangul}`, eval[string](p, `(() => {
						document.querySelectorAll("[lang=ko], script, style").forEach((e) => e.remove());
						return document.body.textContent;
					})()`))
				}
			})
		}
	}
}

// Everything that the desk can say is said in Korean: each cause, phase, reason, action, state; and nothing is a bare identifier.
func TestEverythingIsSaidInKorean(t *testing.T) {
	st := running()
	st.Holds, st.Rejects, st.Control.Throttle = nil, map[string]int64{}, 100
	for i, cause := range grant.Causes() {
		st.Holds = append(st.Holds, grant.Hold{Cause: cause, Detail: "measured", Since: time.Now()})
		st.Runs[1].Holds = st.Holds[:i+1]
	}
	for _, reason := range source.Reasons() {
		st.Rejects[string(reason)] = 1
	}
	at := time.Now()
	st.Taken, st.Excluded = nil, 17
	st.TopicChanged = "the topic was made again"
	st.SpecDiffers = &status.Differs{
		File: specHash, Ledger: "77" + specHash[2:], Fields: "items[x].validity: stored 90d, given 30d",
	}
	st.Replays = grant.Replays{Granted: 3}
	st.Subscribers = []grant.Subscriber{
		{Name: "webhook:billing", State: grant.SubscriberFailing, Since: at, Error: "it answers 503"},
		{Name: "topic:events:json", State: grant.SubscriberSilent, Since: at},
		{Name: "hook:chat", State: grant.SubscriberSilent, Since: at},
	}
	for i, state := range grant.RunStates() {
		r := replica(fmt.Sprintf("grant-job-%d", i), 2, at.Add(-time.Hour))
		r.Run, r.State, r.Live, r.Pass = r.Run+grant.RunID(i), state, false, "canary 1%"
		if state == grant.RunFailed {
			r.Error = "partition 3: offsets 5 to 9 are gone"
		}
		st.Runs = append([]status.Replica{r}, st.Runs...)
	}
	d := newDesk(t, st)
	for _, action := range []grant.Action{
		grant.ActionPause, grant.ActionResume, grant.ActionThrottle, grant.ActionAbort, grant.ActionFinish, grant.ActionPostpone,
		grant.ActionStartEarly, grant.ActionForce, grant.ActionNewTopic,
	} {
		d.acts = append(d.acts, grant.HistoryEntry{At: at, Action: action, Who: "jiyoon", Via: "run", Why: "이유"},
			grant.HistoryEntry{At: at, Action: action, Who: "jiyoon", Via: "clock", Refused: "refused: it is so already"})
	}
	p := koreanPage(t, d, operatorToken)
	p.await("document.querySelectorAll('#history li').length > 10")
	p.click("replicas-more")
	theirs := append(slices.Clone(others), "webhook:billing", "topic:events:json", "hook:chat")
	require.Empty(t, p.english(theirs...))
	for _, phase := range status.Phases() {
		d.tell(func(st *status.Status) { st.Phase = phase })
		p.await("document.getElementById('phase').dataset.phase === '" + string(phase) + "'")
		require.Empty(t, p.english(theirs...), phase)
	}
	marked := eval[string](p, `[...document.querySelectorAll("main [lang=en]")].map((e) => e.textContent).join(" ")`)
	for _, says := range []string{
		"measured", "it answers 503", "stored 90d, given 30d", "offsets 5 to 9 are gone", "it is so already",
	} {
		require.Contains(t, marked, says, "what is in English says that it is")
	}
	require.NotRegexp(t, `[a-z]_[a-z]`, p.text("main"))
	p.shot("everything-ko", true)

	d.lose(time.Now().Add(-12*time.Second), "dial tcp 10.0.0.7:9092: connection refused", status.Parts()...)
	p.shows("faults", "12초 전에 확인된 내용을 표시합니다.")
	require.Empty(t, p.english(theirs...))
	p.shots("away-ko")
}

// Dates and numbers are as readers of Korean write them, in their zone and the campaign's.
func TestNumbersAndDatesInKorean(t *testing.T) {
	st := waiting()
	p := koreanPage(t, newDesk(t, st), operatorToken)
	start := st.StartsAt.In(seoul).Format("2006년 1월 2일 15:04:05 (UTC-07:00)")
	require.Equal(t, start, lookup.Korean.Moment(st.StartsAt.In(seoul)), "as on the desk's other pages")
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	require.Equal(t, start+" · 내 시간대로 "+lookup.Korean.Moment(st.StartsAt.In(berlin)), p.text("starts-at"))
	require.Contains(t, p.text("holds"), start+"에 시작")
	require.Equal(t, "48,240,000", p.text("lag"))
	require.Equal(t, "0.00%", p.text("percentage"))
	require.Equal(t, "전체 레코드 48,240,000개", p.text("lag-of"))
	require.Contains(t, p.text("progress-label"), "/ 48,000,000명에게 지급")
}

// An order by keyboard, in Korean on a telephone: every dialog, what is missing, what the desk answers, and what became of it.
func TestOrdersInKorean(t *testing.T) {
	script := axe(t)
	d := newDesk(t, waiting())
	p := koreanPage(t, d, operatorToken)
	p.show(widths[0], "light")
	for order, wants := range map[string]string{
		"pause": "사유를 입력하세요", "throttle": "초당 사용자 수를 정수로", "postpone": "이미 그 시각에 시작하도록", "finish": "확인을 위해",
		"abort": "확인을 위해",
	} {
		p.tabTo(`#buttons [data-order="` + order + `"]`)
		p.press("Enter")
		p.await(element("order") + ".open")
		p.press("Enter") // so that it says what is missing
		p.shows("order-error", wants)
		require.Empty(t, p.english(others...), order)
		for _, s := range widths {
			for _, theme := range []string{"light", "dark"} {
				p.show(s, theme)
				at := "dialog-ko-" + order + "-" + s.name + "-" + theme
				p.shot(at, false)
				p.usable(at)
				p.clean(script, at)
			}
		}
		p.show(widths[0], "light")
		p.press("Escape")
		p.await("!" + element("order") + ".open")
	}
	p.tabTo(`#buttons [data-order="pause"]`)
	p.press("Enter")
	p.await(element("order") + ".open")
	p.fill("order-why", "만료일이 잘못됨")
	for _, c := range []struct {
		fails   *problem
		says    string
		english string
	}{
		{&problem{Status: 403, Detail: "role viewer, needs operator"}, "이 작업을 할 권한이 없습니다.", "role viewer, needs operator"},
		{&problem{Status: 429, Detail: "too many", retryAfter: 3}, "요청이 너무 많습니다. 3초 뒤에 다시 시도하세요.", ""},
		{&problem{Status: 503, Detail: "Redis does not answer", kind: "unavailable"},
			"서버가 응답하지 않습니다. 잠시 후 다시 시도하세요.", "Redis does not answer"},
		{&problem{Status: 409, Detail: "refused: it is paused", kind: "refused"}, "현재 상태에서는 할 수 없습니다.", "refused: it is paused"},
		{&problem{Status: 418, Detail: "something new"}, "요청을 처리하지 못했습니다.", "something new"},
	} {
		d.change(func(d *desk) { d.fails[d.path("orders")] = c.fails })
		p.press("Enter")
		p.shows("order-error", strings.TrimSpace(c.says+" "+c.english))
		require.Equal(t, c.english, eval[string](p, `document.querySelector("#order-error [lang=en]")?.textContent ?? ""`))
		require.Empty(t, p.english(others...), c.says)
	}
	d.comeBack()
	p.press("Enter")
	p.shows("order-done-title", "일시 중지했습니다: 명령 2, ")
	p.shows("order-obeyed", "복제본 2개 중 0개가 따름.")
	require.Empty(t, p.english(others...))
	d.obey(400*time.Millisecond, 0, 1)
	p.shows("order-obeyed", "복제본 2개 중 2개가 따름(0.4초).")
	p.press("Escape")
	p.shows("holds", "운영자가 일시 중지함")
	p.shows("holds", "만료일이 잘못됨")
	p.shows("history", "일시 중지 · jiyoon")
	require.Empty(t, p.english(others...))
}

// What a screen reader is told, and the banner, are in Korean too.
func TestChangesAreAnnouncedInKorean(t *testing.T) {
	d := newDesk(t, running())
	p := koreanPage(t, d, viewerToken)
	held := paused()
	d.tell(func(st *status.Status) { st.Phase, st.Holds = held.Phase, held.Holds })
	p.shows("announcer", "일시 중지. 지금은 아무에게도 지급되지 않습니다. 운영자가 일시 중지함.")
	d.goAway(&problem{Status: 503, Detail: "Redis does not answer", kind: "unavailable"})
	p.matches("banner", `연결이 끊겼습니다\. \d+초 전의 데이터를 표시합니다\.`)
	p.matches("banner", `서버가 응답하지 않습니다\. 잠시 후 다시 시도하세요\. \d+초 뒤에 다시 시도합니다\. Redis does not answer`)
	p.shows("announcer", "연결이 끊겼습니다.")
	require.Empty(t, p.english(others...))
	p.shots("lost-ko")
	d.comeBack()
	p.shows("announcer", "다시 연결되었습니다.")
}

// The list of campaigns, in both languages.
func TestListInBothLanguages(t *testing.T) {
	script := axe(t)
	for _, lang := range []string{"en", "ko"} {
		st := running()
		d := newDesk(t, st)
		d.briefs = briefs(st)
		p := in(t, d, lang, "%3Fall")
		p.signIn(viewerToken)
		p.await("document.querySelectorAll('#campaigns tr').length === 6")
		for _, s := range widths {
			for _, theme := range []string{"light", "dark"} {
				p.show(s, theme)
				at := "list-" + lang + "-" + s.name + "-" + theme
				p.shot(at, true)
				p.usable(at)
				p.clean(script, at)
			}
		}
		if lang == "en" {
			continue
		}
		titles := []string{"Three emoticons for every KakaoTalk user", "A test that was aborted", "broken-2021"}
		require.Empty(t, p.english(append(titles, "jiyoon", "complaints about the second emoticon")...))
		require.Equal(t, "캠페인 6개", p.text("campaigns-summary"))
		rows := eval[[]string](p, "[...document.querySelectorAll('#campaigns tr')].map((tr) => tr.innerText)")
		require.Regexp(t, `운영자가 일시 중지함: 일시 중지\. jiyoon, \d+년 .*: complaints about the second emoticon`, rows[0])
		require.Regexp(t, `시작 시각 전: \d+년 \d+월 \d+일 .*에 시작`, rows[3])
		require.Zero(t, eval[int](p, "document.querySelectorAll('#campaigns .held [lang=en]').length"))
		require.Contains(t, rows[0], "13.33% · 9,000,000명 중 1,200,000명")
		require.Regexp(t, `읽을 수 없습니다\.\s+the ledger is inconsistent`, rows[2])
		require.Equal(t, []string{"", "en", "en", "", "en", ""},
			eval[[]string](p, "[...document.querySelectorAll('#campaigns a')].map((a) => a.lang)"),
			"titles of another language say so")
		d.change(func(d *desk) { d.briefs[0].Phase, d.briefs[0].Holds = status.PhaseRunning, []grant.Hold{} })
		p.shows("announcer", "스토어 크레딧 5,000원: 진행 중.")
		d.change(func(d *desk) {
			d.fails["/api/v1/campaigns"] = &problem{Status: 503, Detail: "cannot reach Redis", kind: "unavailable"}
		})
		p.shows("campaigns-error", "서버가 응답하지 않습니다. 잠시 후 다시 시도하세요. cannot reach Redis")
		require.Empty(t, p.english(titles...))
	}
}

// Signing in is in the language of the browser, or the one that is chosen there, by keyboard; and what is wrong is, too.
func TestSignInInKorean(t *testing.T) {
	script := axe(t)
	d := newDesk(t, running())
	p := open(t, d)
	require.Equal(t, "en", eval[string](p, "document.documentElement.lang"))
	header := network.Headers{"Accept-Language": "ko-KR,ko;q=0.9"}
	p.do(command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: header}), chromedp.Reload())
	p.await("document.documentElement?.lang === 'ko' && document.getElementById('sign-in')?.hidden === false")
	for _, c := range []struct {
		token string
		fails *problem
		says  string
	}{
		{"", nil, "받은 토큰을 붙여 넣으세요."},
		{"gränter", nil, "토큰이 아닙니다."},
		{"wrong", nil, "여기에서 알 수 없는 토큰입니다."},
		{"x", &problem{Status: 403, Detail: "role none, needs viewer"}, "이 토큰으로는 캠페인을 볼 수 없습니다. role none, needs viewer"},
		{"x", &problem{Status: 429, Detail: "too many", retryAfter: 7}, "시도가 너무 많습니다. 7초 뒤에 다시 시도하세요."},
		{"x", &problem{Status: 503, Detail: "Redis does not answer", kind: "unavailable"}, "서버가 응답하지 않습니다. 잠시 후 다시 시도하세요. Redis"},
	} {
		d.change(func(d *desk) {
			clear(d.fails)
			if c.fails != nil {
				d.fails[d.path("me")] = c.fails
			}
		})
		p.signIn(c.token)
		p.shows("sign-in-error", c.says)
		require.Empty(t, p.english(), c.says)
	}
	for _, s := range widths {
		for _, theme := range []string{"light", "dark"} {
			p.show(s, theme)
			at := "sign-in-ko-" + s.name + "-" + theme
			p.shot(at, false)
			p.usable(at)
			p.clean(script, at)
		}
	}
	d.comeBack()
	p.signIn(operatorToken)
	p.await("!document.getElementById('sections').hidden")
	require.Equal(t, "운영자", p.text("user-role"))

	// Chosen, a language is kept for this page and for all others, whatever the browser asks for; and nobody is signed out.
	p.tabTo(`header .languages a[lang="en"]`)
	p.press("Enter")
	p.await("document.documentElement?.lang === 'en' && document.getElementById('sections')?.hidden === false")
	require.Equal(t, d.page(), eval[string](p, "location.href"))
	require.Equal(t, "granter_lang=en", eval[string](p, "document.cookie"))
	p.do(chromedp.Navigate(d.URL + "/?all"))
	p.await("document.documentElement?.lang === 'en' && document.getElementById('desk')?.hidden === false")
	p.tabTo(`header .languages a[lang="ko"]`)
	p.press("Enter")
	p.await("document.documentElement?.lang === 'ko' && document.getElementById('desk')?.hidden === false")
	require.Equal(t, d.URL+"/?all", eval[string](p, "location.href"))
	require.Equal(t, "한국어", eval[string](p, `document.querySelector("header .languages [aria-current=true]").innerText`))
}
