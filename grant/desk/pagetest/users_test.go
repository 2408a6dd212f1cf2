//go:build integration

package pagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/sharding"
)

// people are a ledger's users, and a campaign's status.
type people struct {
	book
	grants map[grant.UserID]*ledger.User
	away   error
}

func (p *people) Held(_ context.Context, _ *grant.Campaign, users []grant.UserID) ([]ledger.User, []grant.Holding, error) {
	found, held := make([]ledger.User, len(users)), make([]grant.Holding, len(users))
	for i, user := range users {
		found[i] = ledger.User{User: user, Place: grant.PlaceNone}
		if known := p.grants[user]; known != nil {
			found[i] = *known
			found[i].User = user
			held[i] = grant.Holding{GrantedAt: known.GrantedAt(), Acts: known.State}
		}
	}
	return found, held, p.away
}

func (p *people) Runs(context.Context) ([]grant.RunRecord, error) {
	return []grant.RunRecord{{Run: 0x612a5c7be1a3f0, Host: "granter-2", PID: 17, Version: "0.2"}}, nil
}

// several are campaigns of a desk.
type several []*people

func (s several) Names() (names []string) {
	for _, p := range s {
		names = append(names, p.campaign.Name)
	}
	return names
}

func (s several) Refresh(context.Context) error { return nil }

func (s several) Open(_ context.Context, name string) (*realdesk.Subject, error) {
	for _, p := range s {
		if p.campaign.Name == name {
			return &realdesk.Subject{
				Campaign: p.campaign, Coordination: p, Reader: p,
				Status: func(context.Context) (*status.Status, error) { return &p.st, nil },
			}, nil
		}
	}
	return nil, &realdesk.NoCampaignError{Detail: "no"}
}

func (s several) List(context.Context) ([]status.Brief, error) { return []status.Brief{}, nil }

const (
	customer = 41_231_007 // who has something of each kind
	stranger = 99_999_999
	revoked  = 41_231_008
	excluded = 41_231_009
)

// fiveCampaigns: one is over, one offers, one runs, one has not begun, and one cannot be asked.
func fiveCampaigns() several {
	granted := time.Now().Add(-20 * 24 * time.Hour).Truncate(time.Second).In(seoul)
	grants := func(at time.Time) map[grant.UserID]*ledger.User {
		settled := &ledger.Grant{
			User: grant.NumberID(customer), Kind: ledger.EntryGrant, At: at, Run: 0x612a5c7be1a3f0, Shard: 3, Flush: 17,
			Ranges: []sharding.Range{{Partition: 3, First: 1_048_576, Last: 1_064_959}},
		}
		remark := grant.Remark{At: at.Add(time.Hour), Who: "minji", Reason: "서류를 기다리는 중"}
		act := &grant.Act{Kind: grant.ActExclude, At: at, Who: "jiyoon", Reason: "foreign number"}
		return map[grant.UserID]*ledger.User{
			grant.NumberID(customer): {Place: grant.PlaceGranted, Settled: settled, State: grant.UserState{
				Acts: []string{"n"}, Notes: []grant.Remark{remark},
			}},
			grant.NumberID(revoked): {Place: grant.PlaceGranted, Settled: settled, State: grant.UserState{
				Acts:    []string{"r"},
				Revoked: &grant.Revocation{Since: at.Add(time.Hour), Kind: grant.RevokedFraud, Remark: remark},
			}},
			grant.NumberID(excluded): {Place: grant.PlaceExcluded, Settled: &ledger.Grant{Kind: ledger.EntryExclude, At: at,
				Act: act}},
		}
	}
	campaign := func(name, title string, at time.Time, items ...grant.Item) *grant.Campaign {
		return &grant.Campaign{Name: name, Title: title, StartsAt: at, Items: items, Input: grant.Input{Topic: name}}
	}
	of := func(phase status.Phase, change func(st *status.Status)) status.Status {
		st := running()
		now := time.Now()
		st.Phase, st.Holds, st.Samples = phase, nil, nil
		for _, part := range status.Parts() {
			st.Parts = append(st.Parts, status.Part{Part: part, At: &now})
		}
		change(&st)
		return st
	}
	day := 24 * time.Hour
	emoticons := campaign("sorry-2022", "사과의 마음을 담은 이모티콘 3종", granted.Add(-time.Hour),
		grant.Item{ID: "thank-you-permanent", Kind: grant.KindEmoticon},
		grant.Item{ID: "cheer-up-90d", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 90 * day}},
		grant.Item{ID: "short-7d", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 7 * day}})
	offer := campaign("offer-2023", "Credit of 5,000 won, to be taken", granted,
		grant.Item{ID: "credit", Kind: grant.KindCredit, Amount: 5000, Currency: "KRW", Validity: grant.Validity{Taken: true},
			TakeUntil: time.Now().Add(5 * day).In(seoul)},
		grant.Item{ID: "too-late", Kind: grant.KindItem, Validity: grant.Validity{Taken: true}, TakeUntil: granted.Add(day)})
	runs := campaign("store-credit", "스토어 크레딧", granted.Add(day))
	waits := campaign("summer-2027", "여름 이모티콘 선물", time.Now().Add(90*day).In(seoul))
	return several{
		{
			book:   book{campaign: emoticons, st: of(status.PhaseFinished, func(st *status.Status) { st.Lag = 0 })},
			grants: grants(granted),
		},
		{book: book{campaign: offer}, grants: grants(granted.Add(time.Hour))},
		{book: book{campaign: runs, st: of(status.PhasePaused, func(st *status.Status) {
			st.Control.Paused, st.Control.PausedBy = true, &grant.Given{At: granted, Who: "jiyoon", Why: "complaints"}
			st.Orders = st.Control.Standing(seoul)
		})}},
		{book: book{campaign: waits, st: of(status.PhaseWaiting, func(st *status.Status) { st.StartsAt = waits.StartsAt })}},
		{book: book{campaign: campaign("old-2019", "Old", granted.Add(-999*day))}, away: errors.New("connection refused")},
	}
}

// searching opens the search page of a real desk.
func searching(t *testing.T, path string) *page {
	t.Helper()
	access := filepath.Join(t.TempDir(), "access")
	line := fmt.Sprintf("minseo support sha256:%x\n", sha256.Sum256([]byte(supportToken)))
	require.NoError(t, os.WriteFile(access, []byte(line), 0o600))
	server, err := realdesk.Start(realdesk.Config{
		Addr: "127.0.0.1:0", Access: access, Campaigns: fiveCampaigns(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return openAt(t, server.URL()+path)
}

// enter signs in on the page that the desk renders.
func (p *page) enter(token string) {
	p.t.Helper()
	p.await(element("token") + "?.checkVisibility()")
	p.fill("token", token)
	p.leave()
	p.await(element("q") + " !== null")
}

// leave presses Enter, and waits for the next page.
func (p *page) leave() {
	p.t.Helper()
	eval[any](p, "window.before = true, null")
	p.press("Enter")
	p.await("!window.before && document.readyState === 'complete' && document.querySelector('main')?.checkVisibility()")
}

// TestSupportsDay: an agent's day in Korean, by keyboard only: sign in, paste what a customer wrote, read the answer, copy
// the reply, open what is folded, look up a list.
func TestSupportsDay(t *testing.T) {
	p := searching(t, "/users")
	p.await(element("token") + " !== null")
	p.do(chromedp.Focus(chromedp.CSS("button[lang=ko]")))
	p.press("Enter")
	p.await("document.documentElement?.lang === 'ko'")
	p.fill("token", "wrong-token")
	p.leave()
	p.shows("sign-in-error", "로그인하지 못했습니다")
	p.enter(supportToken)
	p.awaitFocus("q")

	p.do(chromedp.KeyEvent("회원번호 ４１，２３１，００７"))
	p.leave()
	p.await(element("verdict") + " !== null")
	require.Equal(t, "지급됨: 캠페인 5개 중 2개. 1개는 확인할 수 없습니다.", p.text("verdict"))
	require.Contains(t, p.text("understood"), "사용자 41231007: 전각 숫자 변환, 주변 글자 제거, 천 단위 구분 제거")
	for _, want := range []string{
		"지급됨 사과의 마음을 담은 이모티콘 3종", "사용 가능 cheer-up-90d", "(69일 남음)", "만료 short-7d", "아직 받지 않음 credit", "크레딧 5,000 KRW",
		"운영자가 캠페인을 일시 중지했습니다", "by jiyoon", "캠페인이 아직 시작되지 않았습니다", "원장이 응답하지 않아", "내 시간대로",
	} {
		require.Contains(t, strings.Join(strings.Fields(p.text("main")), " "), want)
	}
	require.Equal(t, "Europe/Berlin", eval[string](p, "document.getElementById('tz').value"), "the browser's zone is offered")

	folded := "document.querySelector('details.replies')"
	for range 40 { // to the first reply, and into it
		p.press("Tab")
		if eval[bool](p, "document.activeElement.matches('details.replies summary')") {
			break
		}
	}
	p.press("Enter")
	p.await(folded + ".open")
	reply := eval[string](p, folded+".querySelector('textarea').value")
	require.Contains(t, reply, "“Credit of 5,000 won, to be taken” 혜택은 20")
	require.Contains(t, reply, "- credit: 아직 받지 않음, 20")
	require.NotContains(t, reply, "jiyoon")
	p.press("Tab")
	require.True(t, eval[bool](p, "document.activeElement.matches('details.replies textarea[readonly]')"))
	require.Equal(t, "ko", eval[string](p, "document.activeElement.lang"))

	p.fill("q", fmt.Sprintf("%d, %d, 010-1234-5678", customer, stranger))
	p.leave()
	p.await("document.querySelectorAll('.answers tbody tr').length === 2")
	require.Contains(t, p.text("understood"), "전화번호로 보입니다")
	require.NotContains(t, eval[string](p, "location.href"), "41231007", "what was pasted is in no address")
	eval[any](p, "document.querySelector('.answers a').focus(), null")
	p.press("Enter")
	p.await("location.pathname === '/users/41231007' && " + element("verdict") + " !== null")
	eval[any](p, "document.querySelector('#sign-out').focus(), null")
	p.press("Enter")
	p.await(element("token") + " !== null")
}

// TestUsersWithoutJavaScript: the same page in a browser that runs no script.
func TestUsersWithoutJavaScript(t *testing.T) {
	p := searching(t, "/users")
	p.do(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}),
		chromedp.Reload())
	p.enter(supportToken)
	p.do(chromedp.Focus(chromedp.CSS("#q")), chromedp.KeyEvent(fmt.Sprint(customer)))
	p.do(chromedp.Click(chromedp.CSS("#search button.primary")))
	p.await(element("verdict") + " !== null")
	require.Equal(t, "Granted: 2 of 5 campaigns, and 1 could not be asked.", p.text("verdict"))
	require.Zero(t, eval[int](p, "[...document.querySelectorAll('button.copy')].filter((b) => b.checkVisibility()).length"))
}

// TestUsersAreAccessible: axe-core and our own check find nothing, on a screen and a phone, in both themes and languages.
func TestUsersAreAccessible(t *testing.T) {
	script := axe(t)
	p := searching(t, "/users")
	look := func(name string) {
		for _, s := range []screen{desktop, tablet} {
			for _, theme := range []string{"light", "dark"} {
				p.show(s, theme)
				at := "users-" + name + "-" + s.name + "-" + theme
				p.shot(at, true)
				p.usable(at)
				p.clean(script, at)
			}
		}
		p.show(desktop, "light")
	}
	p.await(element("token") + " !== null")
	look("sign-in")
	p.enter(supportToken)
	look("empty")
	search := func(query string) {
		p.fill("q", query)
		p.leave()
	}
	search(fmt.Sprint(customer))
	eval[any](p, "document.querySelectorAll('details').forEach((d) => { d.open = true }), null")
	look("one")
	require.Subset(t, tree(p), []node{
		{"heading", "Look up users"}, {"search", "Look up users"}, {"textbox", "User IDs"}, {"button", "Look up"},
		{"link", "Skip to the search"},
		{"heading", "User 41231007"}, {"heading", "Timeline"}, {"textbox", "In Korean"}, {"button", "한국어"},
	})
	search(fmt.Sprint(revoked))
	require.Contains(t, p.text("main"), "Revoked 사과의 마음을 담은 이모티콘 3종")
	look("revoked")
	search(fmt.Sprint(excluded))
	require.Contains(t, p.text("main"), "jiyoon: foreign number")
	search(fmt.Sprintf("%d, %d, 010-1234-5678, x1", customer, stranger))
	look("list")
	p.do(chromedp.Click(chromedp.CSS("#search button[lang=ko]")))
	p.await("document.documentElement?.lang === 'ko' && document.querySelectorAll('.answers tbody tr').length === 2")
	look("list-ko")
	search(fmt.Sprint(customer))
	look("one-ko")
}

// TestFromTheDeskToTheSearch: whoever is signed in on the operations page need not sign in again.
func TestFromTheDeskToTheSearch(t *testing.T) {
	p := searching(t, "/?all")
	p.signIn(supportToken)
	p.await(element("lookup") + ".checkVisibility()")
	p.click("lookup")
	p.await("location.pathname === '/users' && " + element("q") + " !== null")
	require.Equal(t, "minseo", p.text("user-name"))
}
