package claims

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var documents = []string{"small_business_confirmation", "proof_of_sales_damage", "proof_of_service_use"}

// announced is the programme of the announcement: below 300,000, from 300,000 to below 500,000, above. In the later notice the
// ends belonged to the lower tier.
func announced(inclusive bool) *Programme {
	seoul := time.FixedZone("KST", 9*3600)
	return &Programme{
		Name: "outage-2022", Zone: seoul,
		Outage: Period{"2022-10-15", "2022-10-21"},
		Loss:   LossRule{Baseline: Period{"2022-09-03", "2022-10-14"}, Weeks: MaxWeek},
		Assessment: AssessmentRule{
			ProfitRates: map[string]*big.Rat{"restaurants": big.NewRat(15, 100)}, DefaultRate: big.NewRat(2, 10),
			ServiceShare: big.NewRat(7, 10), Alternative: big.NewRat(1, 2), Rounding: RoundDown, OwnRate: true,
		},
		Tiers: Tiers{Basis: SalesLoss, Table: []Tier{
			{End: 300_000, Inclusive: inclusive, Pay: 30_000},
			{End: 500_000, Inclusive: inclusive, Pay: 50_000},
			{Open: true, Review: true, Documents: documents},
		}},
		Eligibility: Eligibility{
			OpenedBefore: "2022-10-15", ClosedBefore: "2022-10-15",
			ExcludedIndustries: map[string]string{"gambling": "not a small business by law"},
		},
	}
}

func lost(w Won) *Facts {
	return &Facts{Industry: "shops", Opened: "2020-01-01", OutageSales: 1_000_000, WeekSales: []Won{1, 1_000_000 + w, 5}}
}

func TestTheEndsOfTiersAreOnTheSideThatTheDataSay(t *testing.T) {
	for loss, want := range map[Won][2]string{
		-1:      {"declined no_loss", "declined no_loss"},
		0:       {"declined no_loss", "declined no_loss"},
		1:       {"30000", "30000"},
		299_999: {"30000", "30000"},
		300_000: {"50000", "30000"},
		300_001: {"50000", "50000"},
		499_999: {"50000", "50000"},
		500_000: {"review", "50000"},
		500_001: {"review", "review"},
	} {
		for i, inclusive := range []bool{false, true} {
			p := announced(inclusive)
			a, err := p.Assess(lost(loss))
			require.NoError(t, err)
			require.Equal(t, loss, a.SalesLoss)
			proposal := p.Propose(lost(loss), &a)
			got := fmt.Sprint(int64(proposal.Pay))
			switch {
			case proposal.Declined != "":
				got = "declined " + string(proposal.Declined)
			case proposal.Review:
				got = "review"
				require.Equal(t, documents, proposal.Documents)
			default:
				require.Empty(t, proposal.Documents, "no document below the review tier")
			}
			require.Equal(t, want[i], got, "a loss of %d, ends inclusive: %t", loss, inclusive)
		}
	}
}

func TestAProposalSaysWhy(t *testing.T) {
	p := announced(false)
	for loss, want := range map[Won]string{
		299_999: "a sales_loss of 299999 won (below 300000) is paid 30000 won",
		300_000: "a sales_loss of 300000 won (from 300000 and below 500000) is paid 50000 won",
		500_000: "a sales_loss of 500000 won (from 500000) is reviewed",
		0:       "the sales_loss is 0 won: nothing was lost",
	} {
		a, err := p.Assess(lost(loss))
		require.NoError(t, err)
		require.Equal(t, want, p.Propose(lost(loss), &a).Why)
	}
	p = announced(true)
	a, err := p.Assess(lost(500_000))
	require.NoError(t, err)
	require.Equal(t, "a sales_loss of 500000 won (above 300000 and up to 500000) is paid 50000 won",
		p.Propose(lost(500_000), &a).Why)
}

func TestWhoMayClaim(t *testing.T) {
	for _, test := range []struct {
		change func(*Facts)
		want   Reason
	}{
		{func(*Facts) {}, ""},
		{func(f *Facts) { f.Opened = "2022-10-14" }, ""},
		{func(f *Facts) { f.Opened = "2022-10-15" }, ReasonOpenedLater},
		{func(f *Facts) { f.Closed = "2022-10-14" }, ReasonClosed},
		{func(f *Facts) { f.Closed = "2022-10-15" }, ""},
		{func(f *Facts) { f.Industry = "gambling" }, ReasonIndustry},
	} {
		p, f := announced(false), lost(10)
		test.change(f)
		a, err := p.Assess(f)
		require.NoError(t, err)
		require.Equal(t, test.want, p.Propose(f, &a).Declined, "%+v", f)
	}
}

func TestCapAndSecondPerson(t *testing.T) {
	p := announced(false)
	p.Cap, p.SecondPerson = 40_000, 30_000
	a, err := p.Assess(lost(400_000))
	require.NoError(t, err)
	got := p.Propose(lost(400_000), &a)
	require.Equal(t, Won(40_000), got.Pay)
	require.Contains(t, got.Why, "no claim is paid more than 40000 won")
	require.True(t, got.Second)
	require.True(t, p.NeedsSecond(30_000))
	require.False(t, p.NeedsSecond(29_999))
	p.SecondPerson = 0
	require.False(t, p.NeedsSecond(1<<60))
}

// A larger loss is never paid less, and nothing is paid that the table does not say.
func TestTiersAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := announced(rapid.Bool().Draw(t, "inclusive"))
		p.Tiers.Basis = rapid.SampledFrom([]Basis{SalesLoss, AssessedLoss}).Draw(t, "basis")
		small := Won(rapid.Int64Range(-10, 2_000_000).Draw(t, "small"))
		large := small + Won(rapid.Int64Range(0, 2_000_000).Draw(t, "more"))
		rank := func(w Won) (tier int, paid Won) {
			a, err := p.Assess(lost(w))
			require.NoError(t, err)
			got := p.Propose(lost(w), &a)
			require.Contains(t, []Won{0, 30_000, 50_000}, got.Pay)
			require.Equal(t, got.Pay == 0, got.Review || got.Declined != "")
			return got.Tier, got.Pay
		}
		tierS, paidS := rank(small)
		tierL, paidL := rank(large)
		require.LessOrEqual(t, tierS, tierL)
		if tierL < 3 {
			require.LessOrEqual(t, paidS, paidL)
		}
	})
}
