package claims

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEveryStepOfAnAssessmentIsSaid(t *testing.T) {
	p := announced(false)
	f := &Facts{
		Industry: "restaurants", Opened: "2020-01-01", OutageSales: 1_000_000,
		WeekSales: []Won{900_000, 1_333_333}, Alternative: true,
	}
	a, err := p.Assess(f)
	require.NoError(t, err)
	require.Equal(t, Won(333_333), a.SalesLoss)
	require.Equal(t, Won(17_499), a.Assessed) // 333,333 × 0.15 × 0.7 × 0.5 = 17,499.98
	require.Equal(t, []Step{
		{Name: "usual week", How: "highest of 2 weeks", Result: "1333333"},
		{Name: "sales loss", How: "1333333 − 1000000", Result: "333333"},
		{Name: "sales loss in won", How: "333333, rounded down", Result: "333333"},
		{Name: "operating profit", How: "333333 × 3/20 (the rate of restaurants)", Result: "999999/20"},
		{Name: "share of the service", How: "999999/20 × 7/10 (the company's share)", Result: "6999993/200"},
		{Name: "alternative service", How: "6999993/200 × 1/2 (one was available)", Result: "6999993/400"},
		{Name: "assessed loss in won", How: "6999993/400, rounded down", Result: "17499"},
	}, stored(t, a.Steps))
}

// stored are steps as they come back from where they are kept.
func stored(t *testing.T, steps []Step) (out []Step) {
	t.Helper()
	data, err := json.Marshal(steps)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

func TestHowWeeksBecomeOneFigure(t *testing.T) {
	f := &Facts{OutageSales: 10, WeekSales: []Won{10, 11, 11}}
	for _, test := range []struct {
		weeks    Weeks
		rounding Rounding
		want     Won
	}{
		{MaxWeek, RoundDown, 1},
		{MeanWeek, RoundDown, 0}, // 2/3
		{MeanWeek, RoundUp, 1},
		{MeanWeek, RoundHalfUp, 1},
	} {
		p := announced(false)
		p.Loss.Weeks, p.Assessment.Rounding = test.weeks, test.rounding
		a, err := p.Assess(f)
		require.NoError(t, err)
		require.Equal(t, test.want, a.SalesLoss, "%+v", test)
	}
	p := announced(false)
	p.Loss.Weeks = ReportedLoss
	reported := Won(300_000)
	a, err := p.Assess(&Facts{Reported: &reported})
	require.NoError(t, err)
	require.Equal(t, reported, a.SalesLoss)
}

func TestFactsThatCannotBeAreAllNamed(t *testing.T) {
	p := announced(false)
	_, err := p.Assess(&Facts{OutageSales: -1, WeekSales: []Won{5, -2, MaxSales + 1}, OwnRate: big.NewRat(3, 2)})
	require.EqualError(t, err, "outage_sales: -1 won is negative: sales are 0 or more\n"+
		"week_sales[1]: -2 won is negative: sales are 0 or more\n"+
		"week_sales[2]: 2305843009213693953 won cannot be\n"+
		"own_profit_rate: 3/2 is not between 0 and 1")
	_, err = p.Assess(&Facts{OutageSales: MaxSales, WeekSales: []Won{MaxSales}})
	require.NoError(t, err)
	_, err = p.Assess(&Facts{})
	require.ErrorContains(t, err, "give the sales of at least one week of 2022-09-03 to 2022-10-14")
	p.Assessment.OwnRate = false
	_, err = p.Assess(&Facts{WeekSales: []Won{1}, OwnRate: big.NewRat(1, 2)})
	require.ErrorContains(t, err, "takes the rates of its table only")
	p.Loss.Weeks = ReportedLoss
	_, err = p.Assess(&Facts{WeekSales: []Won{1}})
	require.ErrorContains(t, err, "reported_loss: is missing")
	absurd := -MaxSales - 1
	_, err = p.Assess(&Facts{Reported: &absurd})
	require.ErrorContains(t, err, "cannot be")
}

// A share of a loss is never more than the loss, rounding moves it by less than a won, and two ways to round enclose the exact
// value.
func TestRoundingMovesLessThanAWon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := big.NewRat(rapid.Int64Range(-1e15, 1e15).Draw(t, "value"), rapid.Int64Range(1, 1e6).Draw(t, "denominator"))
		var a Assessment
		for _, how := range []Rounding{RoundDown, RoundUp, RoundHalfUp} {
			got := rat(a.round("", value, how))
			off := new(big.Rat).Sub(got, value)
			require.Negative(t, off.Abs(off).Cmp(big.NewRat(1, 1)))
			if how == RoundHalfUp {
				require.LessOrEqual(t, off.Cmp(big.NewRat(1, 2)), 0)
			}
			size := new(big.Rat).Abs(got).Cmp(new(big.Rat).Abs(value))
			require.True(t, how != RoundDown || size <= 0)
			require.True(t, how != RoundUp || size >= 0)
		}
		half := new(big.Rat).Add(rat(Won(rapid.Int64Range(0, 1e6).Draw(t, "won"))), big.NewRat(1, 2))
		require.Positive(t, rat(a.round("", half, RoundHalfUp)).Cmp(half))
	})
}

func TestFactsAreReadStrictly(t *testing.T) {
	f, err := ParseFacts([]byte(`{"industry": "taxis", "opened": "2020-03-01", "week_sales": [1, 2], "own_profit_rate": "3/20"}`))
	require.NoError(t, err)
	require.Equal(t, big.NewRat(3, 20), f.OwnRate)
	for text, want := range map[string]string{
		`{"opened": "2020-03-01", "sales": 1}`: "unknown field",
		`{"opened": "2020-03-01"} {}`:          "more follows",
		`{"opened": "2020-02-30"}`:             `opened: "2020-02-30" is not a day`,
		`{}`:                                   `opened: "" is not a day`,
		`{"opened": "2020-03-01", "closed": "tomorrow"}`:                `closed: "tomorrow" is not a day`,
		`{"opened": "2020-03-01", "outage_sales": 1.5}`:                 "cannot unmarshal number 1.5",
		`{"opened": "2020-03-01", "outage_sales": 9223372036854775808}`: "cannot unmarshal number",
		``: "EOF",
	} {
		_, err := ParseFacts([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add([]byte(`{"industry": "taxis", "opened": "2020-03-01", "week_sales": [1, 2], "own_profit_rate": "3/20", ` +
		`"alternative_available": true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := ParseFacts(data)
		if err != nil {
			return
		}
		p := announced(true)
		a, err := p.Assess(facts)
		if err != nil {
			return
		}
		got := p.Propose(facts, &a)
		require.Equal(t, got.Tier == 0, got.Declined != "")
		require.NotEmpty(t, got.Why)
	})
}
