package claims

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:generate go test -count=1 -run ^TestTheTableInTheManualIsFresh$ . -update

var update = flag.Bool("update", false, "write the table of states into docs/claims.md")

func TestTheTableInTheManualIsFresh(t *testing.T) {
	const (
		file  = "../../docs/claims.md"
		begin = "<!-- begin: written by go generate -->\n"
		end   = "<!-- end: written by go generate -->\n"
	)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := head + begin + TableText() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run go generate ./grant/claims")
}

func TestTheGraphHasEveryStep(t *testing.T) {
	dot := TableDOT()
	require.Equal(t, len(Transitions()), strings.Count(dot, " -> "))
	for _, s := range States() {
		require.Equal(t, s.Final(), strings.Contains(dot, "\t"+string(s)+" [peripheries=2];"), s)
	}
}

func TestAProgrammeIsReadAloud(t *testing.T) {
	p := announced(false)
	p.Tiers.Table[1].Inclusive = true
	p.Cap, p.Withheld = 10, 33_000
	text := p.Aloud(func(n int64) string { return "N" + strings.Repeat("'", int(n%7)) })
	for _, want := range []string{
		"The sales loss is the highest week of 2022-09-03 to 2022-10-14, less the sales of the outage.",
		"operating profit (restaurants 15%, all others 20%, or the owner's own with evidence) × 70%",
		"Tier 3: above ", "Excluded: gambling (not a small business by law).", "3.3% tax is withheld", "One claim: at most N'''",
	} {
		require.Contains(t, text, want)
	}
	p.Council = assembly()
	require.Contains(
		t,
		p.Aloud(func(int64) string { return "N" }),
		"at least 3 members of at least 2 affiliations are there who may vote, and more than half of them are for it.",
	)
	p.Loss.Weeks = MeanWeek
	require.Contains(t, p.Aloud(func(int64) string { return "" }), "the mean week of")
	p.Loss.Weeks = ReportedLoss
	require.Contains(t, p.Aloud(func(int64) string { return "" }), "what the owner reports")
}
