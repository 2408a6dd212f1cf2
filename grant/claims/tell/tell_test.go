package tell

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/programme"
)

func shipped(t *testing.T) *claims.Programme {
	t.Helper()
	p, err := programme.Parse("shipped", storetest.Source(t))
	require.NoError(t, err)
	return p
}

// Whatever a claim can be, and whatever is asked, is said in both languages.
func TestNothingIsWithoutWords(t *testing.T) {
	said := func(what string, list ...Text) {
		t.Helper()
		for _, text := range list {
			require.NotEmpty(t, text.KO, what)
			require.NotEmpty(t, text.EN, what)
		}
	}
	for _, s := range append(claims.States(), claims.Draft) {
		said(string(s), State(s), Next(s))
	}
	for _, k := range claims.StepKinds {
		said(string(k), stepWords[k].what, stepWords[k].how)
	}
	for _, r := range []claims.Reason{claims.ReasonNoLoss, claims.ReasonOpenedLater, claims.ReasonClosed, claims.ReasonIndustry,
		claims.ReasonExcluded, claims.ReasonTwice, claims.ReasonDocuments, claims.ReasonOther, "of a person"} {
		said(string(r), Reason(r))
	}
	p := shipped(t)
	for i := range p.Tiers.Table {
		for _, kind := range p.Tiers.Table[i].Documents {
			name, help := Document(kind)
			said(kind, name, help)
			require.NotEqual(t, kind, name.KO, "the shipped programme's documents have names")
		}
	}
	for name := range p.Assessment.ProfitRates {
		require.NotEqual(t, name, Industry(name).KO)
	}
	require.Equal(t, "new_industry", Industry("new_industry").In(Korean))
	require.Equal(t, "teleporter", Channel("teleporter").In(English))
}

func TestWhyThisAmount(t *testing.T) {
	p := shipped(t)
	f := &claims.Facts{Industry: "restaurants", Opened: "2020-01-01", OutageSales: 1_000_000,
		WeekSales: []claims.Won{1_100_000, 1_333_333}, Alternative: true}
	got, err := Why(English, p, f)
	require.NoError(t, err)
	require.Equal(t, []Line{
		{"A usual week", "the highest of the weeks that you gave (2)", "1,333,333 won"},
		{"Sales loss", "a usual week, 1,333,333 won, less the week of the outage, 1,000,000 won", "333,333 won"},
		{"Operating profit", "333,333 won × 15%, the profit rate of the industry", "49,999.95 won"},
		{"Share of the service", "49,999.95 won × 70%, the company’s share", "34,999.97 won"},
		{"Another service", "34,999.97 won × 50%: another service could be used", "17,499.98 won"},
		{"Whole won", "17,499.98 won in whole won", "17,499 won"},
		{"The rule", "A sales loss from 300,000 won and below 500,000 won", "50,000 won"},
	}, got)
	got, err = Why(Korean, p, f)
	require.NoError(t, err)
	require.Equal(t, Line{"결정 기준", "매출 손실 300,000원 이상 500,000원 미만", "50,000원"}, got[len(got)-1])

	f.OutageSales = 2_000_000
	got, err = Why(Korean, p, f)
	require.NoError(t, err)
	require.Equal(t, "0원", got[len(got)-1].Result)
	f.WeekSales = nil
	_, err = Why(Korean, p, f)
	require.Error(t, err)
}

// The words never say another amount than the rules.
func TestTheWordsAgreeWithTheRules(t *testing.T) {
	p := shipped(t)
	for loss := claims.Won(-1000); loss < 600_000; loss += 50_000 - 1 {
		f := &claims.Facts{
			Industry:    "retail",
			Opened:      "2020-01-01",
			OutageSales: 1_000_000,
			WeekSales:   []claims.Won{1_000_000 + loss},
		}
		a, err := p.Assess(f)
		require.NoError(t, err)
		proposal := p.Propose(f, &a)
		line := Tier(Korean, p, f, &a)
		if !proposal.Review {
			require.Equal(t, Korean.Won(proposal.Pay), line.Result)
		}
	}
}

func TestNumbersAndTimes(t *testing.T) {
	seoul, err := time.LoadLocation("Asia/Seoul")
	require.NoError(t, err)
	at := time.Date(2023, 2, 27, 15, 0, 0, 0, time.UTC)
	require.Equal(t, "2023년 2월 27일 23:59", Korean.Until(at, seoul))
	require.Equal(t, "28 February 2023, 00:00", English.Moment(at, seoul))
	require.Equal(t, "2020년 3월 1일", Korean.Day("2020-03-01"))
	require.Equal(t, "soon", English.Day("soon"))
	require.Equal(t, "-1,234.50원", Korean.amount(big.NewRat(-12345, 10)))
	require.Equal(t, Korean, Parse("fr"))
	require.Equal(t, English, Parse("en"))
}

func TestDaysSayOnceWhatTheyHaveInCommon(t *testing.T) {
	for _, test := range []struct {
		from, through claims.Date
		ko, en        string
	}{
		{"2022-10-15", "2022-10-21", "2022년 10월 15일~21일", "15–21 October 2022"},
		{"2022-09-03", "2022-10-14", "2022년 9월 3일~10월 14일", "3 September – 14 October 2022"},
		{"2022-12-30", "2023-01-02", "2022년 12월 30일~2023년 1월 2일", "30 December 2022 – 2 January 2023"},
		{"2022-10-15", "2023-10-21", "2022년 10월 15일~2023년 10월 21일", "15 October 2022 – 21 October 2023"},
		{"2022-10-15", "2022-10-15", "2022년 10월 15일", "15 October 2022"},
	} {
		require.Equal(t, test.ko, Korean.Days(test.from, test.through))
		require.Equal(t, test.en, English.Days(test.from, test.through))
	}
}
