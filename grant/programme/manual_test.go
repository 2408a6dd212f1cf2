package programme

import (
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

// diffs are the changes that the manual shows, each as the text before and after it.
func diffs(t *testing.T) (out [][2]string) {
	t.Helper()
	manual, err := os.ReadFile("../../docs/claims.md")
	require.NoError(t, err)
	parts := strings.Split(string(manual), "```diff\n")
	for _, part := range parts[1:] {
		part, _, ended := strings.Cut(part, "```")
		require.True(t, ended)
		var change [2]string
		for line := range strings.Lines(part) {
			if line[0] != '+' {
				change[0] += line[1:]
			}
			if line[0] != '-' {
				change[1] += line[1:]
			}
		}
		out = append(out, change)
	}
	return out
}

// What the manual says of adding a tier, a document or a state is what it takes: each change fits the file as it is, and nothing
// else has to be changed there.
func TestTheChangesOfTheManualFit(t *testing.T) {
	const tier, document, state = 0, 1, 2
	shipped, err := os.ReadFile("../../deploy/programmes/outage-2022.yaml")
	require.NoError(t, err)
	table, err := os.ReadFile("../claims/state.go")
	require.NoError(t, err)
	apply := func(text string, changes ...[2]string) string {
		for _, c := range changes {
			require.Equal(t, 1, strings.Count(text, c[0]), c[0])
			text = strings.Replace(text, c[0], c[1], 1)
		}
		return text
	}
	all := diffs(t)
	require.Len(t, all, 4)
	p, err := Parse("changed", []byte(apply(string(shipped), all[tier], all[document])))
	require.NoError(t, err)
	facts := claims.Facts{Industry: "retail", Opened: "2020-01-01", WeekSales: []claims.Won{0}}
	for loss, want := range map[claims.Won]claims.Won{499_999: 50_000, 500_000: 80_000, 999_999: 80_000, 1_000_000: 0} {
		facts.WeekSales[0] = loss
		a, err := p.Assess(&facts)
		require.NoError(t, err)
		proposal := p.Propose(&facts, &a)
		require.Equal(t, want, proposal.Pay, loss)
		if want == 0 {
			require.Contains(t, proposal.Documents, "account_book")
			require.Len(t, proposal.Documents, 4)
		}
	}
	plain := strings.ReplaceAll(string(table), "\n\t", "\n") // the manual has it without tabs
	_, err = parser.ParseFile(token.NewFileSet(), "state.go", apply(plain, all[state], all[state+1]), parser.AllErrors)
	require.NoError(t, err)
}
