//go:build integration

package pagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// assembled is a database with a large claim in review, a council, and a meeting of it that is to come.
func assembled(t *testing.T) (*store.Store, *claims.Programme, *documents.Keeper) {
	t.Helper()
	s, p := storetest.Open(t)
	keeper := documents.NewKeeper(s, documents.Folder(t.TempDir()), nil)
	c := storetest.Receive(t, s, p, 1, 100_000_000)[0]
	_, err := keeper.Add(t.Context(), c, documents.Sent{
		Kind: "proof_of_sales_damage", Name: "sales.pdf", Body: strings.NewReader(pdf("sales of a shop")), By: store.Owner,
	})
	require.NoError(t, err)
	a, err := p.Assess(&c.Facts)
	require.NoError(t, err)
	proposal := p.Propose(&c.Facts, &a)
	require.NoError(t, s.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules, Change: store.Change{Assessment: &a, Proposal: &proposal}},
		{Claim: c, Action: claims.Review, By: store.Rules},
	}, nil))
	oh := store.Actor{Name: "oh", Duty: claims.Secretary}
	for _, seat := range []vote.Seat{
		{Name: "cho", Shown: "조위원", Affiliation: "consumers"}, {Name: "han", Shown: "한위원", Affiliation: "academia"},
		{Name: "min", Shown: "민위원", Affiliation: "small_business"}, {Name: "seo", Shown: "서위원", Affiliation: "company"},
		{Name: "yoon", Shown: "윤위원", Affiliation: "consumers"},
	} {
		_, err := s.Join(t.Context(), p, seat, oh, "위촉함")
		require.NoError(t, err)
	}
	_, err = s.CallMeeting(t.Context(), p, time.Now(), "3층 회의실", oh, "첫 회의")
	require.NoError(t, err)
	return s, p, keeper
}

// pdf is a document that says something.
func pdf(says string) string { return "%PDF-1.7\n% " + says + "\n%%EOF\n" }

// enterCouncil signs in to the council's pages by keyboard, in Korean.
func (p *page) enterCouncil(token string) {
	p.t.Helper()
	p.await(element("token") + "?.checkVisibility()")
	p.fill("token", token)
	p.leave()
	p.await(element("title") + " !== null")
	if eval[string](p, "document.documentElement.lang") != "ko" {
		p.tabTo("header a[lang=ko]")
		p.leave()
	}
}

// type goes to a field by keyboard and writes into it.
func (p *page) write(id, words string) {
	p.t.Helper()
	p.tabTo("#" + id)
	p.do(chromedp.KeyEvent(words))
}

// unfold opens what is folded around a form, by keyboard.
func (p *page) unfold(form string) {
	p.t.Helper()
	p.tabTo("details:has(#" + form + ") summary")
	p.press("Space")
}

// TestACouncilsWay, in Korean and by keyboard only: a reviewer blackens a document and refers a claim, the secretary notes
// who is there and puts it on the agenda, a member reads it and votes, the chair has it counted, and the minutes are printed.
func TestACouncilsWay(t *testing.T) {
	s, programme, keeper := assembled(t)
	url := claimsDeskWith(t, s, programme, keeper, map[string]string{
		"oh claims-secretary,claims-reviewer": supportToken,
		"cho claims-council":                  operatorToken,
		"han claims-council":                  viewerToken,
	})
	script := axe(t)
	p := openAt(t, url+"/c-000000")
	p.enterCouncil(supportToken)
	reviewerRefers(p, script)
	secretaryPrepares(p, script)
	p = openAt(t, url)
	p.enterCouncil(operatorToken)
	memberVotes(p, script)
	for _, name := range []string{"min", "yoon"} {
		_, err := s.Vote(
			t.Context(),
			programme,
			store.VoteOn{Claim: "c-000000", Meeting: 1, Item: 1, Choice: vote.For, Why: ""},
			store.Actor{Name: name, Duty: claims.CouncilDuty},
		)
		require.NoError(t, err)
	}
	p = openAt(t, url)
	p.enterCouncil(viewerToken)
	chairCounts(p, script)
	list, err := s.Get(t.Context(), "c-000000")
	require.NoError(t, err)
	require.Equal(t, claims.Approved, list[0].State)
	require.EqualValues(t, 5_000_000, list[0].Owed)
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
}

func reviewerRefers(p *page, script string) {
	p.t.Helper()
	p.shows("title", "심사 중")
	p.tabTo("#documents-list summary")
	p.press("Space")
	p.staffSees(script, "council-redact")
	file := filepath.Join(p.t.TempDir(), "redacted.pdf")
	require.NoError(p.t, os.WriteFile(file, []byte(pdf("sales of ████")), 0o600))
	choose(p, "#documents-list input[type=file]", file)
	p.tabTo("#documents-list form button.primary")
	p.leave()
	p.shows("documents-list", "심의위원회가 가린 것을 봄")
	p.unfold("do-refer")
	p.write("refer-why", "산정 손실이 큼")
	p.tabTo("#do-refer button")
	p.leave()
	p.shows("title", "심의위원회 심의 중")
}

// choose puts a file into a field, as the dialog of the browser does.
func choose(p *page, selector, file string) {
	p.t.Helper()
	doc, err := chromedp.Call(p.ctx, dom.GetDocument, dom.GetDocumentParams{})
	require.NoError(p.t, err)
	node, err := chromedp.Call(p.ctx, dom.QuerySelector, dom.QuerySelectorParams{NodeID: doc.Root.NodeID, Selector: selector})
	require.NoError(p.t, err)
	_, err = chromedp.Call(
		p.ctx,
		dom.SetFileInputFiles,
		dom.SetFileInputFilesParams{Files: []string{file}, NodeID: node.NodeID},
	)
	require.NoError(p.t, err)
}

func secretaryPrepares(p *page, script string) {
	p.t.Helper()
	p.tabTo(`.places a[href$="claims/council"]`)
	p.leave()
	p.shows("title", "심의위원회")
	p.unfold("council-call")
	p.unfold("council-join")
	p.staffSees(script, "council")
	p.tabTo(`#main a[href$="claims/council/1"]`)
	p.leave()
	p.shows("title", "1차 회의")
	p.unfold("council-attend")
	for range 5 {
		p.tabTo(`input[name=present]:not(:checked)`)
		p.press("Space")
	}
	p.tabTo("#attend-chair")
	p.do(chromedp.KeyEvent("한"))
	p.write("attend-why", "출석 확인")
	p.staffSees(script, "council-attend")
	p.tabTo("#council-attend button")
	p.leave()
	p.shows("title", "진행 중")
	p.unfold("council-agenda")
	p.write("agenda-amount", "5,000,000")
	p.write("agenda-why", "매출 자료로 손실이 확인됨")
	p.staffSees(script, "council-agenda")
	p.tabTo("#council-agenda button")
	p.leave()
	p.shows("agenda", "안건")
	p.shows("sections", "지급 결정: 5,000,000원")
	p.staffSees(script, "council-meeting")
}

func memberVotes(p *page, script string) {
	p.t.Helper()
	p.shows("title", "심의위원회")
	require.False(p.t, eval[bool](p, `Boolean(document.querySelector('.places a[href$="statistics"]'))`))
	p.tabTo(`#main a[href$="claims/council/1"]`)
	p.leave()
	p.tabTo(`a[href$="items/1"]`)
	p.leave()
	p.shows("title", "안건 1")
	p.staffSees(script, "council-item")
	p.tabTo("input[name=choice]")
	p.press("Space") // for
	p.write("vote-why", "자료가 충분함")
	p.tabTo("#do-vote button")
	p.leave()
	p.shows("voted", "표결하셨습니다: 찬성")
	p.staffSees(script, "council-voted")
}

func chairCounts(p *page, script string) {
	p.t.Helper()
	p.tabTo(`#main a[href$="claims/council/1"]`)
	p.leave()
	p.tabTo(`a[href$="items/1"]`)
	p.leave()
	p.unfold("do-count")
	p.tabTo("#do-count button")
	p.leave()
	p.awaitFocus("sure")
	p.staffSees(script, "council-count")
	p.press("Enter")
	p.shows("title", "지급 결정")
	p.staffSees(script, "council-counted")
	p.tabTo(`a[href$="claims/council/1"]`)
	p.leave()
	p.tabTo(`a[href$="claims/minutes/1"]`)
	p.leave()
	p.shows("title", "회의록")
	p.staffSees(script, "council-minutes")
	p.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
	require.False(p.t, eval[bool](p, "document.querySelector('header.top').checkVisibility()"), "menus are not printed")
	p.shot("council-minutes-print", true)
}
