package simulate

import (
	"context"
	"encoding/csv"
	"io"
	"slices"
	"strconv"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// Of compares two programmes by the claims that a database has of the present one, whose budget is the one that it has now.
func Of(ctx context.Context, s *store.Store, present, proposed *claims.Programme) (*Report, error) {
	budget, err := s.Budget(ctx, present)
	if err != nil {
		return nil, err
	}
	amended := *present
	amended.Budget = budget.Now
	if proposed.Hash == present.Hash {
		proposed = &amended
	}
	sum := New(&amended, proposed)
	if err := s.Each(ctx, present.Name, func(c *store.Claim) error {
		sum.Add(&Case{Facts: c.Facts, Owed: c.Owed, Ended: c.State == claims.Withdrawn})
		return nil
	}); err != nil {
		return nil, err
	}
	return sum.Report()
}

// WriteCSV writes one row for each tier, reason, quantile and bin, and then others of the same columns, such that no spreadsheet
// takes a cell for a formula. Of a nil report, where there is no claim yet, it writes the heading and the others.
func (r *Report) WriteCSV(w io.Writer, others ...[]string) error {
	rows := [][]string{{"kind", "programme", "name", "claims", "won"}}
	if r != nil {
		rows = r.rows(rows)
	}
	return csv.NewWriter(w).WriteAll(append(rows, others...))
}

// rows are those of a report, behind the heading.
func (r *Report) rows(rows [][]string) [][]string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for side, result := range map[string]*Result{"in force": &r.Present, "proposed": &r.Proposed} {
		for _, t := range result.Tiers {
			rows = append(rows, []string{"tier", side, text.Cell(t.Says), n(int64(t.Claims)), n(int64(t.Cost))})
		}
		for reason, count := range result.Declined {
			rows = append(rows, []string{"declined", side, text.Cell(reason), n(int64(count)), "0"})
		}
		rows = append(rows, []string{"budget left", side, "", "", n(int64(result.Left))})
	}
	rows = append(rows,
		[]string{"change", "proposed", "more", n(int64(r.More)), n(int64(r.Gain))},
		[]string{"change", "proposed", "less", n(int64(r.Less)), n(int64(r.Cut))},
		[]string{"change", "proposed", "same", n(int64(r.Same)), "0"},
		[]string{"losses", "", "all", n(int64(r.Losses.Count)), n(int64(r.Losses.Sum))})
	for q, loss := range r.Losses.Quantiles {
		rows = append(rows, []string{"quantile", "", q, "", n(int64(loss))})
	}
	slices.SortStableFunc(rows[1:], slices.Compare)
	for _, b := range r.Losses.Histogram {
		rows = append(rows, []string{"losses from", "", n(int64(b.From)), n(int64(b.Count)), ""})
	}
	return rows
}
