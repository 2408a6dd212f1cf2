package claims

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindowsAreOpenFromTheirFirstMomentToTheirLast(t *testing.T) {
	p := announced(false)
	opens := time.Date(2023, 1, 30, 15, 0, 0, 0, p.Zone)
	closes := time.Date(2023, 2, 28, 0, 0, 0, 0, p.Zone)
	windows := []Window{
		{"reports", ReportWindow, opens.Add(-1000 * time.Hour), opens.Add(-500 * time.Hour)},
		{"documents", DocumentsWindow, opens, closes},
	}
	elsewhere := time.FixedZone("PST", -8*3600)
	for at, want := range map[time.Time]string{
		opens.Add(-time.Second):     "it opens at 2023-01-30 15:00:00 KST",
		opens.Add(-1):               "it opens at 2023-01-30 15:00:00 KST",
		opens:                       "",
		opens.In(elsewhere):         "",
		closes.Add(-1):              "",
		closes.Add(-time.Second):    "",
		closes:                      "it closed at 2023-02-28 00:00:00 KST",
		closes.Add(1).In(elsewhere): "it closed at 2023-02-28 00:00:00 KST",
	} {
		w, why, ok := p.Open(windows, DocumentsWindow, at)
		require.Equal(t, want == "", ok, at)
		require.Equal(t, want, why)
		require.Equal(t, ok, w.Name == "documents")
	}
	_, why, ok := p.Open(windows, ObjectionWindow, opens)
	require.False(t, ok)
	require.Equal(t, "the programme has no window of kind objection", why)
}

func TestAWindowIsExtendedAndNeverShortened(t *testing.T) {
	p := announced(false)
	day := func(month time.Month, d int) time.Time { return time.Date(2023, month, d, 0, 0, 0, 0, p.Zone) }
	p.Windows = []Window{{"documents", DocumentsWindow, day(1, 30), day(2, 28)}}
	april := Amendment{Window: "documents", Old: day(2, 28), New: day(4, 15), At: day(2, 20), Who: "kim", Why: "few have filed"}
	may := Amendment{Window: "documents", Old: day(4, 15), New: day(6, 1), At: day(4, 10), Who: "kim", Why: "still few"}
	windows, err := p.Amended([]Amendment{april, may})
	require.NoError(t, err)
	require.Equal(t, day(6, 1), windows[0].Closes)
	require.Equal(t, day(2, 28), p.Windows[0].Closes, "the programme stays as it was promised")

	p.Windows = append(p.Windows, Window{"late-documents", DocumentsWindow, day(6, 1), day(7, 1)})
	_, err = p.Amended([]Amendment{april, may})
	require.NoError(t, err, "it ends where the next begins")
	for name, wrong := range map[string]Amendment{
		"would overlap with late-documents": {
			Window: "documents", Old: day(4, 15), New: day(6, 1).Add(1), Who: "kim", Why: "more",
		},
		"never shortened":    {Window: "documents", Old: day(4, 15), New: day(4, 14), Who: "kim", Why: "enough"},
		"is not later":       {Window: "documents", Old: day(4, 15), New: day(4, 15), Who: "kim", Why: "enough"},
		"read it again":      {Window: "documents", Old: day(2, 28), New: day(6, 1), Who: "lee", Why: "at the same time"},
		"has no window":      {Window: "document", Old: day(4, 15), New: day(6, 1), Who: "kim", Why: "a slip"},
		"say who extends":    {Window: "documents", Old: day(4, 15), New: day(6, 1), Why: "why"},
		"documents, and why": {Window: "documents", Old: day(4, 15), New: day(6, 1), Who: "kim"},
	} {
		_, err := p.Amended([]Amendment{april, wrong})
		require.ErrorIs(t, err, ErrNoExtension)
		require.ErrorContains(t, err, name)
	}
}

func TestTheLastSecondIsWhatTheFileSays(t *testing.T) {
	p := announced(false)
	at, err := p.AfterLast("2023-04-14T23:59:59")
	require.NoError(t, err)
	require.Equal(t, time.Date(2023, 4, 15, 0, 0, 0, 0, p.Zone), at)
	at, err = p.AfterLast("2023-04-14T18:00")
	require.NoError(t, err)
	require.Equal(t, time.Date(2023, 4, 14, 18, 0, 1, 0, p.Zone), at)
	for _, bad := range []string{"", "2023-04-14", "2023-04-14 23:59:59", "2023-02-30T00:00:00", "2023-04-14T23:59:59+09:00"} {
		_, err = p.AfterLast(bad)
		require.ErrorContains(t, err, "write the last second that is in time")
	}
	w := Window{Opens: at, Closes: at.Add(time.Hour)}
	for when, phase := range map[time.Time]Phase{at.Add(-1): Coming, at: Open, w.Closes.Add(-1): Open, w.Closes: Closed} {
		require.Equal(t, phase, w.Phase(when))
	}
}
