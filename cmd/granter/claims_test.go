package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClaimsAreAssessedByTheShippedProgramme(t *testing.T) {
	const shipped = "../../deploy/programmes/outage-2022.yaml"
	ask := func(args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = run(append([]string{"claims"}, args...), &out, &errs)
		return code, out.String(), errs.String()
	}
	code, out, errs := ask("check", shipped)
	require.Zero(t, code, errs)
	require.Contains(t, out, "Tier 2: from 300,000 won and below 500,000 won: 50,000 won; no document.")

	facts := filepath.Join(t.TempDir(), "facts.json")
	write := func(text string) { require.NoError(t, os.WriteFile(facts, []byte(text), 0o600)) }
	write(`{"industry": "restaurants", "opened": "2020-03-01", "outage_sales": 1000000, "week_sales": [1250000, 1299999]}`)
	code, out, errs = ask("assess", shipped, facts)
	require.Zero(t, code, errs)
	require.Contains(t, out, "30,000 won: a sales_loss of 299999 won (below 300000) is paid 30000 won")

	write(`{"industry": "shops", "opened": "2020-03-01", "outage_sales": 0, "week_sales": [500000]}`)
	code, out, errs = ask("assess", shipped, facts, "--json")
	require.Zero(t, code, errs)
	var answer struct {
		Proposal struct {
			Review    bool     `json:"review"`
			Documents []string `json:"documents"`
		} `json:"proposal"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.True(t, answer.Proposal.Review)
	require.Len(t, answer.Proposal.Documents, 3)

	write(`{"opened": "2020-03-01", "outage_sales": -5, "week_sales": []}`)
	code, out, errs = ask("assess", shipped, facts)
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "outage_sales: -5 won is negative")
	require.Contains(t, errs, "week_sales: give the sales of at least one week")

	write("programme: [")
	code, _, errs = ask("check", facts)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "facts.json:")
	code, _, errs = ask("check", facts+".yaml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "no such file")

	code, out, _ = ask("states", "--dot")
	require.Zero(t, code)
	require.Contains(t, out, "approved -> payment_sent")
	code, _, errs = ask("states", "--dot", "--json")
	require.Equal(t, exitUsage, code, errs)
}
