//go:build integration

package pagetest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/status"
)

// check is a script that returns what it finds wrong.
//
//go:embed testdata/check.js
var check string

// inEachWay looks at a page on a screen and on a phone, in both themes.
func (p *page) inEachWay(name string, look func(name string)) {
	p.t.Helper()
	for _, s := range []screen{desktop, phone} {
		for _, theme := range []string{"light", "dark"} {
			p.show(s, theme)
			look(name + "-" + s.name + "-" + theme)
		}
	}
}

// usable requires that the checks find nothing.
func (p *page) usable(name string) {
	p.t.Helper()
	require.Empty(p.t, eval[[]string](p, check), name)
	require.Empty(p.t, nameless(p), name)
}

// TestFaces looks at the page in each phase, and keeps a picture of it.
func TestFaces(t *testing.T) {
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, scenario())
			d.acts, d.past = trail(), lastMinutes(d.st)
			p := signedIn(t, d, operatorToken)
			p.await("document.querySelectorAll('#history li').length > 0")
			p.await("document.querySelector('.curve').getAttribute('d').length > 200")
			p.inEachWay(name, func(name string) {
				p.shot(name, true)
				p.usable(name)
			})
		})
	}
}

// TestReflow: nothing sticks out at any width, be it that of a small phone or of a screen at 400%.
func TestReflow(t *testing.T) {
	for _, scenario := range []func() status.Status{waiting, paused, many} {
		d := newDesk(t, scenario())
		d.acts = trail()
		p := signedIn(t, d, operatorToken)
		p.await("document.querySelectorAll('#history li').length > 0")
		for _, width := range []int64{320, 360, 480, 600, 736, 737, 900, 1024, 1280, 1920} {
			p.show(screen{width: width, height: 800, mobile: width < 700}, "light")
			p.usable(fmt.Sprint(width))
		}
	}
}

// lastMinutes are what the status was before: the rate rose, and swung.
func lastMinutes(st status.Status) []status.Status {
	list := make([]status.Status, 240)
	for i := range list {
		ago := float64(len(list) - i)
		list[i] = st
		list[i].At = time.Now().Add(-time.Duration(ago) * time.Second)
		list[i].Rate = st.Rate * (1 - math.Exp((ago-240)/20)) * (1 + 0.06*math.Sin(ago/3) + 0.04*math.Sin(ago*1.7))
	}
	return list
}

func TestSignInIsAccessible(t *testing.T) {
	p := open(t, newDesk(t, running()))
	p.signIn("wrong")
	p.shows("sign-in-error", "not known")
	p.inEachWay("sign-in", func(name string) {
		p.shot(name, false)
		p.usable(name)
	})
	require.Subset(t, tree(p), []node{{"form", "granter operations"}, {"textbox", "Token"}, {"button", "Sign in"}})
}

func TestDialogsAreAccessible(t *testing.T) {
	p := signedIn(t, newDesk(t, waiting()), operatorToken)
	for order, nodes := range map[string][]node{
		"pause": {{"dialog", "Pause the campaign"}, {"textbox", "Why"}, {"button", "Cancel"}, {"button", "Pause"}},
		"throttle": {{"dialog", "Limit the rate"}, {"spinbutton", "Users per second, of all replicas together"},
			{"button", "No limit"}, {"group", "Usual limits"}},
		"postpone": {{"dialog", "Postpone the start"}, {"DateTime", "New start, by the campaign’s clock (UTC+09:00)"}},
		"finish":   {{"dialog", "Finish the runs"}, {"textbox", "To confirm, type sorry-2022-emoticons"}},
		"abort":    {{"dialog", "Abort the runs"}, {"button", "Abort"}},
	} {
		p.order(order)
		p.press("Enter") // so that it says what is missing
		p.await(element("order-error") + ".innerText !== ''")
		p.inEachWay("dialog-"+order, func(name string) {
			p.shot(name, false)
			p.usable(name)
		})
		found := tree(p)
		require.Subset(t, found, nodes)
		require.NotContains(t, found, node{"button", "Sign out"}, "what is behind the dialog is out of reach")
		p.press("Escape")
	}
}

// TestLandmarksAndControls says what somebody finds who does not see the page.
func TestLandmarksAndControls(t *testing.T) {
	d := newDesk(t, many())
	p := signedIn(t, d, operatorToken)
	require.Subset(t, tree(p), []node{
		{"banner", ""}, {"main", ""}, {"contentinfo", ""}, {"link", "Skip to the campaign"}, {"button", "Sign out"},
		{"heading", "Three emoticons for every KakaoTalk user"},
		{"region", "Holds"}, {"region", "Controls"}, {"region", "Replicas"}, {"region", "Partitions"}, {"region", "Rejects"},
		{"region", "History"},
		{"button", "Pause…"}, {"button", "Throttle…"}, {"button", "Finish…"}, {"button", "Abort…"},
		{"button", "Show all 1 000 partitions"}, {"button", "Show 1 ended run"}, {"button", "Refresh"},
		{"progressbar", "31 204 118 of 48 000 000 users granted 65.00 %"},
		{"columnheader", "Redis latency"}, {"rowheader", "517"},
	})
}

// TestCheckFinds shows that the check is not blind.
func TestCheckFinds(t *testing.T) {
	faults := map[string]string{
		"contrast": "document.getElementById('title').className = 'faint'; " +
			"document.styleSheets[0].insertRule('.faint { color: #999 }')",
		"more than once":    "document.getElementById('title').id = 'phase'",
		"names gone":        "document.getElementById('progress').setAttribute('aria-labelledby', 'gone')",
		"heading of level":  "document.querySelector('h2').outerHTML = '<h4 id=holds-title>Holds</h4>'",
		"window of 1440":    "document.styleSheets[0].insertRule('#title { width: 2000px }')",
		"edge with":         "document.styleSheets[0].insertRule('#sign-out { border-color: #ddd }')",
		"does not fit":      "document.querySelector('#partitions tr').lastElementChild.remove()",
		"image without alt": "document.querySelector('img').removeAttribute('alt')",
	}
	p := signedIn(t, newDesk(t, running()), operatorToken)
	for finding, fault := range faults {
		require.Empty(t, eval[[]string](p, check))
		eval[any](p, fault+"; null")
		require.Contains(t, fmt.Sprint(eval[[]string](p, check)), finding)
		p.do(chromedp.Reload())
		p.await("!document.getElementById('sections').hidden")
	}
}

// TestComplaintsAreSeen shows that what the browser complains of reaches every test.
func TestComplaintsAreSeen(t *testing.T) {
	p := open(t, newDesk(t, running()))
	for _, fault := range []string{
		"document.body.setAttribute('style', 'color: red')",
		"document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))",
		"fetch('http://192.0.2.1/').catch(() => {})",
		"setTimeout(() => { throw new Error('nobody catches it') })",
		"Promise.reject(new Error('nobody catches it'))",
		"console.error('it is wrong')",
	} {
		require.Empty(t, p.complained())
		eval[any](p, "{"+fault+"; null}")
		require.Eventually(t, func() bool { return len(p.complained()) > 0 }, patience, time.Millisecond, fault)
	}
}

// TestReducedMotion: whoever asks for less motion gets none.
func TestReducedMotion(t *testing.T) {
	p := signedIn(t, newDesk(t, running()), viewerToken)
	p.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}},
	}))
	p.await("matchMedia('(prefers-reduced-motion: reduce)').matches")
	require.Empty(t, eval[[]string](p, `[...document.querySelectorAll("*")].flatMap((e) =>
		[null, "::before", "::after", "::-webkit-progress-value"].filter((part) => {
			const s = getComputedStyle(e, part);
			return s.animationName !== "none" || s.transitionDuration !== "0s";
		})
		.map((part) => e.tagName + part))`))
}

// node is what assistive technology knows of an element.
type node struct{ role, name string }

// tree returns the page as assistive technology gets it.
func tree(p *page) (nodes []node) {
	p.t.Helper()
	full, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(p.t, err)
	for _, n := range full.Nodes {
		if !n.Ignored {
			nodes = append(nodes, node{word(n.Role), plain(word(n.Name))})
		}
	}
	return nodes
}

func word(v *accessibility.Value) (s string) {
	if v != nil {
		_ = json.Unmarshal(v.Value, &s)
	}
	return s
}

// nameless returns what can be operated, or tells something, and does not say what it is.
func nameless(p *page) (roles []string) {
	p.t.Helper()
	needs := []string{
		"button", "link", "textbox", "spinbutton", "checkbox", "DateTime", "dialog", "progressbar", "image", "region", "heading",
		"columnheader", "rowheader", "timer", "group", "form",
	}
	for _, n := range tree(p) {
		if n.name == "" && slices.Contains(needs, n.role) {
			roles = append(roles, n.role)
		}
	}
	return roles
}
