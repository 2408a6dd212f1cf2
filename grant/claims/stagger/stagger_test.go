package stagger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

// staggered is a programme of two windows, in whose first two days only some businesses hand in.
func staggered(t *testing.T) *claims.Programme {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Seoul")
	require.NoError(t, err)
	at := func(text string) time.Time {
		when, err := time.ParseInLocation(time.DateTime, text, zone)
		require.NoError(t, err)
		return when
	}
	return &claims.Programme{Zone: zone, Windows: []claims.Window{
		{Name: "reports", Kind: claims.ReportWindow, Opens: at("2022-10-19 09:00:00"), Closes: at("2022-10-21 00:00:00")},
		{Name: "papers", Kind: claims.DocumentsWindow, Opens: at("2022-10-19 00:00:00"), Closes: at("2023-12-01 00:00:00")},
		{Name: "more", Kind: claims.ReportWindow, Opens: at("2023-02-13 00:00:00"), Closes: at("2023-02-15 00:00:00")},
	}, Stagger: []claims.Staggered{
		{On: "2022-10-19", Digits: []int{1, 6}}, {On: "2022-10-20", Digits: []int{2, 7, 1}}, {On: "2023-02-13", Digits: []int{3}},
	}}
}

func TestABusinessHandsInOnItsDay(t *testing.T) {
	p := staggered(t)
	const one, two, three, four = "1000000001", "1000000002", "1000000003", "1000000004"
	for _, c := range []struct {
		unit claims.BusinessNumber
		at   string      // in UTC
		next claims.Date // empty: it may
	}{
		{one, "2022-10-19T01:00:00Z", ""}, {two, "2022-10-19T01:00:00Z", "2022-10-20"},
		{two, "2022-10-19T14:59:59Z", "2022-10-20"}, {two, "2022-10-19T15:00:00Z", ""}, // midnight in Seoul
		{one, "2022-10-20T14:59:59Z", ""}, {three, "2022-10-19T01:00:00Z", "2023-02-13"},
		{four, "2022-10-20T01:00:00Z", "2023-02-14"}, {four, "2023-02-14T01:00:00Z", ""},
		{four, "2023-02-13T14:59:59Z", "2023-02-14"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		require.NoError(t, err)
		err = Today(p, p.Windows, c.unit, at)
		if c.next == "" {
			require.NoError(t, err, "%s at %s", c.unit, c.at)
			continue
		}
		var not *NotTodayError
		require.ErrorAs(t, err, &not, "%s at %s", c.unit, c.at)
		require.Equal(t, c.next, not.Next, "%s at %s", c.unit, c.at)
		require.ErrorContains(t, err, "hands in from "+string(c.next))
	}
	p.Windows = p.Windows[:1]
	at := p.Windows[0].Opens
	require.ErrorContains(t, Today(p, p.Windows, four, at), "no day of its own is left")
	require.Equal(t, []int{0, 3, 4, 5, 8, 9}, Dayless(p))
	require.Empty(t, Dayless(staggered(t)), "the last day is everybody's")
	p.Stagger = nil
	require.NoError(t, Today(p, p.Windows, four, at))
	require.Empty(t, Dayless(p))
}
