package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

func newClaimsFreeze() *cobra.Command {
	var flags programmeFlags
	var who whoFlags
	var until string
	var end bool
	cmd := &cobra.Command{
		Use:   "freeze [--why TEXT [--until TIME | --end]]",
		Short: "Stop all decisions and payments, or go on with them",
		Long: `Freeze stops whatever decides or pays, at once and in every process: rules and people, on the desk and the
command line, payout runs and orders. Whoever tries is told who froze it, why, and until when. Claims are still taken in, owners
still send what they are asked for, and what the bank says of orders that it has is still noted. --until ends it by itself, --end
now. Without --why it lists who froze it and ended that.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := store.Freeze{Why: who.why, Frozen: !end}
			var err error
			if f.Who, err = who.name(); err != nil {
				return err
			}
			if who.why == "" && (end || until != "") || end && until != "" {
				return usageError(errors.New("say --why, and one of --until and --end"))
			}
			if until != "" {
				if f.Until, err = time.Parse(time.RFC3339, until); err != nil || !f.Until.After(time.Now()) {
					return usageError(fmt.Errorf("--until %q: want a time to come, such as 2023-03-02T09:00:00+09:00", until))
				}
			}
			return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
				if who.why != "" {
					if _, err := s.SetFreeze(ctx, p.Name, f); err != nil {
						return err
					}
				}
				list, err := s.Freezes(ctx, p.Name)
				if err != nil {
					return err
				}
				return flags.sayFreezes(cmd, s.Frozen(ctx, p.Name), list)
			})
		},
	}
	flags.addFlags(cmd)
	who.addFlags(cmd, "which whoever decides or pays is told")
	f := cmd.Flags()
	f.StringVar(&until, "until", "", "when it ends by itself, such as 2023-03-02T09:00:00+09:00")
	f.BoolVar(&end, "end", false, "go on with decisions and payments")
	return cmd
}

func (c *claimsFlags) sayFreezes(cmd *cobra.Command, state error, list []store.Freeze) error {
	frozen, is := errors.AsType[*store.FrozenError](state)
	if state != nil && !is {
		return state
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Frozen  bool           `json:"frozen"`
			Freezes []store.Freeze `json:"freezes"`
		}{is, list})
	}
	if is {
		fmt.Fprintln(cmd.OutOrStdout(), frozen)
	} else {
		fmt.Fprintln(cmd.OutOrStdout(), "decisions and payments are made")
	}
	rows := []string{"at\twho\twhat\tuntil\twhy"}
	for i := range list {
		what, until := "ended", ""
		if list[i].Frozen {
			what, until = "froze", "somebody ends it"
		}
		if !list[i].Until.IsZero() {
			until = text.Moment(list[i].Until)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", text.Moment(list[i].At), oneLine(list[i].Who), what, until,
			oneLine(list[i].Why)))
	}
	if len(list) > 0 {
		table(cmd.OutOrStdout(), rows...)
	}
	return nil
}
