package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/identity"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/metrics"
)

// processFlags are the settings of granter claims process.
type processFlags struct {
	programmeFlags
	registry, bank string
	follow         time.Duration
	told           toldFlags
}

func newClaimsProcess() *cobra.Command {
	var flags processFlags
	cmd := &cobra.Command{
		Use:   "process",
		Short: "Decide what the rules can decide: ask who owners are, approve tier claims, hand the others to people",
		Long: `Process looks at every claim that waits for the rules: it asks the tax office and the bank who the owner is,
computes the loss, and approves, declines, asks for documents, hands over to review, or puts on hold what a signal says a
person must look at. A claim whose service is away stays where it is, and is looked at again later. Nothing is decided twice;
it can be stopped at any point, and run in several places at once.

--business-service is the tax office's service (https://api.odcloud.kr/api/nts-businessman/v1), whose key comes from
GRANTER_BUSINESS_KEY or the file GRANTER_BUSINESS_KEY_FILE; --account-service is the banks' (open banking), whose token comes from
GRANTER_ACCOUNT_TOKEN or the file GRANTER_ACCOUNT_TOKEN_FILE.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.registry, "business-service", "", "address of the service that knows businesses")
	f.StringVar(&flags.bank, "account-service", "", "address of the service that knows who holds accounts")
	f.DurationVar(&flags.follow, "every", 0, "look again so often, until it is stopped; 0: look once")
	flags.told.addFlags(cmd)
	return cmd
}

func (flags *processFlags) execute(cmd *cobra.Command) error {
	if flags.registry == "" || flags.bank == "" {
		return usageError(errors.New("nobody is paid before it is known who he is: say by --business-service and " +
			"--account-service who is asked"))
	}
	key, err := password("GRANTER_BUSINESS_KEY")
	if err != nil {
		return err
	}
	token, err := password("GRANTER_ACCOUNT_TOKEN")
	if err != nil {
		return err
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		registry, done, err := flags.told.serve(ctx, cmd, s, p, flags.follow)
		if err != nil {
			return err
		}
		defer done()
		checks := metrics.NewClaimsChecks(registry, p.Name, taxOffice, bankService)
		w := decide.Worker{
			Store: s, Programme: p, Registry: &countedRegistry{identity.NewRegistry(flags.registry, key), checks},
			Bank: &countedBank{identity.NewBank(flags.bank, token), checks},
		}
		return repeat(ctx, flags.follow, func() error {
			got, err := w.Pass(ctx)
			if err != nil {
				return err
			}
			return flags.say(cmd, got)
		})
	})
}

// The services that say who owners are, as metrics have them.
const (
	taxOffice   = "tax_office"
	bankService = "bank"
)

// countedRegistry counts the questions to the tax office.
type countedRegistry struct {
	of     decide.Registry
	counts *metrics.ClaimsChecks
}

// Ask implements decide.Registry.
func (c *countedRegistry) Ask(
	ctx context.Context, list []identity.Business,
) (map[claims.BusinessNumber]identity.Standing, error) {
	out, err := c.of.Ask(ctx, list)
	c.counts.Called(taxOffice, err)
	return out, err
}

// countedBank counts the questions to the banks.
type countedBank struct {
	of     decide.Bank
	counts *metrics.ClaimsChecks
}

// Ask implements decide.Bank.
func (c *countedBank) Ask(ctx context.Context, account identity.Account) (string, error) {
	out, err := c.of.Ask(ctx, account)
	c.counts.Called(bankService, err)
	return out, err
}

func (flags *processFlags) say(cmd *cobra.Command, got *decide.Passed) error {
	w := cmd.OutOrStdout()
	if flags.json {
		return printJSON(w, got)
	}
	fmt.Fprintf(w, "%s claims looked at, %s wait for a service that is away\n", text.Number(int64(got.Looked)),
		text.Number(int64(got.Pending)))
	for _, state := range slices.Sorted(maps.Keys(got.States)) {
		fmt.Fprintf(w, "  %s: %s\n", state, text.Number(int64(got.States[state])))
	}
	if got.Frozen != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "granter:", got.Frozen)
	}
	if got.Conflict > 0 {
		fmt.Fprintf(w, "%d were changed by somebody else meanwhile, and are looked at next time\n", got.Conflict)
	}
	for _, away := range got.Away {
		fmt.Fprintln(cmd.ErrOrStderr(), "granter:", away)
	}
	return nil
}

func newClaimsDecide() *cobra.Command {
	var flags claimsFlags
	var actor actorFlags
	var amount int64
	var reason, to string
	cmd := &cobra.Command{
		Use:   "decide CLAIM ACTION --as DUTY --why TEXT",
		Short: "Do something with a claim: approve, decline, flag, clear, ask, review, withdraw, object …",
		Long: `ACTION is one of the table that "granter claims states" prints, by whom it says (--as), with a reason where it
says so. What is not possible is refused, and says what would be. Approving needs --amount where the rules propose none; an
amount from the programme's second_person_from on is approved by two people, for the same amount. Nobody decides what he
entered, judged or decided before; of two who decide at once, the second is told. ACTION can also be note, or hand_over --to a
colleague, which leave the claim where it is.

` + exitHelp,
		Example: `  granter claims decide f-0a1b2c3d4e5f60718293 clear --as reviewer --why "two shops of one owner"
  granter claims decide f-0a1b2c3d4e5f60718293 hand_over --to lee --as reviewer --why "I am away until Monday"
  granter claims decide f-0a1b2c3d4e5f60718293 approve --as approver --amount 420000 --why "documents show it"`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := actor.actor()
			if err != nil {
				return err
			}
			d := decide.Decision{Action: claims.Action(args[1]), By: by, Why: actor.why, Reason: claims.Reason(reason), To: to}
			if cmd.Flags().Changed("amount") {
				won := claims.Won(amount)
				d.Amount = &won
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				return flags.decide(ctx, cmd, s, args[0], &d)
			})
		},
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Approver)
	cmd.Flags().Int64Var(&amount, "amount", 0, "won, of an approval")
	cmd.Flags().StringVar(&to, "to", "", "the colleague who sees to the claim from now on, of hand_over")
	cmd.Flags().StringVar(&reason, "reason", "", "of a declined claim: no_loss, opened_after_outage, closed_before_outage, "+
		"excluded_industry, "+
		"excluded, claimed_before, documents_missing or other")
	return cmd
}

func (c *claimsFlags) decide(ctx context.Context, cmd *cobra.Command, s *store.Store, id string, d *decide.Decision) error {
	list, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	claim := list[0]
	p, err := s.Programme(ctx, claim.Programme)
	if err != nil {
		return err
	}
	step, err := d.Step(p, claim)
	if err != nil {
		return fmt.Errorf("claim %s: %w", id, err)
	}
	if err := s.Commit(ctx, []store.Step{step}, nil); err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), claim)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s", id, claim.State)
	if claim.First != nil {
		fmt.Fprintf(cmd.OutOrStdout(), ", %s won approved by the first of two", text.Number(int64(*claim.First)))
	} else if claim.Owed > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), ", %s won owed", text.Number(int64(claim.Owed)))
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return nil
}
