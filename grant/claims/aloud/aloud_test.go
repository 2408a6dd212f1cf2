package aloud

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/programme"
)

func TestAProgrammeIsReadAloud(t *testing.T) {
	p, err := programme.Load("../../../deploy/programmes/outage-2022.yaml")
	require.NoError(t, err)
	p.Tiers.Table[1].Inclusive = true
	p.Cap, p.Withheld = 10, 33_000
	p.Eligibility.ExcludedIndustries = map[string]string{"gambling": "not a small business by law"}
	text := Programme(p, func(n int64) string { return "N" + strings.Repeat("'", int(n%7)) })
	for _, want := range []string{
		"The sales loss is the highest week of 2022-09-03 to 2022-10-14, less the sales of the outage.",
		"or the owner's own with evidence) × 70%",
		"Tier 3: above ", "Excluded: gambling (not a small business by law).", "3.3% tax is withheld", "One claim: at most N'''",
		"at least 5 members of at least 3 affiliations are there who may vote, and more than half of them are for it.",
	} {
		require.Contains(t, text, want)
	}
	p.Loss.Weeks = claims.MeanWeek
	require.Contains(t, Programme(p, func(int64) string { return "" }), "the mean week of")
	p.Loss.Weeks = claims.ReportedLoss
	require.Contains(t, Programme(p, func(int64) string { return "" }), "what the owner reports")
}
