package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// budgetFlags are the settings of granter claims budget.
type budgetFlags struct {
	programmeFlags
	whoFlags

	to              int64
	confirm, reject int
}

func newClaimsBudget() *cobra.Command {
	var flags budgetFlags
	cmd := &cobra.Command{
		Use:   "budget [--to WON | --confirm N | --reject N] [--why TEXT]",
		Short: "Show what is left of a programme's budget, or amend it by two people",
		Long: `Budget shows what a programme may pay together, what of it is promised, reserved, settled and left, and how it was
amended. When the budget ends payment stops and asks: a run that does not fit declares nothing. Then one person proposes another
budget (--to, as the secretary), and another one confirms it (--confirm with the proposal's number, as an approver): from then on
runs go by it. Who did it, when, why, and from how much to how much are kept for good, in the chain that "granter claims prove"
proves; the rules and their hash stay as they were. A budget is never lowered below what is promised. --reject takes a proposal
away, and so does another proposal.

` + exitHelp,
		Example: `  granter claims budget --to 6000000000 --why "more owners than expected; decision 14 of the board"
  granter claims budget --confirm 7 --why "decision 14 says so"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.programmeFlags.addFlags(cmd)
	flags.whoFlags.addFlags(cmd, keptForGood)
	f := cmd.Flags()
	f.Int64Var(&flags.to, "to", 0, "propose this budget, in won")
	f.IntVar(&flags.confirm, "confirm", 0, "confirm the proposal of this number")
	f.IntVar(&flags.reject, "reject", 0, "reject the proposal of this number")
	cmd.MarkFlagsMutuallyExclusive("to", "confirm", "reject")
	return cmd
}

func (flags *budgetFlags) execute(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	changes := changed("to") || changed("confirm") || changed("reject")
	if changes != (flags.why != "") {
		return usageError(errors.New("say --why, and one of --to, --confirm and --reject; or none of them to show the budget"))
	}
	who, err := flags.whoFlags.name()
	if err != nil {
		return err
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		b, err := s.Budget(ctx, p)
		switch {
		case err != nil:
		case changed("to"):
			by := store.Actor{Name: who, Duty: claims.Secretary}
			b, err = s.ProposeBudget(ctx, p, b.Now, claims.Won(flags.to), nil, by, flags.why)
		case changes:
			by := store.Actor{Name: who, Duty: claims.Approver}
			b, err = s.AnswerBudget(ctx, p, max(flags.confirm, flags.reject), changed("confirm"), by, flags.why)
		}
		if err != nil {
			return err
		}
		if flags.json {
			return printJSON(cmd.OutOrStdout(), b)
		}
		printBudget(cmd.OutOrStdout(), b)
		return nil
	})
}

func printBudget(w io.Writer, b *store.Budget) {
	won := func(n claims.Won) string { return text.Number(int64(n)) }
	if b.OfRules == 0 {
		fmt.Fprintf(w, "%s has no budget; %s won are promised\n", b.Programme, won(b.Promised))
		return
	}
	table(w, "budget\twon", "of the rules\t"+won(b.OfRules), "now\t"+won(b.Now), "promised\t"+won(b.Promised),
		"settled\t"+won(b.Settled), "reserved\t"+won(b.Reserved), "left\t"+won(b.Left))
	for i := range b.Amendments {
		a := &b.Amendments[i]
		fmt.Fprintf(w, "\nproposal %d, %s: %s, from %s to %s: %s\n", a.Number, text.Moment(a.At), oneLine(a.Who), won(a.Old),
			won(a.New), oneLine(a.Why))
		switch {
		case a == b.Waiting():
			fmt.Fprintf(w, "  waits for another person: granter claims budget --confirm %d --why TEXT\n", a.Number)
		case a.Waits():
			fmt.Fprintln(w, "  another proposal took its place")
		default:
			what := "rejected"
			if a.Confirmed {
				what = "confirmed"
			}
			fmt.Fprintf(w, "  %s, %s: %s: %s\n", what, text.Moment(a.AnsweredAt), oneLine(a.AnsweredBy), oneLine(a.Because))
		}
	}
}
