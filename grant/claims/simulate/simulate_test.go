package simulate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/programme"
)

func facts(loss claims.Won) claims.Facts {
	return claims.Facts{
		Industry:    "retail",
		Opened:      "2020-01-01",
		OutageSales: 1_000_000,
		WeekSales:   []claims.Won{1_000_000 + loss},
	}
}

func TestWhatAnotherTableCosts(t *testing.T) {
	source := string(storetest.Source(t))
	present, err := programme.Parse("present", []byte(source))
	require.NoError(t, err)
	change := strings.NewReplacer("pay: 50000}", "pay: 50000}\n    - {below: 1000000, pay: 20000}", "pay: 30000", "pay: 40000")
	_, err = programme.Parse("lower", []byte(change.Replace(source)))
	require.Error(t, err, "a larger loss is never paid less")
	change = strings.NewReplacer("pay: 50000}", "pay: 50000}\n    - {below: 1000000, pay: 80000}", "pay: 30000", "pay: 25000")
	proposed, err := programme.Parse("proposed", []byte(change.Replace(source)))
	require.NoError(t, err)

	s := New(present, proposed)
	_, err = s.Report()
	require.ErrorIs(t, err, ErrNothing)
	for _, loss := range []claims.Won{299_999, 299_999, 300_000, 500_000, 999_999, 5_000_000, 0, -1} {
		s.Add(&Case{Facts: facts(loss)})
	}
	s.Add(&Case{Facts: facts(6_000_000), Owed: 1_000_000})
	s.Add(&Case{Facts: facts(100), Ended: true})
	s.Add(&Case{Facts: claims.Facts{Industry: "retail", Opened: "2020-01-01"}}) // no weeks
	got, err := s.Report()
	require.NoError(t, err)
	require.Equal(t, 11, got.Claims)
	require.Equal(t, 1, got.Withdrawn)
	require.EqualValues(t, 2*30_000+50_000, got.Present.Cost)
	require.EqualValues(t, 2*25_000+50_000+2*80_000, got.Proposed.Cost)
	require.Equal(t, []int{2, 1, 4}, counts(got.Present.Tiers))
	require.Equal(t, []int{2, 1, 2, 2}, counts(got.Proposed.Tiers))
	require.Equal(t, map[string]int{"no_loss": 2}, got.Proposed.Declined)
	require.Equal(t, 1, got.Present.Refused)
	require.Equal(
		t,
		[]int{0, 2, 3, 5},
		[]int{got.More, got.Less, got.Same, got.Unknown},
		"300,000 and the two without a loss are as before",
	)
	require.EqualValues(t, 10_000, got.Cut)
	require.Equal(t, got.Proposed.Budget-got.Proposed.Cost-got.Proposed.Reviewed, got.Proposed.Left)
	assessed, err := present.Assess(new(facts(5_000_000)))
	require.NoError(t, err)
	require.Equal(t, assessed.Assessed+1_000_000, got.Proposed.Reviewed)

	require.Equal(t, 7, got.Losses.Count)
	require.Equal(
		t,
		map[string]claims.Won{
			"p10": 299_999,
			"p25": 299_999,
			"p50": 500_000,
			"p75": 5_000_000,
			"p90": 6_000_000,
			"p99": 6_000_000,
		},
		got.Losses.Quantiles,
	)
	require.Equal(t, []Bin{{200_000, 500_000, 3}, {500_000, 1_000_000, 2}, {1_000_000, 2_000_000, 0}, {2_000_000, 5_000_000, 0},
		{5_000_000, 10_000_000, 2}}, got.Losses.Histogram)
}

func counts(tiers []Tier) (out []int) {
	for _, t := range tiers {
		out = append(out, t.Claims)
	}
	return out
}

// What a programme says of its tiers and exclusions is a text for a spreadsheet, whatever it begins with.
func TestNoCellOfTheStatisticsIsAFormula(t *testing.T) {
	var r Report
	r.Present.Tiers = append(r.Present.Tiers, Tier{Says: "=HYPERLINK(1)"})
	r.Proposed.Declined = map[string]int{"@SUM(A1)": 1}
	var out strings.Builder
	require.NoError(t, r.WriteCSV(&out, []string{"x"}))
	require.Contains(t, out.String(), "tier,in force,'=HYPERLINK(1),")
	require.Contains(t, out.String(), "declined,proposed,'@SUM(A1),")
}
