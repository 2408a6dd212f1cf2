package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

func newClaimsList() *cobra.Command {
	var flags claimsFlags
	var filter store.Filter
	var states []string
	var number, after string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List claims",
		Long:  "List prints claims in the order of their numbers, without personal data.\n\n" + exitHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range states {
				state := claims.State(s)
				if !slices.Contains(claims.States(), state) {
					return usageError(fmt.Errorf("--state %q: granter claims states lists them", s))
				}
				filter.States = append(filter.States, state)
			}
			if number != "" {
				unit, err := claims.ParseBusinessNumber(number)
				if err != nil {
					return usageError(fmt.Errorf("--business: %w", err))
				}
				filter.Unit = unit
			}
			filter.After, filter.Limit = after, limit
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				lines, err := s.List(ctx, filter)
				if err == nil {
					err = readsHere(ctx, s, store.ReadList, store.IDs(lines)...)
				}
				if err != nil {
					return err
				}
				if flags.json {
					return printJSON(cmd.OutOrStdout(), struct {
						Claims []store.Line `json:"claims"`
					}{lines})
				}
				printClaims(cmd.OutOrStdout(), lines)
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&states, "state", nil, "only claims in these states, such as in_review,on_hold")
	f.StringVar(&number, "business", "", "only those of this business number")
	f.StringVar(&after, "after", "", "go on after this claim, the last one of the page before")
	f.IntVar(&limit, "limit", 100, "how many to list")
	return cmd
}

// readsHere adds to the access log that somebody at the command line is about to see something of claims.
func readsHere(ctx context.Context, s *store.Store, what store.ReadWhat, ids ...string) error {
	who, err := whoami("")
	if err != nil {
		return err
	}
	return s.Read(ctx, store.Reading{By: store.Actor{Name: who}, From: store.CommandLine, What: what, Claims: ids})
}

func printClaims(w io.Writer, lines []store.Line) {
	rows := []string{"claim\tbusiness\tstate\tsales loss\ttier\towed\tchannel\treceived"}
	for i := range lines {
		l := &lines[i]
		tier := ""
		if l.Tier > 0 {
			tier = fmt.Sprint(l.Tier)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", l.ID, l.Unit, l.State, text.Number(int64(l.Loss)), tier,
			text.Number(int64(l.Owed)), l.Channel, l.Received.Format(time.DateTime)))
	}
	table(w, rows...)
}

func newClaimsShow() *cobra.Command {
	var flags claimsFlags
	var actor actorFlags
	var person bool
	cmd := &cobra.Command{
		Use:   "show CLAIM",
		Short: "Show one claim: what it comes to and why, and its history",
		Long: `Show prints a claim with its computation and its history, without personal data. With --person it says who the
owner is, too: that needs a reason (--why), and history keeps who looked and why.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := actor.actor()
			if err != nil {
				return err
			}
			if person && actor.why == "" {
				return usageError(errors.New("--person: say by --why what personal data is looked at for"))
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				shown := shownClaim{}
				if person {
					if shown.Person, err = s.ReadPerson(ctx, args[0], by, store.CommandLine, actor.why); err != nil {
						return err
					}
				}
				if shown.History, err = s.History(ctx, args[0]); err != nil {
					return err
				}
				if err := s.Read(ctx, store.Reading{By: by, From: store.CommandLine, What: store.ReadClaim, Why: actor.why,
					Claims: args}); err != nil { // what cannot be recorded is not shown
					return err
				}
				shown.Claim = store.Fold(shown.History)
				if shown.Unit != "" {
					if shown.Reports, err = s.Reports(ctx, store.ReportFilter{Programme: shown.Programme,
						Unit: shown.Unit}); err != nil {
						return err
					}
				}
				if flags.json {
					return printJSON(cmd.OutOrStdout(), shown)
				}
				printClaim(cmd.OutOrStdout(), &shown)
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Reviewer)
	cmd.Flags().BoolVar(&person, "person", false, "say who the owner is, too")
	return cmd
}

type shownClaim struct {
	*store.Claim
	Person  *store.Person `json:"owner,omitempty"`
	History []store.Entry `json:"history"`

	Reports []store.Report `json:"earlier_reports,omitempty"` // of the same business
}

func printClaim(w io.Writer, s *shownClaim) {
	c := s.Claim
	fmt.Fprintf(w, "%s: %s, business %s, received %s by %s (%s)\n", c.ID, c.State, c.Unit, c.Received.Format(time.DateTime),
		c.EnteredBy, c.Channel)
	if p := s.Person; p != nil {
		fmt.Fprintf(w, "%s, %s, %s %s, %s; account %s %s of %s\n", p.Business, p.Representative, p.Phone, p.Email, p.Address,
			p.Bank,
			p.Account, p.Holder)
	}
	if c.Erased {
		fmt.Fprintln(w, "who the owner is has been erased")
	}
	if id := c.Identity; id != nil {
		fmt.Fprintf(w, "business: %s, account: %s", id.Business, id.Account)
		if len(id.Unanswered) > 0 {
			fmt.Fprintf(w, "; pending: %s did not answer", strings.Join(id.Unanswered, ", "))
		}
		fmt.Fprintln(w)
	}
	for _, signal := range c.Signals {
		fmt.Fprintf(w, "on hold (%s): %s %s\n", signal.Kind, signal.What, strings.Join(signal.Others, ", "))
	}
	if c.Proposal != nil {
		fmt.Fprintln(w)
		printAssessment(w, c.Assessment, c.Proposal)
	}
	for i := range s.Reports {
		r := &s.Reports[i]
		fmt.Fprintf(w, "reported before: %s on %s, %s won\n", r.Number, text.Moment(r.At), text.Number(int64(r.Loss)))
	}
	if c.Owed > 0 {
		fmt.Fprintf(w, "owed: %s won\n", text.Number(int64(c.Owed)))
	}
	fmt.Fprintln(w)
	rows := []string{"entry\tat\tby\taction\tstate\treason"}
	for i := range s.History {
		e := &s.History[i]
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s (%s)\t%s\t%s\t%s", e.Seq, e.At.Format(time.DateTime), e.By.Name,
			e.By.Duty, e.Action, e.To,
			e.Reason))
	}
	table(w, rows...)
}

func newClaimsReport() *cobra.Command {
	var flags programmeFlags
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Count claims and what is owed, by state",
		Long:  "Report counts the claims of a programme, by state, and sums up what is owed for them.\n\n" + exitHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
				counts, err := s.Counts(ctx, p.Name)
				if err != nil {
					return err
				}
				if flags.json {
					return printJSON(cmd.OutOrStdout(), struct {
						Programme string                       `json:"programme"`
						States    map[claims.State]store.Count `json:"states"`
					}{p.Name, counts})
				}
				rows := []string{"state\tclaims\towed"}
				for _, state := range claims.States() {
					if n := counts[state]; n.Claims > 0 {
						rows = append(rows, fmt.Sprintf("%s\t%s\t%s", state, text.Number(int64(n.Claims)),
							text.Number(int64(n.Owed))))
					}
				}
				table(cmd.OutOrStdout(), rows...)
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	cmd.AddCommand(newClaimsMoney(), newClaimsMoneyVerify())
	return cmd
}
