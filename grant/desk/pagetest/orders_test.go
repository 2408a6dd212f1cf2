//go:build integration

package pagetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

func TestPauseAndThatReplicasObey(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	p.order("pause")
	p.awaitFocus("order-why")
	require.Equal(t, "The 2 live replicas will stop granting within a second and wait, losing nothing, until somebody resumes.",
		p.text("order-says"))
	p.fill("order-why", `customer centre reports "wrong" dates`)
	p.press("Enter")
	p.shows("order-done-title", "Paused: order 1, ")
	require.Equal(t, []string{`{"action":"pause","why":"customer centre reports \"wrong\" dates"}`}, d.ordered())
	p.awaitFocus("order-close")
	p.matches("order-obeyed", `^0 of 2 replicas obey; waiting for grant-job-0-x7k2p.11, grant-job-1-b9wq4.11 for \d+ s\.$`)

	d.obey(200*time.Millisecond, 1)
	p.shows("order-obeyed", "1 of 2 replicas obeys; waiting for grant-job-1-b9wq4/11 for ")
	d.obey(400*time.Millisecond, 1, 2)
	p.shows("order-obeyed", "2 of 2 replicas obey after 0.4 s.")
	p.shot("dialog-done", false)
	require.Empty(t, eval[[]string](p, check))

	p.press("Enter")
	require.False(t, eval[bool](p, element("order")+".open"))
	require.Contains(t, p.text("outcome"), "2 of 2 replicas obey after 0.4 s.", "it can be read afterwards")
	p.awaitFocus("Resume…") // the focus is back, on what the button has become
	p.shows("history", "Paused by jiyoon")
	p.shows("holds", `: customer centre reports "wrong" dates · in 2 of 2 replicas`)
	p.shows("history", `“customer centre reports "wrong" dates”`)
	p.shows("announcer", "2 of 2 replicas obey after 0.4 s.")

	p.order("resume")
	require.Contains(t, p.text("order-says"), "go on granting within a second, at full speed.")
	p.fill("order-why", "dates are right")
	p.press("Enter")
	p.shows("order-done-title", "Resumed: order 2, ")
	require.JSONEq(t, `{"action":"resume","why":"dates are right"}`, d.ordered()[1])
}

func TestPauseForAWhile(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	p.order("pause")
	eval[any](p, element("order-for")+".value = '2h'; null")
	p.fill("order-why", "Redis is moved")
	p.press("Enter")
	p.shows("order-done-title", "Paused: order 1, ")
	require.JSONEq(t, `{"action":"pause","for":"2h","why":"Redis is moved"}`, d.ordered()[0])
	d.obey(200*time.Millisecond, 1, 2)
	p.press("Enter")
	p.shows("holds", "paused by jiyoon at ")
	p.shows("holds", " until ")
	p.matches("history", `not paused → paused until `)
}

func TestReplicaThatDies(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	p.order("abort")
	p.fill("order-name", "sorry-2022-emoticons")
	p.fill("order-why", "wrong spec")
	p.press("Enter")
	p.shows("order-done-title", "Aborted: order 1, ")
	d.tell(func(st *status.Status) { // it stops before it could say that it obeys
		st.Runs[1].State, st.Runs[1].Live = grant.RunStopped, false
	})
	p.shows("order-obeyed", "1 of 2 replicas obeys; waiting for grant-job-1-b9wq4/11 for ")
	p.matches("order-obeyed", `for ([2-9]|\d\d) s\.$`) // it goes on counting without anything new
}

func TestThrottle(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	p.order("throttle")
	p.awaitFocus("order-limit")
	require.Contains(t, p.text("order-says"), "Changes the limit from “no limit”")
	for _, c := range []struct{ typed, says string }{{"", "whole number"}, {"-5", "whole number"}, {"1.5", "whole number"},
		{"1e5", "whole number"}} {
		p.fill("order-limit", c.typed)
		p.fill("order-why", "gently")
		p.press("Enter")
		p.shows("order-error", c.says)
		p.awaitFocus("order-limit")
		require.Equal(t, "true", eval[string](p, element("order-limit")+".getAttribute('aria-invalid')"))
	}
	require.Empty(t, d.ordered())
	p.do(chromedp.Click(chromedp.Search(`//*[@id="order-presets"]/button[contains(., "200")]`)))
	p.shows("order-limit-note", "At most 200 000 users/s.")
	p.do(chromedp.Focus(chromedp.CSS("#order-why")))
	p.press("Enter")
	p.shows("order-done-title", "Limit set: order 1, ")
	require.JSONEq(t, `{"action":"throttle","throttle":200000,"why":"gently"}`, d.ordered()[0])
	p.press("Escape")
	p.shows("limit", "limit 200 000 users/s")

	p.order("throttle")
	require.Equal(t, "200000", eval[string](p, element("order-limit")+".value"))
	p.do(chromedp.Click(chromedp.Search(`//*[@id="order-presets"]/button[. = "No limit"]`)))
	p.shows("order-limit-note", "No limit: as fast as it goes.")
	p.fill("order-why", "all is well")
	p.click("order-go")
	p.shows("order-done-title", "Limit set: order 2, ")
	require.JSONEq(t, `{"action":"throttle","throttle":0,"why":"all is well"}`, d.ordered()[1])
}

func TestPostpone(t *testing.T) {
	st := waiting()
	d := newDesk(t, st)
	p := signedIn(t, d, operatorToken)
	p.order("postpone")
	require.Equal(t, "by the campaign’s clock (UTC+09:00)", p.text("order-zone"))
	// Browsers leave out seconds that are 0.
	require.Equal(t, strings.TrimSuffix(st.StartsAt.Format("2006-01-02T15:04:05"), ":00"),
		eval[string](p, element("order-start")+".value"))
	p.fill("order-why", "Redis fail-over")
	p.press("Enter")
	p.shows("order-error", "That is when it starts already.")

	later := st.StartsAt.Add(30 * time.Minute)
	p.setStart(time.Time{})
	p.click("order-go")
	p.shows("order-error", "Give the day and the time")
	p.setStart(later)
	p.shows("order-start-note", later.Format("2 Jan 2006, 15:04:05")+" UTC+09:00 is ")
	p.click("order-go")
	p.shows("order-done-title", "Start moved: order 2, ")
	require.JSONEq(t, `{"action":"postpone","starts_at":"`+later.Format(time.RFC3339)+`","why":"Redis fail-over"}`,
		d.ordered()[0])
	p.click("order-close")

	p.order("postpone")
	p.click("order-spec")
	require.True(t, eval[bool](p, element("order-start")+".disabled"))
	p.fill("order-why", "it went well")
	p.press("Enter")
	p.shows("order-done-title", "Start moved: order 3, ")
	require.JSONEq(t, `{"action":"postpone","starts_at":null,"why":"it went well"}`, d.ordered()[1])

	// The start comes while the dialog is open: its button is gone when it closes.
	d.tell(func(st *status.Status) {
		st.Phase, st.StartsAt, st.PostponedFrom = status.PhaseRunning, time.Now().In(seoul), nil
	})
	p.await("!document.querySelector('[data-order=postpone]')")
	p.click("order-close")
	p.awaitFocus("controls-title")
}

// setStart does what choosing a moment in the calendar does.
func (p *page) setStart(at time.Time) {
	p.t.Helper()
	value := ""
	if !at.IsZero() {
		value = at.In(seoul).Format("2006-01-02T15:04:05")
	}
	eval[any](p, element("order-start")+".value = '"+value+"'; "+element("order-start")+".dispatchEvent(new Event('input')); "+
		"null")
}

// TestRedisThatLostOrders leaves both ways open, and says so.
func TestRedisThatLostOrders(t *testing.T) {
	st := paused()
	st.Control = grant.Control{Version: 2} // an older one, which all replicas have seen
	for i := range st.Runs {
		st.Runs[i].Control, st.Runs[i].Obeys = 2, true
	}
	d := newDesk(t, st)
	p := signedIn(t, d, operatorToken)
	buttons := func() string { return strings.Join(strings.Fields(p.text("buttons")), " ") }
	require.Equal(t, "Pause… Resume… Throttle… Finish… Abort…", buttons())
	require.Contains(t, p.text("replicas-warnings"),
		"Redis lost orders: it knows of no pause, and replicas do not agree. Pause or resume again.")

	d.tell(func(st *status.Status) { st.Control = grant.Control{Version: 3, Paused: true} }) // which they have not seen yet
	p.await("!document.querySelector('[data-order=pause]')")
	require.Equal(t, "Resume… Throttle… Finish… Abort…", buttons())
	require.NotContains(t, p.text("replicas-warnings"), "lost")

	d.obey(0, 1, 2)
	d.tell(func(st *status.Status) { st.Control.Throttle = 5 })
	p.shows("replicas-warnings", "it knows of a limit, and replicas do not agree. Set it again.")
}

// TestAbortedCampaign says who aborted it and why, what else is in force, and how it goes on.
func TestAbortedCampaign(t *testing.T) {
	d := newDesk(t, aborted())
	p := signedIn(t, d, operatorToken)
	p.shows("phase", "Aborted")
	at := d.st.Control.AbortedBy.At.Format(time.RFC3339)
	require.Equal(t, []string{
		"Aborted by jiyoon at " + at + ": wrong <b>emoticon</b>.",
		"Paused by minseo at " + at + ": to look.",
		"Ordered to finish by dohyun at " + at + ": everybody is in, 2 000 000 records from here.",
	}, strings.Split(plain(p.text("ordered")), "\n"))
	buttons := func() string { return strings.Join(strings.Fields(p.text("buttons")), " ") }
	require.Equal(t, "Resume… Throttle… Finish…", buttons())

	p.order("resume")
	require.Contains(t, p.text("order-says"),
		"Lifts the abort. Runs that stand by go on, at full speed; those that have ended must be started again")
	p.fill("order-why", "the spec is right now")
	p.press("Enter")
	p.shows("order-done-title", "Resumed")
	d.tell(func(st *status.Status) { st.Phase = status.PhaseFinishing })
	p.shows("phase", "Finishing")
	require.Equal(t, "Ordered to finish by dohyun at "+at+": everybody is in, 2 000 000 records from here.",
		plain(p.text("ordered")))
	require.Equal(t, "Pause… Resume… Throttle… Finish… Abort…", buttons())
	p.press("Enter")
	p.order("resume")
	require.Contains(t, p.text("order-says"), "Takes back the order to finish")
}

func TestFinishAndAbortWantTheName(t *testing.T) {
	for _, name := range []string{"finish", "abort"} {
		d := newDesk(t, running())
		p := signedIn(t, d, operatorToken)
		p.order(name)
		p.awaitFocus("order-name")
		require.Contains(t, p.text("order-says"), "16 908 410 records")
		p.fill("order-why", "it is time")
		for _, typed := range []string{"", "sorry", "Sorry-2022-emoticons"} {
			p.fill("order-name", typed)
			p.press("Enter")
			p.shows("order-error", "Type sorry-2022-emoticons to confirm.")
		}
		require.Empty(t, d.ordered())
		p.fill("order-name", "sorry-2022-emoticons")
		p.press("Enter")
		p.await("!" + element("order-done") + ".hidden")
		require.JSONEq(t, `{"action":"`+name+`","why":"it is time"}`, d.ordered()[0])
	}
}

func TestOrderThatFails(t *testing.T) {
	st := waiting()
	d := newDesk(t, st)
	p := signedIn(t, d, operatorToken)
	p.order("postpone")
	p.setStart(st.PostponedFrom.Add(-time.Minute))
	p.fill("order-why", "again")
	for _, c := range []struct {
		fails *problem
		says  string
	}{
		{nil, " is before the spec's starts_at, "},
		{&problem{Status: 403, Detail: "role viewer, needs operator"}, "You may not do this: role viewer, needs operator"},
		{&problem{Status: 429, Detail: "too many", retryAfter: 3}, "Too many requests: try again in 3 s."},
		{&problem{Status: 503, Detail: "it may have been carried out all the same"}, "it may have been carried out all the same"},
		{&problem{Status: 401, Detail: "the token is not in the access file"}, "Not signed in any more"},
	} {
		d.change(func(d *desk) {
			delete(d.fails, d.path("orders"))
			if c.fails != nil {
				d.fails[d.path("orders")] = c.fails
			}
		})
		p.press("Enter")
		p.shows("order-error", c.says)
		require.True(t, eval[bool](p, element("order")+".open"), "what was typed is still there")
		require.Equal(t, "again", eval[string](p, element("order-why")+".value"))
	}
	p.shows("history", "Postpone: refused")
	var keys []string
	d.change(func(d *desk) {
		for _, h := range d.headers {
			if key := h.Get("Idempotency-Key"); key != "" {
				keys = append(keys, key)
			}
		}
	})
	require.Len(t, keys, 5)
	require.Equal(t, keys[3], keys[4], "the desk knows again what it may have carried out")
	require.Len(t, slices.Compact(keys), 4, "what was refused is another request when it is sent again")

	require.NoError(t, d.Listener.Close()) // the desk is gone
	d.CloseClientConnections()
	p.press("Enter")
	p.shows("order-error", "whether the order was taken is not known")
}

func TestOrderIsSentOnce(t *testing.T) {
	d := newDesk(t, running())
	d.hold = make(chan struct{})
	p := signedIn(t, d, operatorToken)
	p.order("pause")
	p.press("Enter")
	p.shows("order-error", "Say why")
	p.fill("order-why", "   ")
	p.press("Enter")
	p.shows("order-error", "Say why")
	p.fill("order-why", "once")
	for range 5 {
		p.press("Enter")
		p.click("order-go")
	}
	require.Eventually(t, func() bool { return len(d.ordered()) == 1 }, patience, time.Millisecond)
	close(d.hold)
	p.shows("order-done-title", "Paused")
	require.Len(t, d.ordered(), 1)
}

func TestOnlyOperatorsSeeControls(t *testing.T) {
	for token, sees := range map[string]bool{viewerToken: false, supportToken: false, operatorToken: true} {
		p := signedIn(t, newDesk(t, running()), token)
		require.Equal(t, sees, p.visible("controls"), token)
		found := tree(p)
		for _, button := range []string{"Pause…", "Throttle…", "Finish…", "Abort…"} {
			if sees {
				require.Contains(t, found, node{"button", button})
			} else {
				require.NotContains(t, found, node{"button", button})
			}
		}
	}
}

// TestKeyboard signs in, gives an order and looks at the rest with nothing but a keyboard.
func TestKeyboard(t *testing.T) {
	d := newDesk(t, many())
	p := signedIn(t, d, operatorToken)
	p.awaitFocus("main") // the page begins there
	eval[any](p, "document.activeElement.blur(); document.body.focus(); getSelection().removeAllRanges(); null")
	visited := []string{}
	reach := func(what string) {
		t.Helper()
		for range 40 {
			p.press("Tab")
			now := p.focused()
			visited = append(visited, now)
			if eval[bool](p, "document.activeElement !== document.body") {
				require.True(t, eval[bool](p, `(() => {
					const s = getComputedStyle(document.activeElement);
					return s.outlineStyle === "solid" && parseFloat(s.outlineWidth) >= 2 ||
						document.activeElement.matches(".scroll");
				})()`), "the focus on %s can be seen", now)
			}
			if strings.HasPrefix(now, what) {
				return
			}
		}
		require.Fail(t, "cannot be reached", "%s; visited %v", what, visited)
	}
	reach("Throttle…")
	p.press("Enter")
	p.await(element("order") + ".open")
	p.awaitFocus("order-limit")
	p.press("Escape")
	p.await("!" + element("order") + ".open")
	p.awaitFocus("Throttle…")
	require.Empty(t, d.ordered())

	p.press("Space")
	p.await(element("order") + ".open")
	for _, want := range []string{"No limit", "10", "50", "100", "200", "500", "1", "order-why", "order-cancel", "order-go"} {
		reach(want)
	}
	p.press("Tab") // out of the page, and in again: never to what is behind the dialog
	for range 3 {
		p.press("Tab")
		require.True(t, eval[bool](p,
			"document.activeElement === document.body || document.activeElement.closest('dialog') !== null"))
	}
	p.fill("order-limit", "150000")
	p.fill("order-why", "gently")
	p.press("Enter")
	p.shows("order-done-title", "Limit set")
	p.press("Escape")
	p.await("!" + element("order") + ".open")
	p.awaitFocus("Throttle…")
	require.JSONEq(t, `{"action":"throttle","throttle":150000,"why":"gently"}`, d.ordered()[0])

	reach("replicas-more")
	p.press("Enter")
	require.Len(t, p.rows("replicas"), 3)
	reach("partitions-more")
	p.press("Space")
	require.Len(t, p.rows("partitions"), 1000)
	reach("history-refresh")
	asked := d.asked("history")
	p.press("Enter")
	require.Eventually(t, func() bool { return d.asked("history") == asked+1 }, patience, time.Millisecond)
}
