//go:build integration

package pagetest

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
)

// lasting is a campaign in which a user took an item that is held for some days, that of the taking included.
type lasting struct {
	name, zone, spec string
	days             int
}

// overAChange is how many days from today on there is another time of the year, at least some.
func overAChange(t *testing.T, zone string, some int) int {
	t.Helper()
	in, err := time.LoadLocation(zone)
	require.NoError(t, err)
	now := time.Now().In(in)
	_, before := now.Zone()
	for days := some; days < 400; days++ {
		if _, then := now.AddDate(0, 0, days).Zone(); then != before {
			return days + 2
		}
	}
	require.FailNow(t, "no clock is changed there", zone)
	return 0
}

// TestTheLastSecondOfTheNinetiethDay: a user takes an item for 90 days on a real ledger. It is active on the 90th day at 23:59:59
// and expired a second later, where the campaign is, by whatever zone somebody asks or looks, and over a change of summer time:
// by the API of a shipped desk, which is asked about those moments, and on the page and by the API of one whose clock has come to
// them.
func TestTheLastSecondOfTheNinetiethDay(t *testing.T) {
	s := ship(t)
	all := []*lasting{
		{name: "in-seoul", zone: "Asia/Seoul", days: 90},
		{name: "in-new-york", zone: "America/New_York", days: overAChange(t, "America/New_York", 90)},
	}
	for _, l := range all {
		topic := s.topic(l.name, 1)
		l.spec = s.file(l.name+".yaml", fmt.Sprintf("campaign: %s\ntitle: 이모티콘\nstarts_at: %s\nzone: %s\n"+
			"source: {topic: %s}\nitems:\n"+
			"  - {id: cheer-up, kind: emoticon, validity: {days: %d, from: taken, until: end_of_day}}\n",
			l.name, longAgo.Format(time.RFC3339), l.zone, topic, l.days))
		s.do("load", "-f", l.spec, "--generate", "20", "--first", "1")
		s.do("run", "-f", l.spec, "--listen=off")
		s.do("take", "-f", l.spec, fmt.Sprint(toTake))
	}
	tokens := s.serve(map[string]realdesk.Role{"shop": realdesk.RoleService, "minseo": realdesk.RoleSupport})
	s.token = tokens["minseo"]
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) { l.ends(t, s, tokens["shop"]) })
	}
}

func (l *lasting) ends(t *testing.T, s *shipped, service string) {
	zone, err := time.LoadLocation(l.zone)
	require.NoError(t, err)
	var a lookup.Answer
	s.get(s.token, fmt.Sprintf("/api/v1/campaigns/%s/users/%d", l.name, toTake), &a)
	taken := a.Entitlements[0].TakenAt.In(zone)
	year, month, day := taken.Date()
	last := time.Date(year, month, day+l.days-1, 23, 59, 59, 0, zone)
	if l.zone != "Asia/Seoul" {
		_, then := taken.Zone()
		_, now := last.Zone()
		require.NotEqual(t, then, now, "the clocks were set meanwhile")
	}
	elsewhere := []*time.Location{zone, time.UTC, time.FixedZone("", 14*60*60), time.FixedZone("", -11*60*60)}
	moments := map[grant.State]time.Time{grant.StateActive: last, grant.StateExpired: last.Add(time.Second)}
	for want, at := range moments {
		for _, zone := range elsewhere {
			query := url.Values{"campaign": {l.name}, "at": {at.In(zone).Format(time.RFC3339)}}.Encode()
			var one realdesk.Check
			s.get(service, fmt.Sprintf("/api/v1/entitlements/%d/cheer-up?%s", toTake, query), &one)
			require.Equal(t, want, one.State, query)
			var held realdesk.Holdings
			s.get(service, fmt.Sprintf("/api/v1/entitlements/%d?%s", toTake, query), &held)
			require.Equal(t, want, held.Entitlements[0].State, query)
		}
	}

	var clock atomic.Pointer[time.Time]
	here := *s
	here.T, here.desk = t, l.serve(t, s, &clock)
	clock.Store(&last)
	p := openAt(t, here.desk+"/users")
	p.show(tablet, "light")
	p.enter(here.token)
	for want, says := range map[grant.State]map[lookup.Lang]string{
		grant.StateActive:  {lookup.Korean: "사용 가능", lookup.English: "Active"},
		grant.StateExpired: {lookup.Korean: "만료", lookup.English: "Expired"},
	} {
		at := moments[want]
		clock.Store(&at)
		here.get(here.token, fmt.Sprintf("/api/v1/campaigns/%s/users/%d", l.name, toTake), &a)
		require.Equal(t, want, a.Entitlements[0].State)
		require.Equal(t, last.Format(time.DateOnly), a.Entitlements[0].LastDay)
		for lang, says := range says {
			for _, tz := range []string{l.zone, "Pacific/Honolulu", "Pacific/Kiritimati"} {
				p.do(chromedp.Navigate(fmt.Sprintf("%s/users/%d?lang=%s&tz=%s", here.desk, toTake, lang, tz)))
				answer := fmt.Sprintf("document.querySelector('[data-campaign=%q]')", l.name)
				p.await(fmt.Sprintf("document.documentElement?.lang === %q && %s", lang, answer))
				text := plain(eval[string](p, answer+".innerText"))
				require.Contains(t, text, says+" cheer-up", tz)
				end := map[lookup.Lang]string{
					lookup.Korean:  last.Format("2006년 1월 2일") + " 24시 (UTC",
					lookup.English: "the end of " + last.Format("2 January 2006 (UTC-07:00)"),
				}[lang]
				require.Contains(t, text, end, tz)
				here, err := time.LoadLocation(tz)
				require.NoError(t, err)
				if shown := lang.Moment(last.Add(time.Second).In(here)); tz != l.zone {
					require.Contains(t, text, shown, "by the reader's clock")
				}
			}
			p.shot(fmt.Sprintf("ninetieth-%s-%s-%s", l.name, want, lang), true)
		}
	}
}

// serve starts a desk on the same ledger that goes by a clock of the test's own.
func (l *lasting) serve(t *testing.T, s *shipped, clock *atomic.Pointer[time.Time]) (address string) {
	t.Helper()
	camp, err := campaign.Load(l.spec)
	require.NoError(t, err)
	client, err := ledger.Connect(ledger.Options{Addrs: []string{s.redis.Addr}})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	store, err := ledger.Open(client, camp, ledger.Config{})
	require.NoError(t, err)
	access := filepath.Join(t.TempDir(), "access")
	line := fmt.Sprintf("minseo support sha256:%x\n", sha256.Sum256([]byte(s.token)))
	require.NoError(t, os.WriteFile(access, []byte(line), 0o600))
	server, err := realdesk.Start(realdesk.Config{
		Addr: "127.0.0.1:0", Access: access,
		Subject: realdesk.Subject{Campaign: camp, Coordination: ledger.NewCoordination(store), Reader: ledger.NewReader(store)},
		Clock:   func() time.Time { return *clock.Load() },
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.URL()
}
