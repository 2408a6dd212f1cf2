package grant

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEntitlementsLastAsLongAsTheirItemSays(t *testing.T) {
	const days = 24 * time.Hour
	seoul := time.FixedZone("KST", 9*60*60)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	c := &Campaign{Items: []Item{
		{ID: "forever", Kind: KindEmoticon},
		{ID: "quarter", Kind: KindEmoticon, Validity: Validity{Length: 90 * days}},
		{ID: "cash", Kind: KindCredit, Amount: 50_000, Currency: "KRW", Validity: Validity{Length: time.Nanosecond}},
	}}
	for _, at := range []time.Time{
		time.Date(2022, 11, 5, 0, 0, 0, 0, seoul),
		time.Date(2022, 11, 5, 0, 0, 0, 123_456_789, time.UTC),
		time.Date(2024, 2, 28, 23, 59, 59, 999_999_999, seoul), // a leap day is a day
		time.Date(2024, 3, 30, 2, 30, 0, 0, berlin),            // the night before a day of 23 hours
		time.Date(2024, 10, 26, 2, 30, 0, 0, berlin),           // and before one of 25
	} {
		got := c.Entitlements(&Holding{GrantedAt: at}, at)
		require.Len(t, got, 3)
		for i, e := range got {
			require.Equal(t, c.Items[i], e.Item)
			require.Equal(t, at, e.GrantedAt)
		}
		require.True(t, got[0].ExpiresAt.IsZero(), "permanent")
		require.Equal(t, 7_776_000*time.Second, got[1].ExpiresAt.Sub(at), "90 days of 24 hours, to the nanosecond")
		require.Equal(t, at.UnixNano()+1, got[2].ExpiresAt.UnixNano())
	}
	at := time.Date(2024, 3, 30, 2, 30, 0, 0, berlin)
	require.Equal(t, 3, c.Entitlements(&Holding{GrantedAt: at}, at)[1].ExpiresAt.Hour(), "the clocks were set forward meanwhile")
	require.Empty(t, (&Campaign{}).Entitlements(&Holding{GrantedAt: at}, at))
}

// The day of taking is the first of 90: taken on 5 January, an item is held to the end of 4 April.
func TestTheNinetiethDayEndsAtMidnightInTheCampaignsZone(t *testing.T) {
	days := Validity{EndOfDay: true, Taken: true}
	for _, test := range []struct {
		zone, taken, last string // the last second
		days              int
	}{
		{"Asia/Seoul", "2023-01-05T09:00:00+09:00", "2023-04-04T23:59:59+09:00", 90},
		{"Asia/Seoul", "2023-01-05T00:00:00+09:00", "2023-04-04T23:59:59+09:00", 90},
		{"Asia/Seoul", "2023-01-05T23:59:59+09:00", "2023-04-04T23:59:59+09:00", 90},
		{"Asia/Seoul", "2023-01-05T15:00:00Z", "2023-04-05T23:59:59+09:00", 90},
		{"Asia/Seoul", "2023-12-15T12:00:00+09:00", "2024-03-13T23:59:59+09:00", 90}, // over a leap day
		{"Asia/Seoul", "2023-01-05T09:00:00+09:00", "2023-01-05T23:59:59+09:00", 1},
		{"America/New_York", "2023-01-05T00:30:00-05:00", "2023-04-04T23:59:59-04:00", 90}, // clocks were set forward
		{"America/New_York", "2023-09-01T12:00:00-04:00", "2023-11-29T23:59:59-05:00", 90}, // back
		{"Asia/Beirut", "2023-03-25T12:00:00+02:00", "2023-03-25T23:59:59+02:00", 1},       // there was no midnight
		{"America/Havana", "2023-11-04T12:00:00-04:00", "2023-11-04T23:59:59-04:00", 1},    // there were two
		{"Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-29T23:59:59-10:00", 1},      // and no next day
	} {
		zone, err := time.LoadLocation(test.zone)
		require.NoError(t, err)
		days.Days = test.days
		c := &Campaign{Zone: zone, Items: []Item{{Validity: days}}}
		taken, last := moment(t, test.taken), moment(t, test.last)
		h := &Holding{GrantedAt: taken.Add(-time.Hour), TakenAt: []time.Time{taken}}
		for _, elsewhere := range []*time.Location{zone, time.UTC, time.FixedZone("", 14*60*60)} {
			e := c.Entitlements(h, last.Add(time.Second-time.Nanosecond).In(elsewhere))[0]
			require.Equal(t, StateActive, e.State, "%v: expires %v", test, e.ExpiresAt)
			require.Equal(t, last.Format(time.DateOnly), e.LastDay.Format(time.DateOnly), "%v", test)
			require.Equal(t, StateExpired, c.Entitlements(h, last.Add(time.Second).In(elsewhere))[0].State, "%v", test)
		}
	}
}

// Without an end of day, calendar days last to the same time on the wall.
func TestCalendarDaysEndAtTheSameTimeOfTheDay(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	c := &Campaign{Zone: zone, Items: []Item{{Validity: Validity{Days: 90}}, {Validity: Validity{Length: 90 * 24 * time.Hour}}}}
	granted := moment(t, "2023-01-05T09:00:00-05:00")
	held := c.Entitlements(&Holding{GrantedAt: granted}, granted)
	require.Equal(t, "2023-04-05T09:00:00-04:00", held[0].ExpiresAt.Format(time.RFC3339))
	require.Equal(t, "2023-04-05T10:00:00-04:00", held[1].ExpiresAt.In(zone).Format(time.RFC3339), "90 times 24 hours")
	require.Zero(t, held[0].LastDay, "the last day is not a whole one")
}

func TestADayBeginsWhenTheOneBeforeIsOver(t *testing.T) {
	var zones []*time.Location
	for _, name := range []string{
		"UTC", "Asia/Seoul", "America/New_York", "Europe/Berlin", "Asia/Beirut", "America/Havana", "Pacific/Apia",
		"America/Santiago", "America/Sao_Paulo", "Africa/Cairo", "America/Asuncion", "Atlantic/Azores", "Asia/Tehran",
		"Pacific/Kwajalein", "Australia/Lord_Howe", "America/Godthab", "Asia/Amman", "Africa/Casablanca", "Pacific/Kiritimati",
	} {
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		zones = append(zones, zone)
	}
	day := func(at time.Time) time.Time {
		y, m, d := at.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	for _, zone := range zones {
		for n := range 17_500 { // days, to 2037
			wanted := time.Date(1990, 1, 1+n, 0, 0, 0, 0, time.UTC)
			begins := StartOfDay(wanted.Year(), wanted.Month(), wanted.Day(), zone)
			if day(begins).Before(wanted) || !day(begins.Add(-time.Nanosecond)).Before(wanted) || begins.Location() != zone {
				t.Fatalf("%s in %s begins at %v", wanted.Format(time.DateOnly), zone, begins)
			}
		}
	}
}

func TestAnOfferIsTakenOrLapsesOrIsExhausted(t *testing.T) {
	granted := moment(t, "2023-01-05T09:00:00+09:00")
	until := moment(t, "2023-01-21T00:00:00+09:00")
	c := &Campaign{StartsAt: granted, Items: []Item{
		{ID: "all", Validity: Validity{Taken: true}, TakeUntil: until},
		{ID: "first", Validity: Validity{Length: time.Hour, Taken: true}, TakeUntil: until, First: 3},
		{ID: "given", Validity: Validity{}},
	}}
	states := func(h Holding, at time.Time) (out []State) {
		for _, e := range c.Entitlements(&h, at) {
			out = append(out, e.State)
		}
		return out
	}
	h := Holding{GrantedAt: granted}
	require.Empty(t, states(h, granted.Add(-time.Nanosecond)))
	require.Equal(t, []State{StateOffered, StateOffered, StateActive}, states(h, granted))
	require.Equal(t, []State{StateOffered, StateOffered, StateActive}, states(h, until.Add(-time.Nanosecond)))
	require.Equal(t, []State{StateLapsed, StateLapsed, StateActive}, states(h, until))

	full := granted.Add(time.Minute)
	h.FullAt = []time.Time{{}, full}
	require.Equal(t, []State{StateOffered, StateOffered, StateActive}, states(h, full.Add(-1)))
	require.Equal(t, []State{StateOffered, StateExhausted, StateActive}, states(h, full))
	require.Equal(t, []State{StateLapsed, StateExhausted, StateActive}, states(h, until), "it was gone before it lapsed")

	taken := full.Add(-time.Second)
	h.TakenAt = []time.Time{taken, taken}
	require.Equal(t, []State{StateOffered, StateOffered, StateActive}, states(h, taken.Add(-1)), "looked at from before")
	require.Equal(t, []State{StateActive, StateActive, StateActive}, states(h, taken))
	require.Equal(t, []State{StateActive, StateExpired, StateActive}, states(h, taken.Add(time.Hour)))
	require.Equal(t, []State{StateActive, StateExpired, StateActive}, states(h, until.AddDate(9, 0, 0)), "who took it keeps it")
	require.Equal(t, taken, c.Entitlements(&h, until)[0].TakenAt)
	require.ElementsMatch(t, States(), []State{
		StateActive, StateOffered, StateExpired, StateLapsed, StateExhausted, StateRevoked, StateRecalled,
	})
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return at
}

// Acts take away, give back and change the end of what a user holds; what was over before stays over.
func TestActsChangeWhatAUserHolds(t *testing.T) {
	granted := moment(t, "2023-01-05T09:00:00+09:00")
	hour := func(n int) time.Time { return granted.Add(time.Duration(n) * time.Hour) }
	c := &Campaign{StartsAt: granted, Items: []Item{
		{ID: "hours", Validity: Validity{Length: 10 * time.Hour}},
		{ID: "forever"},
		{ID: "offer", Validity: Validity{Taken: true}, TakeUntil: hour(10)},
	}}
	const (
		on, offered, expired   = StateActive, StateOffered, StateExpired
		lapsed, gone, recalled = StateLapsed, StateRevoked, StateRecalled
	)
	revoke := Act{ID: "1", Kind: ActRevoke, Effective: hour(5)}
	longer := Act{ID: "1", Kind: ActExtend, Item: "hours", Until: hour(20)}
	late := Act{ID: "1", Kind: ActRevoke, Effective: hour(11)}
	for _, test := range []struct {
		name string
		acts []Act
		at   int // hours after the grant
		want []State
	}{
		{"before the revocation", []Act{revoke}, 4, []State{on, on, offered}},
		{"from the revocation on", []Act{revoke}, 5, []State{gone, gone, gone}},
		{"it was revoked before it would have ended", []Act{revoke}, 11, []State{gone, gone, lapsed}},
		{"it had ended before it was revoked", []Act{late}, 12, []State{expired, gone, lapsed}},
		{"reinstated", []Act{revoke, {ID: "2", Kind: ActReinstate}}, 6, []State{on, on, offered}},
		{"the first end stays", []Act{revoke, {ID: "2", Kind: ActReinstate}}, 10, []State{expired, on, lapsed}},
		{"extended", []Act{longer}, 19, []State{on, on, lapsed}},
		{"to its new end", []Act{longer}, 20, []State{expired, on, lapsed}},
		{"all shortened", []Act{{ID: "1", Kind: ActExtend, Until: hour(2)}}, 2, []State{expired, expired, offered}},
		{"moved away", []Act{{ID: "1", Kind: ActMove, To: new(UserID)}}, 1, []State{gone, gone, gone}},
		{"recalled", []Act{{ID: "1", Kind: ActRecall, At: hour(1), Item: "offer"}}, 1, []State{on, on, recalled}},
	} {
		h := Holding{GrantedAt: granted}
		for i := range test.acts {
			_, next, err := h.Acts.After(PlaceGranted, &test.acts[i])
			require.NoError(t, err, test.name)
			h.Acts = next
		}
		var got []State
		for _, e := range c.Entitlements(&h, hour(test.at)) {
			got = append(got, e.State)
		}
		require.Equal(t, test.want, got, test.name)
	}
}
