package owner

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// An owner whose loss is reviewed may reckon with a rate of his own: it is asked where it counts, evidence is needed, and the
// computation shows it.
func TestAnOwnersOwnProfitRate(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.get("/?lang=en").post("/start")
	b.post(b.path, "business_number", storetest.Number(1).String())
	b.post(b.path, "representative", "김사장", "opened", "20200301")
	b.post(b.path, "industry", "restaurants")
	b.post(b.path, "outage_sales", "1000000", "week_sales_1", "11000000")
	require.Equal(t, "/claim/question/alternative", b.path)
	b.shows("If you leave it empty we compute with 15%", "Proof of the operating profit rate")
	for _, wrong := range []string{"101", "-1", "abc", "1/8", "1e1", "12.345"} {
		b.post("/claim/question/alternative", "alternative_available", "no", "own_profit_rate", wrong)
		require.Equal(t, 422, b.status, wrong)
		b.shows("Write the rate as a percentage from 0 to 100, such as 12.5")
	}
	b.post("/claim/question/alternative", "alternative_available", "no", "own_profit_rate", "22.5 %")
	b.post(b.path, "phone", "010-1234-5678")
	b.post(b.path, "bank", "004", "account", "110-123-456789")
	require.Equal(t, "/claim/check", b.path)
	b.shows("22.5%", "Proof of the operating profit rate", "Proof of the sales damage")
	b.post("/claim/check").shows("We have your claim")
	number := numberIn.FindStringSubmatch(b.page)[1]
	require.Equal(t, big.NewRat(225, 1000), w.load(number).Facts.OwnRate)

	w.process()
	c := w.load(number)
	require.Equal(t, claims.DocumentsMissing, c.State)
	require.Contains(t, c.Missing(c.Proposal), claims.RateEvidence)
	require.EqualValues(t, 1_575_000, c.Assessment.Assessed, "10,000,000 × 22.5% × 70%")
	b.get("/claim").shows("Operating profit rate of your business", "22.5%", "Proof of the operating profit rate")
	for i, kind := range c.Proposal.Documents {
		require.Equal(t, claims.DocumentsMissing, w.load(number).State)
		b.upload(kind, "paper.pdf", fmt.Appendf(nil, "%%PDF-1.7\n%d\n%%%%EOF\n", i))
	}
	require.Equal(t, claims.Checking, w.load(number).State, "with the evidence it goes on")

	// Where the tier alone decides, it is not asked.
	other := w.browser().answers(2, 310_000)
	require.NotContains(t, other.page, "영업이익률")
}
