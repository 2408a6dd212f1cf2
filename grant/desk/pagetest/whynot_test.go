//go:build integration

package pagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/lookup"
)

// campaign writes the spec of a campaign with a topic of its own, and publishes users 1 to some number.
func (s *shipped) campaign(name string, startsAt time.Time, users int, items string) (spec, topic string) {
	s.Helper()
	topic = s.topic(name, 2)
	if items == "" {
		items = "  - {id: thank-you, kind: emoticon, validity: permanent}\n"
	}
	spec = s.file(name+".yaml", fmt.Sprintf("campaign: %[1]s\ntitle: 캠페인 %[1]s\nstarts_at: %s\nzone: Asia/Seoul\n"+
		"source: {topic: %s, max_id: 99999, max_rejected: 100%%}\nitems:\n%s",
		name, startsAt.Format(time.RFC3339), topic, items))
	if users > 0 {
		s.do("load", "-f", spec, "--generate", fmt.Sprint(users), "--first", "1")
	}
	return spec, topic
}

// reasons are what the desk says about a user in a campaign.
func (s *shipped) reasons(campaign string, user int) (list []lookup.Reason) {
	s.Helper()
	var a lookup.Answer
	s.get(s.token, fmt.Sprintf("/api/v1/campaigns/%s/users/%d", campaign, user), &a)
	return a.Reasons
}

const (
	offers = "  - {id: thank-you, kind: emoticon, validity: permanent}\n" +
		"  - {id: only-one, kind: item, validity: {for: permanent, from: taken}, first: 1}\n" +
		"  - {id: too-late, kind: item, validity: {for: permanent, from: taken}, take_until: 2023-01-20}\n"

	toExclude, toRevoke, toMove, toTake, thereAfter = 10, 11, 12, 13, 14
	toReject, neverThere, tooLarge                  = 60, 70, 100_000
)

var longAgo = time.Date(2023, 1, 5, 9, 0, 0, 0, seoul)

// whyNots makes a campaign, or a user, for each reason why somebody has not all that a campaign gives. It returns the specs.
func (s *shipped) whyNots() (specs []string) {
	s.Helper()
	in := func(spec, _ string) string { specs = append(specs, spec); return spec }
	in(s.campaign("waits", time.Now().Add(1000*time.Hour), 0, ""))
	late := in(s.campaign("postponed", time.Now().Add(time.Hour), 0, ""))
	s.do("postpone", "-f", late, "--until", time.Now().Add(48*time.Hour).Format(time.RFC3339), "--why", "출시가 늦어짐")
	s.do("pause", "-f", in(s.campaign("paused", longAgo, 20, "")), "--why", "불만 접수")
	s.do("run", "-f", in(s.campaign("canary", longAgo, 200, "")), "--canary", "1%", "--listen=off")
	s.start("run", "-f", in(s.campaign("slow", longAgo, 1000, "")), "--follow", "--throttle", "1", "--why", "천천히", "--listen=off")

	done, topic := s.campaign("done", longAgo, 50, offers)
	specs = append(specs, done)
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := kafka.Writer{
		Addr: kafka.TCP(s.kafka.Brokers...), Topic: topic, BatchTimeout: time.Millisecond, Transport: transport,
	}
	require.NoError(s, w.WriteMessages(s.Context(), kafka.Message{Value: fmt.Appendf(nil, " %d", toReject)}))
	require.NoError(s, w.Close())
	s.do("exclude", "-f", done, "--reason", "해외 전화번호", fmt.Sprint(toExclude))
	s.do("run", "-f", done, "--listen=off")
	s.do("revoke", "--campaign", "done", "--kind", "fraud", "--reason", "도용 신고", fmt.Sprint(toRevoke))
	moves := s.file("moves.csv", fmt.Sprintf("user,to\n%d,90000\n", toMove))
	s.do("move", "--campaign", "done", "--users", moves, "--reason", "계정 이전 요청")
	s.do("take", "--campaign", "done", "--item", "only-one", fmt.Sprint(toTake))
	return specs
}

// seen looks a user up on the page, and requires that every reason is there, with what to do next, in both languages.
func (s *shipped) seen(p *page, campaign string, user int, want ...lookup.Code) {
	s.Helper()
	reasons := s.reasons(campaign, user)
	var codes []lookup.Code
	for _, r := range reasons {
		codes = append(codes, r.Code)
	}
	require.Subset(s, codes, want, "%s, user %d", campaign, user)
	for _, lang := range lookup.Langs() {
		p.do(chromedp.Navigate(fmt.Sprintf("%s/users/%d?lang=%s", s.desk, user, lang)))
		p.onPage(lang, campaign, want, reasons)
	}
	at := fmt.Sprintf("why-%s-%d-390", campaign, user) // in Korean, on a phone
	p.show(tablet, "light")
	p.shot(at, true)
	p.usable(at)
	p.show(desktop, "light")
}

// onPage requires that what is said of some reasons is on the page, in its language.
func (p *page) onPage(lang lookup.Lang, campaign string, want []lookup.Code, reasons []lookup.Reason) {
	p.t.Helper()
	answer := fmt.Sprintf("document.querySelector('[data-campaign=%q]')", campaign)
	p.await(fmt.Sprintf("document.documentElement?.lang === %q && %s", lang, answer))
	says := plain(eval[string](p, answer+".innerText"))
	for _, r := range reasons {
		if !slices.Contains(want, r.Code) {
			continue
		}
		next := r.Next.In(lang)
		require.Contains(p.t, says, string(r.Code))
		if r.When == nil || r.Code != lookup.InLag { // an estimate moves
			require.Contains(p.t, says, r.Next.In(lang))
			require.Contains(p.t, says, r.Says.In(lang))
		}
		hangul := strings.ContainsFunc(next, func(c rune) bool { return c >= '가' && c <= '힣' })
		require.Equal(p.t, lang == lookup.Korean, hangul, next)
	}
}

// TestEveryWhyNot: each reason is produced on real servers, by the commands that operators and support have, and is on the page.
func TestEveryWhyNot(t *testing.T) {
	s := ship(t)
	specs := s.whyNots()
	spec, unfit := s.heldByPreflight()
	flags := []string{}
	for _, spec := range append(specs, spec) {
		flags = append(flags, "-f", spec)
	}
	s.token = s.serve(map[string]realdesk.Role{"minseo": realdesk.RoleSupport}, flags...)["minseo"]
	s.await("the slow run grants", func() bool {
		return slices.ContainsFunc(s.reasons("slow", 999), func(r lookup.Reason) bool {
			return r.Lag != nil && r.When != nil
		})
	})
	p := openAt(t, s.desk+"/users")
	p.enter(s.token)
	s.seen(p, "waits", 1, lookup.NotStarted)
	s.seen(p, "postponed", 1, lookup.Postponed)
	s.seen(p, "paused", 1, lookup.Paused)
	s.seen(p, "canary", s.outside("canary"), lookup.OnlyCanary)
	s.seen(p, "slow", 999, lookup.Throttled, lookup.InLag)
	s.seen(p, "done", toReject, lookup.Rejected)
	s.seen(p, "done", toExclude, lookup.Excluded)
	s.seen(p, "done", toRevoke, lookup.Revoked)
	s.seen(p, "done", toMove, lookup.Moved)
	p.do(chromedp.Focus(chromedp.CSS("a.moved")))
	p.leave()
	require.Contains(t, p.text("verdict"), "지급됨", "who has it now is one step away")
	s.seen(p, "done", thereAfter, lookup.QuotaExhausted, lookup.NotTakenInTime)
	s.seen(p, "done", tooLarge, lookup.OutsidePopulation)
	s.seen(p, "done", neverThere, lookup.NotFound)
	s.traced(p)
	s.rejected(p)

	unfit()
	s.seen(p, "held", 1, lookup.Preflight)
	s.redis.Kill()
	for _, lang := range lookup.Langs() {
		p.do(chromedp.Navigate(fmt.Sprintf("%s/users/1?lang=%s", s.desk, lang)))
		p.await(fmt.Sprintf("document.documentElement?.lang === %q", lang))
		p.await("document.querySelector('[data-code=ledger_unavailable]')")
		p.shot("why-ledger-"+string(lang), true)
	}
	require.Contains(t, p.text("verdict"), "확인할 수 없습니다")
}

// outside returns a user whom a canary does not grant.
func (s *shipped) outside(campaign string) int {
	s.Helper()
	for user := 1; user < 10; user++ {
		if list := s.reasons(campaign, user); len(list) > 0 {
			return user
		}
	}
	require.FailNow(s, "the canary grants all")
	return 0
}

// traced has the topic searched from the page.
func (s *shipped) traced(p *page) {
	s.Helper()
	for user, code := range map[int]lookup.Code{neverThere: lookup.NeverInTopic, toReject: lookup.Rejected} {
		p.do(chromedp.Navigate(fmt.Sprintf("%s/users/%d?lang=ko", s.desk, user)))
		p.await("document.querySelector('[data-campaign=done] a.trace')")
		p.do(chromedp.Focus(chromedp.CSS("[data-campaign=done] a.trace")))
		p.leave()
		p.await(fmt.Sprintf("document.querySelector('section.trace') && document.querySelector('[data-code=%s]')", code))
		require.Contains(s, p.text("main"), "토픽 전체")
		p.shot("why-"+string(code), true)
	}
	var a lookup.Answer
	s.get(s.token, fmt.Sprintf("/api/v1/campaigns/done/users/%d?trace=topic", toTake), &a)
	require.EqualValues(s, 1, a.Trace.Times)
	require.Equal(s, fmt.Sprint(toTake), *a.Trace.Records[0].Value)
}

// rejected goes from the campaign's page to its rejected records, and to one of them, by keyboard, in both languages.
func (s *shipped) rejected(p *page) {
	s.Helper()
	script := axe(s.T)
	look := func(name string) {
		for _, on := range []screen{desktop, tablet} {
			p.show(on, "light")
			p.shot(name+"-"+on.name, true)
			p.usable(name)
			p.clean(script, name+", "+on.name)
		}
		p.show(desktop, "light")
	}
	p.do(chromedp.Navigate(s.desk + "/campaigns/done/"))
	p.signIn(s.token)
	p.await(element("all-rejects") + "?.checkVisibility()")
	p.do(chromedp.Focus(chromedp.CSS("#all-rejects")))
	p.press("Enter")
	p.await(element("rejected") + " !== null")
	require.Contains(s, p.text("main"), "사용자 ID를 읽을 수 없는 레코드가 1개 있습니다.")
	look("rejected-ko")
	p.do(chromedp.Focus(chromedp.CSS("#last a")))
	p.leave()
	p.await(element("record") + " !== null")
	require.Contains(s, p.text("record"), `" 60"`)
	require.Contains(s, p.text("record"), "203630", "in hexadecimal")
	look("rejected-one-ko")
	at := eval[string](p, "location.href")
	p.do(chromedp.Navigate(at + "&lang=en"))
	p.await("document.documentElement?.lang === 'en'")
	require.Contains(s, p.text("record"), "white space")
	look("rejected-one")
}

// heldByPreflight has a run wait for its start that was fit when it began. What it returns makes Redis unfit just before the
// start.
func (s *shipped) heldByPreflight() (spec string, unfit func()) {
	s.Helper()
	starts := time.Now().Add(45 * time.Second)
	spec, _ = s.campaign("held", starts, 0, "")
	s.do("postpone", "-f", spec, "--until", time.Now().Add(time.Hour).Format(time.RFC3339), "--why", "시험")
	s.do("load", "-f", spec, "--generate", "5", "--first", "1")
	s.start("run", "-f", spec, "--listen=off")
	return spec, func() {
		client := redis.NewClient(&redis.Options{Addr: s.redis.Addr})
		defer client.Close()
		require.NoError(s, client.ConfigSet(s.Context(), "appendonly", "no").Err())
		require.NoError(s, client.ConfigSet(s.Context(), "save", "").Err())
		if soon := time.Now().Add(30 * time.Second); starts.Before(soon) {
			starts = soon
		}
		s.do("postpone", "-f", spec, "--until", starts.Format(time.RFC3339), "--why", "시험 끝")
		s.await("preflight fails", func() bool {
			return slices.ContainsFunc(s.reasons("held", 1), func(r lookup.Reason) bool {
				return r.Code == lookup.Preflight
			})
		})
	}
}
