//go:build integration

package pagetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/deploy/dev/devtest"
)

// patience is how long a test waits for what must happen: far longer than it takes, because machines are busy.
const patience = 30 * time.Second

// chromium is one browser for all tests; each has a window with cookies and storage of its own.
var chromium context.Context

func TestMain(m *testing.M) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	chromium = ctx //nolint:fatcontext // the windows of all tests are of this browser
	if err := chromedp.Do(chromium); err != nil {
		fmt.Fprintln(os.Stderr, "starting Chromium (install Debian's package chromium):", err)
		os.Exit(1)
	}
	code := m.Run()
	devtest.StopShared()
	_ = os.RemoveAll(built)
	end()
	stop()
	chromedp.FromContext(chromium).Allocator.Wait()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// screen is what somebody looks at the page with.
type screen struct {
	name          string
	width, height int64
	mobile        bool
}

var (
	desktop = screen{name: "desktop", width: 1440, height: 900}
	phone   = screen{name: "phone", width: 360, height: 740, mobile: true}
)

// page is a window of the browser with the page in it.
type page struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the browser: exceptions, errors in the console, violations of the policy
}

func open(t *testing.T, d *desk) *page {
	t.Helper()
	return openAt(t, d.page())
}

// openAt opens a page, in a zone in which it is not the campaign's time.
func openAt(t *testing.T, url string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	p := &page{t: t, ctx: ctx}
	var listening sync.WaitGroup
	messages := chromedp.Console(ctx)
	listening.Go(func() {
		for m, err := range messages {
			if err == nil {
				p.listen(m)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		listening.Wait()
		require.Empty(t, p.complaints, "the browser complains")
	})
	p.show(desktop, "light")
	p.do(
		command(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"}),
		chromedp.Navigate(url),
	)
	return p
}

// show shows the page on another screen, or in another theme.
func (p *page) show(s screen, theme string) {
	p.t.Helper()
	p.do(
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.mobile,
		}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		}),
	)
}

// command makes an action of a command of the protocol whose result does not matter.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// signedIn opens the page and signs in.
func signedIn(t *testing.T, d *desk, token string) *page {
	t.Helper()
	p := open(t, d)
	p.signIn(token)
	p.await("!document.getElementById('sections').hidden")
	return p
}

func (p *page) signIn(token string) {
	p.t.Helper()
	p.await("!document.getElementById('sign-in').hidden")
	p.fill("token", token)
	p.press("Enter")
}

// listen notes what a developer would see in the browser's console. A request that the desk answers with an error is
// none of the page's faults: each test says what becomes of it.
func (p *page) listen(m chromedp.ConsoleMessage) {
	if m.Source == "network" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = append(p.complaints, fmt.Sprintf("%s %s (%s:%d)", m.Source, m, m.URL, m.Line))
}

// complained takes away what the browser has complained of.
func (p *page) complained() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.complaints
	p.complaints = nil
	return taken
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, actions...))
}

// eval returns what an expression is in the page or, of a promise, becomes.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	value, err := try[T](p, expression)
	require.NoError(p.t, err, expression)
	return value
}

func try[T any](p *page, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// leaves reports whether an expression has no value because the page is just being left for another one.
func leaves(err error) bool {
	return err != nil && slices.ContainsFunc([]string{
		"Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context with specified id",
	}, func(text string) bool { return strings.Contains(err.Error(), text) })
}

// absent reports whether an expression asks an element that is not in the page, or not there yet.
func absent(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Cannot read properties of null")
}

// await waits until an expression is true in the page, or in the one that this leads to.
func (p *page) await(expression string) {
	p.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		is, err := try[bool](p, "Boolean("+expression+")")
		if is {
			return
		}
		if !leaves(err) && !absent(err) {
			require.NoError(p.t, err, expression)
		}
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(p.t, "gave up waiting", "%s (last error: %v); the page says:\n%s", expression, err,
				eval[string](p, "document.body.innerText"))
		}
	}
}

// element is an expression for an element, of an ID.
func element(id string) string { return fmt.Sprintf("document.getElementById(%q)", id) }

// text returns what people read in an element, with ordinary spaces.
func (p *page) text(id string) string {
	p.t.Helper()
	return plain(eval[string](p, element(id)+".innerText"))
}

// plain replaces the thin spaces between thousands by ordinary ones, for tests that can be read.
func plain(s string) string { return strings.NewReplacer("\u202f", " ", "\u00a0", " ").Replace(s) }

// shows waits until an element says something.
func (p *page) shows(id, words string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`%s.innerText.replace(/[\u202f\u00a0]/g, " ").includes(%q)`, element(id), words))
}

// matches waits until an element says something that a regular expression of JavaScript describes.
func (p *page) matches(id, expression string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`/%s/.test(%s.innerText.replace(/[\u202f\u00a0]/g, " "))`, expression, element(id)))
}

func (p *page) visible(id string) bool {
	p.t.Helper()
	return eval[bool](p, element(id)+".checkVisibility()")
}

// focused returns the ID of the element that has the focus or, without one, what it says.
func (p *page) focused() string {
	p.t.Helper()
	return eval[string](p, "document.activeElement.id || document.activeElement.innerText || document.activeElement.tagName")
}

// awaitFocus waits until something has the focus: the browser moves it in its own time when a dialog closes.
func (p *page) awaitFocus(what string) {
	p.t.Helper()
	p.await(fmt.Sprintf("(document.activeElement.id || document.activeElement.innerText || document.activeElement.tagName) "+
		"=== %q", what))
}

func (p *page) click(id string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS("#" + id)))
}

// order clicks on the button of an order.
func (p *page) order(name string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(`#buttons [data-order="` + name + `"]`)))
	p.await(element("order") + ".open")
}

// fill types into an empty field.
func (p *page) fill(id, words string) {
	p.t.Helper()
	eval[string](p, element(id)+".value = ''")
	p.do(chromedp.Focus(chromedp.CSS("#"+id)), chromedp.KeyEvent(words))
}

var keys = map[string]string{"Enter": "\r", "Tab": "\t", "Escape": "\u001b", "Space": " "}

func (p *page) press(key string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys[key]))
}

// shot keeps a picture of the page, of all of it or of what fits the screen, for people to look at: go test -artifacts
// keeps it after the test.
func (p *page) shot(name string, whole bool) {
	p.t.Helper()
	p.await("document.readyState === 'complete' && document.body?.offsetWidth > 0") // before, Chromium has no picture of it
	shown, err := chromedp.Call(p.ctx, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), shown.Data, 0o644))
}
