//go:build integration

package pagetest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/identity"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/owner"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

const patience = 60 * time.Second

// world is the page and what is behind it.
type world struct {
	store  *store.Store
	worker *decide.Worker
	url    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, p := storetest.Open(t)
	at := time.Date(2023, 2, 20, 3, 0, 0, 0, time.UTC)
	clock := func() time.Time { return at }
	s.SetClock(clock)
	for i := range 3 {
		storetest.Reported(t, s, p, i, 350_000, store.Reporter{Phone: "+82-10-1234-5678"})
	}
	site := httptest.NewServer(owner.New(owner.Config{Store: s, Programme: p, Contact: "1577-0000", Now: clock,
		Documents: documents.NewKeeper(s, documents.Folder(t.TempDir()), nil), Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(site.Close)
	services := httptest.NewServer(&identitytest.Services{})
	t.Cleanup(services.Close)
	return &world{store: s, url: site.URL, worker: &decide.Worker{Store: s, Programme: p, Now: clock,
		Registry: identity.NewRegistry(services.URL, "key"), Bank: identity.NewBank(services.URL, "token")}}
}

// page is a window of the browser, without scripts of the page's own.
type page struct {
	t    *testing.T
	ctx  context.Context
	axe  string
	look string
	seen int
	name string
}

func newPage(t *testing.T, name string, width, height int64) *page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		end()
		stop()
	})
	p := &page{t: t, ctx: ctx, axe: axe(t), name: name}
	text, err := os.ReadFile("../../../desk/pagetest/testdata/check.js") // what every page of granter must be
	require.NoError(t, err)
	p.look = string(text)
	require.NoError(t, chromedp.Do(ctx), "starting Chromium (install Debian's package chromium)")
	_, err = chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 700})
	require.NoError(t, err)
	return p
}

// axe returns the script of axe-core, which the tests of the desk's page install, too.
func axe(t *testing.T) string {
	t.Helper()
	home := os.Getenv("GRANTER_DEV_HOME")
	if home == "" {
		cache, err := os.UserCacheDir()
		require.NoError(t, err)
		home = filepath.Join(cache, "granter-dev")
	}
	folder := filepath.Join(home, "axe-owner")
	script := filepath.Join(folder, "axe_playwright_python", "axe.min.js")
	if _, err := os.Stat(script); err != nil {
		out, err := exec.Command("python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
			"--upgrade",
			"--require-hashes", "--target", folder, "-r", "../../../desk/pagetest/testdata/requirements.txt").
			CombinedOutput()
		require.NoError(t, err, "installing axe-core: %s", out)
	}
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	return string(text)
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, actions...))
}

func eval[T any](p *page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(p.t, err, expression)
	return value
}

// heading waits until the page has a heading, which says that it is there.
func (p *page) heading(words string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		is, err := chromedp.Run(
			ctx,
			chromedp.Evaluate[string]("document.readyState === 'complete' ? document.querySelector('h1')?.innerText ?? '' : ''"),
		)
		cancel()
		if err == nil && strings.Contains(is, words) { // an error: the page is just being left
			return
		}
		require.True(p.t, now.Before(deadline), "gave up waiting for %q; there is %q %v", words, is, err)
	}
}

// good requires that axe and our own checks find nothing on the page, and keeps a picture of it (go test -artifacts).
func (p *page) good() {
	p.t.Helper()
	require.Empty(p.t, eval[[]string](p, p.look))
	eval[bool](p, p.axe+"\n;true")
	require.Empty(p.t, eval[[]string](p, `axe.run(document, {resultTypes: ["violations"]}).then((r) =>
		r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" ")))`))
	p.seen++
	whole := true
	shown, err := chromedp.Call(p.ctx, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	require.NoError(p.t, err)
	require.NoError(
		p.t,
		os.WriteFile(filepath.Join(p.t.ArtifactDir(), fmt.Sprintf("%s-%02d.png", p.name, p.seen)), shown.Data, 0o600),
	)
}

const (
	tab   = "\t"
	enter = "\r"
	space = " "
)

func (p *page) press(key string) { p.t.Helper(); p.do(chromedp.KeyEvent(key)) }

// reach goes on with the tabulator until something that says some words, or has an ID, has the focus, which must be seen.
func (p *page) reach(what string) {
	p.t.Helper()
	for range 80 {
		p.press(tab)
		at := eval[string](p, `(() => { const e = document.activeElement;
			return [e.id, e.innerText, e.getAttribute("aria-label")].join("|"); })()`)
		if slices.Contains(strings.Split(at, "|"), what) {
			require.NotEqual(p.t, "none", eval[string](p, "getComputedStyle(document.activeElement).outlineStyle"),
				"the focus is seen")
			return
		}
	}
	require.Fail(p.t, "nobody reaches it by the keyboard", what)
}

// write goes to a field and writes into it.
func (p *page) write(field, words string) {
	p.t.Helper()
	p.reach("f-" + field)
	p.press(words)
}

func (p *page) to(what string) { p.t.Helper(); p.reach(what); p.press(enter) }

// TestAnOwnersWayWithTheKeyboardAlone goes from the first page to a decision, with a document, on a phone in Korean and at a desk
// in
// English, and looks at each page on the way.
func TestAnOwnersWayWithTheKeyboardAlone(t *testing.T) {
	for i, way := range []struct {
		name          string
		width, height int64
		words         words
	}{{"390", 390, 844, korean}, {"1440", 1440, 900, english}} {
		t.Run(way.name, func(t *testing.T) {
			w := newWorld(t)
			p, say := newPage(t, way.name, way.width, way.height), way.words
			p.do(chromedp.Navigate(w.url + "/?lang=" + say.lang))
			p.heading(say.start)
			p.good()
			p.to(say.begin)
			number := answer(p, say, i)
			_, err := w.worker.Pass(t.Context())
			require.NoError(t, err)
			p.to(say.see)
			p.heading(say.documents)
			p.good()
			send(t, p, say)
			p.do(chromedp.Navigate(w.url + "/claim"))
			p.heading(say.documents)
			p.to(say.account)
			p.heading(say.account)
			p.good()
			p.do(chromedp.Navigate(w.url + "/claim/withdraw"))
			p.heading(say.withdraw)
			p.good()
			p.to(say.withdrawIt)
			p.heading(say.withdrawn)
			p.good()
			list, err := w.store.Get(t.Context(), number)
			require.NoError(t, err)
			require.Equal(t, claims.Withdrawn, list[0].State)
			p.do(chromedp.Navigate(w.url + "/nothing"))
			p.heading(say.failed)
			p.good()
		})
	}
}

// answer goes through all questions, looks at each, makes a mistake in one, and hands the claim in.
func answer(p *page, say words, i int) (number string) {
	p.t.Helper()
	p.heading(say.business)
	p.write("business_number", "120-81-47522")
	p.press(enter)
	p.heading(say.business)
	require.Contains(p.t, eval[string](p, "document.title"), say.mistake)
	p.good()
	eval[any](p, "document.getElementById('f-business_number').value = ''; null")
	p.write("business_number", storetest.Number(i).String())
	p.to(say.next)
	p.heading(say.registration)
	p.good()
	p.write("representative", "김사장")
	p.write("opened", "20200301")
	p.to(say.next)
	p.heading(say.industry)
	p.good()
	p.reach("f-industry")
	p.press(space)
	p.to(say.next)
	p.heading(say.sales)
	p.good()
	p.write("outage_sales", "1000000")
	p.write("week_sales_1", "190만")
	p.to(say.next)
	p.heading(say.alternative)
	p.good()
	p.reach("f-alternative_available")
	p.press(space)
	p.to(say.next)
	p.heading(say.contact)
	p.good()
	p.write("phone", "010-1234-5678")
	p.to(say.next)
	p.heading(say.where)
	p.good()
	p.reach("f-bank")
	p.press(say.bank)
	p.write("account", "110-123-456789")
	p.to(say.next)
	p.heading(say.check)
	p.good()
	p.to(say.hand)
	p.heading(say.received)
	p.good()
	return eval[string](p, "document.getElementById('number').innerText")
}

// send sends a document that is none, and one that is.
func send(t *testing.T, p *page, say words) {
	t.Helper()
	p.to(say.sendDocuments)
	p.heading(say.papers)
	p.good()
	dir := t.TempDir()
	for name, data := range map[string]string{"bad.pdf": "MZ", "good.pdf": "%PDF-1.7\n%%EOF\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600))
	}
	for _, name := range []string{"bad.pdf", "good.pdf"} {
		choose(p, filepath.Join(dir, name))
		p.to(say.send)
		p.heading(say.papers)
		p.wait(map[string]string{"bad.pdf": say.noDocument, "good.pdf": say.gotDocument}[name])
		p.good()
	}
}

// wait waits until the page says something.
func (p *page) wait(words string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		cancel()
		if err == nil && strings.Contains(text, words) {
			return
		}
		require.True(p.t, now.Before(deadline), "gave up waiting for %q: %v\n%s", words, err, text)
	}
}

// choose puts a file into the page's field, as the dialog of the browser does.
func choose(p *page, file string) {
	p.t.Helper()
	doc, err := chromedp.Call(p.ctx, dom.GetDocument, dom.GetDocumentParams{})
	require.NoError(p.t, err)
	node, err := chromedp.Call(p.ctx, dom.QuerySelector, dom.QuerySelectorParams{NodeID: doc.Root.NodeID, Selector: "#f-file"})
	require.NoError(p.t, err)
	_, err = chromedp.Call(p.ctx, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{file}, NodeID: node.NodeID})
	require.NoError(p.t, err)
}

// words are what the page says, in one language.
type words struct {
	lang, start, begin, business, mistake, next, registration, industry, sales, alternative, contact, where    string
	bank, check, hand, received, see, documents, sendDocuments, papers, send, noDocument, gotDocument, account string
	withdraw, withdrawIt, withdrawn, failed                                                                    string
}

var korean = words{
	lang: "ko", start: "피해 지원 신청", begin: "신청 시작", business: "사업자등록번호", mistake: "오류", next: "계속",
	registration: "사업자등록증 내용", industry: "업종", sales: "매출", alternative: "다른 서비스", contact: "연락처",
	where: "돈을 받을 계좌", bank: "신", check: "제출하기 전에", hand: "제출", received: "접수했습니다", see: "내 신청 보기",
	documents: "서류 필요", sendDocuments: "서류 보내기", papers: "서류", send: "보내기", noDocument: "PDF, 사진", gotDocument: "서류를 받았습니다",
	account: "받을 계좌 바꾸기", withdraw: "신청 취소", withdrawIt: "신청 취소", withdrawn: "취소함", failed: "처리하지 못했습니다",
}

var english = words{
	lang: "en", start: "Claim for damage", begin: "Start a claim", business: "Business number", mistake: "Error",
	next:         "Continue",
	registration: "Registration certificate", industry: "Industry", sales: "Your sales", alternative: "Another service",
	contact: "Contact", where: "Bank account", bank: "S", check: "Check your answers", hand: "Hand it in",
	received: "We have your claim", see: "See my claim", documents: "Documents needed", sendDocuments: "Send " +
		"documents", papers: "Documents",
	send: "Send it", noDocument: "Only PDF", gotDocument: "We have the document", account: "Change the account",
	withdraw: "Withdraw the claim", withdrawIt: "Withdraw it", withdrawn: "Withdrawn", failed: "That did not work",
}
