package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/simulate"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

func newClaimsSimulate() *cobra.Command {
	var flags claimsFlags
	var name string
	var asCSV bool
	cmd := &cobra.Command{
		Use:   "simulate PROPOSED",
		Short: "Say what another programme would pay for the claims that there are, before anybody adopts it",
		Long: `Simulate applies a proposed programme, a file, to every claim of the database, beside the one that is in force:
what each tier costs, who would get more and who less, what is left of the budget, and how the losses are distributed. What people
decide counts as they decided it, or with the assessed loss where they have not yet. Nothing is changed.

` + exitHelp,
		Example: "  granter claims simulate proposed.yaml --csv > proposed.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			proposed, err := loadProgramme(args[0])
			if err != nil {
				return err
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				present, err := s.Programme(ctx, name)
				if err != nil {
					return usageError(err)
				}
				report, err := simulate.Of(ctx, s, present, proposed)
				switch {
				case err != nil && !(asCSV && errors.Is(err, simulate.ErrNothing)): // an empty table is one, too
					return err
				case flags.json:
					return printJSON(cmd.OutOrStdout(), report)
				case asCSV:
					return report.WriteCSV(cmd.OutOrStdout())
				}
				printSimulation(cmd.OutOrStdout(), report)
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the programme in force, when the database has several")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print one row for each tier, quantile and bin, for a spreadsheet")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

func printSimulation(w io.Writer, r *simulate.Report) {
	won := func(n claims.Won) string { return text.Number(int64(n)) }
	fmt.Fprintf(w, "%s claims, of which %s were withdrawn and count no more\n\n", text.Number(r.Claims), text.Number(r.Withdrawn))
	rows := []string{"sales loss\twon"}
	for _, q := range slices.Sorted(maps.Keys(r.Losses.Quantiles)) {
		rows = append(rows, fmt.Sprintf("%s\t%s", q, won(r.Losses.Quantiles[q])))
	}
	table(w, append(rows, "sum\t"+won(r.Losses.Sum))...)
	fmt.Fprintln(w)
	for _, side := range []struct {
		what string
		*simulate.Result
	}{{"in force", &r.Present}, {"proposed", &r.Proposed}} {
		fmt.Fprintf(w, "%s: %s (%.12s)\n", side.what, side.Name, side.Hash)
		rows := []string{"tier\tloss\tclaims\twon"}
		for _, t := range side.Tiers {
			cost := won(t.Cost)
			if t.Review {
				cost += " (people decide)"
			}
			rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s", t.Tier, t.Says, text.Number(t.Claims), cost))
		}
		for _, reason := range slices.Sorted(maps.Keys(side.Declined)) {
			rows = append(rows, fmt.Sprintf("declined\t%s\t%s\t0", reason, text.Number(side.Declined[reason])))
		}
		if side.Refused > 0 {
			rows = append(rows, fmt.Sprintf("\tcannot be computed\t%s\t", text.Number(side.Refused)))
		}
		rows = append(rows, "\ttogether\t\t"+won(side.Cost+side.Reviewed))
		if side.Budget > 0 {
			rows = append(rows, "\tleft of the budget\t\t"+won(side.Left))
		}
		table(w, rows...)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s would get more (%s won together), %s less (%s won), %s the same; of %s people decide\n",
		text.Number(r.More), won(r.Gain), text.Number(r.Less), won(r.Cut), text.Number(r.Same), text.Number(r.Unknown))
	if r.Proposed.Left < 0 {
		fmt.Fprintf(w, "THE BUDGET DOES NOT SUFFICE: %s won are missing\n", won(-r.Proposed.Left))
	}
}
