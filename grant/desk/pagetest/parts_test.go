//go:build integration

package pagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// rows returns what the rows of a table body say, with a bar between cells.
func (p *page) rows(body string) []string {
	p.t.Helper()
	rows := eval[[]string](p, `[...document.querySelectorAll("#`+body+` > tr")].map((tr) => [...tr.children]
		.map((cell) => cell.innerText.trim().replace(/\n+/g, ", ")).join(" | "))`)
	for i := range rows {
		rows[i] = plain(rows[i])
	}
	return rows
}

func TestPartitions(t *testing.T) {
	st := running()
	st.Partitions[5].Lag, st.Partitions[5].Checkpoint = 0, st.Partitions[5].End
	p := signedIn(t, newDesk(t, st), viewerToken)
	rows := p.rows("partitions")
	require.Len(t, rows, 8)
	require.Equal(t, "0 | 2 000 000 |  | 4 030 000 | 6 030 000", rows[0])
	require.Equal(t, "1 | 2 612 500 | most lag | 3 417 500 | 6 030 000", rows[1])
	require.Equal(t, "5 | 0 | done | 6 030 000 | 6 030 000", rows[5])
	require.Equal(t, "1 of 8 partitions done · the worst is 1 with a lag of 2 612 500", p.text("partitions-summary"))
	require.False(t, p.visible("partitions-more"))
	widths := eval[[]float64](p, `[...document.querySelectorAll("#partitions .bar-lag")]
		.map((bar) => Number(bar.getAttribute("width")))`)
	require.InDelta(t, 100*2_000_000/6_030_000.0, widths[0], 0.1)
	require.Zero(t, widths[5])
}

func TestThousandPartitions(t *testing.T) {
	d := newDesk(t, many())
	p := signedIn(t, d, viewerToken)
	rows := p.rows("partitions")
	require.Len(t, rows, 16)
	require.Contains(t, strings.Join(rows, "\n"), "517 | 3 086 100 | most lag")
	first := eval[[]int](p, `[...document.querySelectorAll("#partitions th")].map((th) => Number(th.innerText))`)
	require.IsIncreasing(t, first)
	require.Contains(t, p.text("partitions-summary"), "0 of 1 000 partitions done · the worst is 517 with a lag of 3 086 100")

	d.tell(func(st *status.Status) { // others are worse now, but rows that jump cannot be read
		st.Partitions = partitions(1000)
		st.Partitions[7].Lag += 2 * million
	})
	p.shows("partitions-summary", "the worst is 7 with a lag of")
	require.Equal(t, first, eval[[]int](p, `[...document.querySelectorAll("#partitions th")].map((th) => Number(th.innerText))`))

	p.click("partitions-more")
	require.Len(t, p.rows("partitions"), 1000)
	require.Equal(t, "Show only the 16 with the most lag", p.text("partitions-more"))
	p.awaitFocus("partitions-more")
	// All of them are updated each second: rows that are there already are kept, and what is the same in them is left alone.
	changes := eval[int](p, `import("/partitions.js").then((m) => fetch("/api/v1/campaigns/sorry-2022-emoticons/status", {
			headers: {Authorization: "Bearer " + sessionStorage["granter-token"]},
		}).then((r) => r.json()).then((s) => {
			m.render(s);
			const changes = new MutationObserver(() => {});
			changes.observe(document.getElementById("partitions"), {
				subtree: true, childList: true, attributes: true, characterData: true,
			});
			s.partitions[7].lag -= 1;
			m.render(s);
			return changes.takeRecords().length;
		}))`)
	require.Less(t, changes, 10, "for one partition of a thousand")
	require.Less(t, eval[float64](p, "document.querySelector('.tall').clientHeight"), 700.0, "it scrolls in itself")
	p.click("partitions-more")
	require.Len(t, p.rows("partitions"), 16)
}

func TestReplicas(t *testing.T) {
	st := paused()
	failed := replica("grant-job-3-f41l", 2, time.Now().Add(-time.Hour))
	failed.Run++
	failed.Live, failed.State, failed.Error = false, grant.RunFailed, "partition 3: offsets 5 to 9 are gone"
	st.Runs = append([]status.Replica{failed}, st.Runs...)
	st.Runs[2].Pass = "canary 1%"
	d := newDesk(t, st)
	p := signedIn(t, d, viewerToken)
	require.Equal(t, "2 live · 1 lost · 2 ended · 1 of 2 obey order 4", p.text("replicas-summary"))
	rows := p.rows("replicas")
	require.Len(t, rows, 3)
	require.Equal(t, "grant-job-0-x7k2p/11, v1.4.0 · run 0661f0e2a4c00000 | Live, running · pass: canary 1% | Yes, order 4 | "+
		"0–3, 4 partitions | 0 | "+
		"15 702 004, of 15 782 204 read | 1.1 | 2.1 ms | 1.2 GiB, 30.50 % of 4.0 GiB | 1.1 MiB | 12 ms ahead", rows[0])
	require.Contains(t, rows[1], "| Not yet, order 3 of 4 |")
	require.Contains(t, rows[1], "| 1 400 ms behind, clocks disagree")
	require.Regexp(t, `grant-job-2-l0st9/11, .* \| Lost, silent since \d\d:\d\d:\d\d CES?T \| – \| none`, rows[2])
	require.Equal(t, "Replicas run different versions of granter: v1.3.9, v1.4.0.", p.text("replicas-warnings"))
	require.Contains(t, p.text("phase-says"), "In this pass: canary 1%.")

	p.click("replicas-more")
	rows = p.rows("replicas")
	require.Len(t, rows, 5)
	require.Contains(t, rows[4], "Failed, partition 3: offsets 5 to 9 are gone")

	d.tell(func(st *status.Status) { st.Runs[3].Spec = "beef" + specHash })
	p.shows("replicas-warnings", "Replicas work by different specs: 3f2a91c0, beef3f2a. Stop those that are wrong.")
}

func TestRejects(t *testing.T) {
	st := running()
	p := signedIn(t, newDesk(t, st), viewerToken)
	require.Equal(t, "1 517 records without a valid user ID", p.text("rejects-summary"))
	require.EqualValues(t, 1517, rejected(st))
	require.Equal(t, strings.Join([]string{
		"Not a decimal number", "1 204", "partition 3, offset 2 204 551", `"kakao:1234567"`, "partition 6, offset 1 100 204",
		`"12 345x"`,
		"No value", "311", "partition 0, offset 77", `""`,
		"Above the limit for IDs", "2", "partition 1, offset 90 001", `"9223372036854775808"`,
	}, "\n"), strings.Join(strings.FieldsFunc(p.text("rejects"), func(r rune) bool { return r == '\n' }), "\n"))
}

// TestHostileValues puts everything that an attacker can choose into the page.
func TestHostileValues(t *testing.T) {
	const script = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	hostile := script + "\u202e\u2066drawkcab\u0000\u0007" + strings.Repeat("W", 200) + "\"'`</li></ul>${1+1}"
	long := hostile + strings.Repeat("W", 5000) + strings.Repeat("\n", 50)
	for _, s := range []screen{desktop, phone} {
		st := paused()
		st.Title, st.Holds[0].Detail = hostile, hostile
		st.Samples = []grant.Reject{{Partition: 1, Offset: 2, Reason: "not_decimal", Value: long},
			{Partition: 1, Offset: 3, Reason: hostile, Value: hostile}}
		st.Runs[1].Host, st.Runs[1].Version, st.Runs[1].Pass, st.Runs[1].Spec = hostile, hostile, hostile, hostile
		st.Runs[3].State, st.Runs[3].Error = grant.RunFailed, hostile
		d := newDesk(t, st)
		d.acts = []grant.HistoryEntry{
			{At: time.Now(), Action: grant.ActionPause, Who: hostile, Via: hostile, Why: hostile},
			{At: time.Now(), Action: grant.Action(hostile), Who: hostile, Refused: hostile},
		}
		d.tokens[operatorToken] = principal{hostile, "operator"}
		p := signedIn(t, d, operatorToken)
		p.show(s, "light")
		p.await("document.querySelectorAll('#history li').length === 2")
		p.click("replicas-more")
		p.shot("hostile-"+s.name, true)
		require.NotContains(t, eval[string](p, "document.title"), "owned")
		require.Zero(t, eval[int](p, `document.querySelectorAll("img[src=x], main script").length`))
		require.Contains(t, p.text("rejects"), script, "it is shown as it is")
		require.Empty(t, eval[[]string](p, check), "it fits")
		require.Less(t, eval[float64](p, "Math.max(...[...document.querySelectorAll('.bytes')].map((e) => e.clientHeight))"),
			100.0)
	}
}

func TestHistory(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, viewerToken)
	p.shows("history-summary", "nobody has done anything yet")
	d.change(func(d *desk) { d.acts = trail() })
	p.click("history-refresh") // the control's version is the same
	p.shows("history-summary", "7 entries, 1 refused")
	entries := eval[[]string](p, `[...document.querySelectorAll("#history li")].map((li) => li.innerText.replace(/\n+/g, " | "))`)
	for i := range entries {
		entries[i] = plain(entries[i])
	}
	for i, want := range []string{
		"Aborted by jiyoon · API | “wrong spec <b>at</b> work” | Campaign: not aborted → aborted until somebody resumes",
		"Told to finish by dohyun · command line | “everybody is in” | Runs end: with the topic → where the topic ended at " +
			"order 4, in 2 partitions",
		"Paused by jiyoon · API | “customer centre reports wrong expiry dates” | Granting: not paused → paused",
		"Throttled by jiyoon · API | “start gently” | Limit: no limit → 200 000 users/s",
		"Started early by dohyun · command line | “rehearsal”",
		"Pause: refused by wallboard · API | no reason given | Nothing was changed: role viewer, needs operator",
		"Postponed by jiyoon · command line | “Redis fail-over drill ran late” | Start: by the spec → ",
	} {
		require.Contains(t, entries[i], want)
		require.Regexp(t, `^(\d+ \w+ \d+, )?\d\d:\d\d:\d\d CES?T \| `, entries[i])
	}

	asked := d.asked("history")
	d.change(func(d *desk) {
		d.acts = append(d.acts, grant.HistoryEntry{At: time.Now(), Action: grant.ActionResume, Who: "minseo", Via: "cli",
			Why: "all is well"})
		d.st.Control.Version++
	})
	p.shows("history", "Resumed by minseo")
	require.Equal(t, asked+1, d.asked("history"))

	d.change(func(d *desk) { d.fails[d.path("history")] = &problem{Status: 503, Detail: "Redis does not answer"} })
	p.click("history-refresh")
	p.shows("history-error", "The history could not be loaded: Redis does not answer")
	require.Contains(t, p.text("history"), "Resumed by minseo", "what was known is still shown")
}

func TestLongHistory(t *testing.T) {
	d := newDesk(t, running())
	for i := range 45 {
		d.acts = append(d.acts, grant.HistoryEntry{At: time.Now(), Action: grant.ActionPause, Who: fmt.Sprintf("person %d", i),
			Via:     "api",
			Refused: "refused: it is paused already"})
	}
	p := signedIn(t, d, viewerToken)
	p.await("document.querySelectorAll('#history li').length === 20")
	require.Contains(t, p.text("history"), "person 44")
	p.click("history-more")
	p.await("document.querySelectorAll('#history li').length === 45")
	require.Contains(t, p.text("history"), "person 0")
}
