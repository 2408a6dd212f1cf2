//go:build integration

package pagetest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

func TestHeadline(t *testing.T) {
	st := running()
	zone := func(at time.Time) string { return at.In(seoul).Format("2 Jan 2006, 15:04:05") + " UTC+09:00" }
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	p := signedIn(t, newDesk(t, st), viewerToken)

	require.Equal(t, "Three emoticons for every KakaoTalk user", p.text("title"))
	require.Equal(t, "sorry-2022-emoticons", p.text("campaign"))
	require.Equal(t, "3f2a91c0", p.text("spec"))
	require.Equal(t, "Running", p.text("phase"))
	require.Equal(t, " · started "+zone(st.StartsAt)+" · ends "+zone(*st.EndsAt), p.text("span"))
	require.Equal(t, "31 204 118 of 48 000 000 users granted\n65.00 %", p.text("progress-label"))
	require.InDelta(t, 65.01, eval[float64](p, element("progress")+".value"), 0.001)
	require.Equal(t, "1 984 120", p.text("rate"))
	require.Equal(t, "no limit set", p.text("limit"))
	require.Equal(t, st.EstimatedEnd.In(berlin).Format("15:04:05 ")+abbreviation(*st.EstimatedEnd, berlin), p.text("end"))
	require.Equal(t, zone(*st.EstimatedEnd), p.text("end-zone"))
	require.Equal(t, "in 17 s, at the present rate", p.text("left"))
	require.Equal(t, "16 908 410", p.text("lag"))
	require.Equal(t, "of 48 240 000 records", p.text("lag-of"))
	require.Regexp(t, `^\d\.\d s ago$`, p.text("checkpoint"))
	require.Equal(t, "71.5 MiB", p.text("ledger"))
	require.Equal(t, "2.4 bytes a user, estimated", p.text("ledger-per-user"))
	require.Equal(t, "Redis uses 1.2 GiB of 4.0 GiB", p.text("redis"))
	require.Equal(t, "65.00 % running · sorry-2022-emoticons", plain(eval[string](p, "document.title")))
	require.False(t, p.visible("start"), "the countdown is over")
	require.False(t, p.visible("banner"))
	require.Equal(t, "Live", p.text("connection"))
}

// abbreviation is how Chromium writes a zone in English.
func abbreviation(at time.Time, in *time.Location) string {
	name, _ := at.In(in).Zone()
	return name
}

func TestCountdownToAPostponedStart(t *testing.T) {
	st := waiting()
	d := newDesk(t, st)
	p := signedIn(t, d, viewerToken)
	require.Equal(t, "Waiting", p.text("phase"))
	p.matches("countdown", `^02:1[23]:\d\d$`)
	require.Contains(t, p.text("starts-at"), st.StartsAt.Format("2 Jan 2006, 15:04:05")+" UTC+09:00 · ")
	require.Contains(t, p.text("starts-at"), " here")
	require.Equal(t, "Postponed from "+st.PostponedFrom.In(seoul).Format("2 Jan 2006, 15:04:05")+" UTC+09:00",
		p.text("postponed"))
	before := p.text("countdown")
	p.await(element("countdown") + ".innerText !== '" + before + "'")
	d.tell(func(st *status.Status) { st.StartsAt = time.Now().Add(2 * time.Second).In(seoul) })
	p.matches("countdown", `^00:00:0[012]$`)
	p.shows("countdown-label", "Due since") // as long as no replica has begun

	d.tell(func(st *status.Status) {
		st.Phase, st.Holds = status.PhaseRunning, nil
	})
	p.await("!" + element("start") + ".checkVisibility()")
	require.Equal(t, "Running", p.text("phase"))
}

func TestHoldsSayWhyAndSinceWhen(t *testing.T) {
	d := newDesk(t, throttled())
	d.acts = trail()
	p := signedIn(t, d, viewerToken)
	p.shows("holds", "start gently")
	holds := eval[[]string](p, "[...document.querySelectorAll('#holds li')].map((li) => li.innerText)")
	require.Len(t, holds, 2)
	require.Regexp(t, `^Slowed by the latency of Redis since \d\d:\d\d:\d\d CES?T \(1\d s\) slower\s+`+
		`612 ms, above 500 ms · in 1 of 2 replicas$`, holds[0])
	require.Regexp(t, `^Limited by operator since .* \(1 min\) slower\s+`+
		`limited to 200000 users/s over all replicas by jiyoon at \S+: start gently · in 2 of 2 replicas$`, holds[1])
	require.Equal(t, "limit 200 000 users/s", p.text("limit"))

	d.tell(func(st *status.Status) { st.Holds = nil })
	p.await("document.querySelectorAll('#holds li').length === 0")
	require.True(t, p.visible("no-holds"))
}

// TestWordsForEverything holds the page's words against what Go can say: nothing may appear as a bare identifier.
func TestWordsForEverything(t *testing.T) {
	st := running()
	st.Holds, st.Rejects = nil, map[string]int64{}
	for i, cause := range grant.Causes() {
		st.Holds = append(st.Holds, grant.Hold{Cause: cause, Detail: "measured", Since: time.Now()})
		st.Runs[1].Holds = st.Holds[:i+1]
	}
	for _, reason := range source.Reasons() {
		st.Rejects[string(reason)] = 1
	}
	d := newDesk(t, st)
	p := signedIn(t, d, viewerToken)
	words := eval[map[string]map[string]any](p, `import("/words.js").then((w) => JSON.parse(JSON.stringify(w)))`)
	for i, cause := range grant.Causes() {
		require.Contains(t, words["causes"], string(cause))
		stops, _ := words["causes"][string(cause)].(map[string]any)["stops"].(bool)
		require.Equal(t, cause.Stops(), stops, cause)
		require.Contains(t, eval[[]string](p, "[...document.querySelectorAll('#holds li')].map((li) => li.innerText)")[i],
			words["causes"][string(cause)].(map[string]any)["says"])
	}
	for _, reason := range source.Reasons() {
		require.Contains(t, words["reasons"], string(reason))
	}
	for _, action := range []grant.Action{
		grant.ActionPause, grant.ActionResume, grant.ActionThrottle, grant.ActionAbort, grant.ActionFinish, grant.ActionPostpone,
		grant.ActionStartEarly, grant.ActionForce, grant.ActionNewTopic,
	} {
		require.Contains(t, words["actions"], string(action))
		require.Contains(t, words["attempts"], string(action))
	}
	for _, state := range grant.RunStates() {
		require.Contains(t, words["states"], string(state))
	}
	for _, phase := range status.Phases() {
		d.tell(func(st *status.Status) { st.Phase = phase })
		says, ok := words["phases"][string(phase)].(map[string]any)
		require.True(t, ok, phase)
		p.shows("phase", says["name"].(string))
		require.True(t, eval[bool](p, `Boolean(document.getElementById("i-`+string(phase)+`"))`), "an icon for %s", phase)
	}
	require.NotRegexp(t, `[a-z]_[a-z]`, p.text("main"))
}

func TestUpdateChangesNumbersAndMovesNothing(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	where := func() map[string]float64 {
		return eval[map[string]float64](p, `Object.fromEntries(
			[...document.querySelectorAll("section, h1, dt, td, th, button, .figure")].map((e, i) => {
				const at = e.getBoundingClientRect();
				return [i + e.tagName + e.id, at.top + 10000 * at.left];
			}).filter(([k]) => !k.includes("TD") && !k.includes("STRONG")))`)
	}
	eval[any](p, "document.querySelector('#partitions tr').marked = true; null")
	before := where()
	for i := range int64(5) {
		granted := int64(31_999_999) + i*1_111_111
		d.tell(func(st *status.Status) {
			st.Granted, st.Percentage, st.Rate, st.Lag = granted, float64(granted)/480_000, 1_111_111.1*float64(i+1),
				16_000_000-granted/10
			st.Partitions = slices.Clone(st.Partitions)
			st.Partitions[3].Lag -= 100_000 * i
		})
		p.shows("granted", thousands(granted))
		require.Equal(t, before, where())
	}
	require.Equal(t, "75.92 %", p.text("percentage"))
	require.True(t, eval[bool](p, "document.querySelector('#partitions tr').marked"), "rows are updated, not made again")
	require.Greater(t, eval[int](p, "document.querySelector('.curve').getAttribute('d').split('L').length"), 4)
}

// thousands writes a number as people read it.
func thousands(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s %03d", thousands(n/1000), n%1000)
}

func TestConnectionLostAndFoundAgain(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, viewerToken)
	d.goAway(&problem{Status: 503, Detail: "Redis does not answer"})
	p.matches("banner", `^Connection lost, showing data of \d+ s ago\. `)
	p.shows("banner", "Redis does not answer. Next attempt in")
	p.shot("lost", false)
	require.Equal(t, "Lost", p.text("connection"))
	require.Equal(t, "31 204 118", p.text("granted"), "what was known is still shown")
	require.Empty(t, eval[[]string](p, check))
	p.shows("announcer", "Connection lost.")
	p.matches("banner", `showing data of ([5-9]|\d\d) s ago`)
	asks := d.askedAt("events") // the first is the connection that was lost; half a second after that comes the second
	for i := 2; i < len(asks); i++ {
		pause := min(500*time.Millisecond<<(i-1), 10*time.Second)
		require.GreaterOrEqual(t, asks[i].Sub(asks[i-1]), pause*3/4-10*time.Millisecond, "it waits longer and longer: %v", asks)
	}

	tried := d.asked("events")
	p.click("banner-retry")
	p.await("true")
	require.Eventually(t, func() bool { return d.asked("events") > tried }, patience, 10*time.Millisecond)

	d.comeBack()
	d.tell(func(st *status.Status) { st.Granted = 31_300_000 })
	p.shows("granted", "31 300 000")
	require.False(t, p.visible("banner"))
	require.Equal(t, "Live", p.text("connection"))
	p.shows("announcer", "Connected again.")
}

// TestStreamThatEndsIsOpenedAgain without anybody noticing, when it works at once.
func TestStreamThatEndsIsOpenedAgain(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, viewerToken)
	eval[any](p, `window.banners = 0;
		new MutationObserver(() => { if (!document.getElementById("banner").hidden) window.banners++; })
		.observe(document.getElementById("banner"), { attributes: true }); null`)
	d.hangUp()
	require.Eventually(t, func() bool { return d.asked("events") == 2 }, patience, 10*time.Millisecond)
	d.tell(func(st *status.Status) { st.Granted = 31_300_000 })
	p.shows("granted", "31 300 000")
	require.Zero(t, eval[int](p, "window.banners"))
}

func TestStatusThatCannotBeHadIsSaid(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, viewerToken)
	d.change(func(d *desk) {
		d.broken = &problem{Title: "Service Unavailable", Status: 503,
			Detail: "asking Kafka where partitions end: no broker answers"}
	})
	p.matches("banner", `^No fresh data, showing data of \d+ s ago\. asking Kafka where partitions end: no broker answers\.`)
	require.False(t, p.visible("banner-retry"), "the connection is there")
	d.change(func(d *desk) { d.broken = nil })
	p.await("!" + element("banner") + ".checkVisibility()")
}

// TestEventsInPieces has characters of several bytes cut in two.
func TestEventsInPieces(t *testing.T) {
	st := running()
	st.Title = "모든 이용자에게 이모티콘 3종 🎁"
	d := newDesk(t, st)
	d.pieces = true
	p := signedIn(t, d, viewerToken)
	require.Equal(t, st.Title, p.text("title"))
	d.tell(func(st *status.Status) { st.Granted = 40 * million })
	p.shows("granted", "40 000 000")
}

// TestAnnouncesOnlyChanges: a screen reader that speaks each second is switched off.
func TestAnnouncesOnlyChanges(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, viewerToken)
	eval[any](p, `window.said = []; new MutationObserver(() => window.said.push(document.getElementById("announcer").textContent))
		.observe(document.getElementById("announcer"), { childList: true }); null`)
	for i := range int64(20) {
		d.tell(func(st *status.Status) { st.Granted, st.Rate = st.Granted+1000*i, st.Rate+1 })
	}
	p.shows("granted", "31 394 118")
	require.Empty(t, eval[[]string](p, "window.said"))
	require.Equal(t, 0, eval[int](p,
		`document.querySelectorAll("#main [aria-live]:not([aria-live=off]), #main [role=status], #main [role=log]").length`))

	paused := paused()
	d.tell(func(st *status.Status) { st.Phase, st.Holds = paused.Phase, paused.Holds })
	p.await("window.said.length === 1")
	require.Equal(t, []string{
		"Paused. Nobody is granted anything for now. " +
			"Paused by operator: paused by an operator: granter history says by whom and why.",
	}, eval[[]string](p, "window.said"))
}
