package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

func newClaimsAmend() *cobra.Command {
	var flags programmeFlags
	var who whoFlags
	var until string
	cmd := &cobra.Command{
		Use:   "amend [WINDOW --until TIME --why TEXT]",
		Short: "Extend a window of a programme, or list the windows with their extensions",
		Long: `Amend extends the time in which something is handed in: who did it, when, why, and from when to when are kept
for good, in the chain that "granter claims prove" proves. A window is never shortened, and the rules and their hash stay as they
were. --until is the last second that is in time, in the programme's zone, as its file has it. Pages, intake and notices go by it
within a second. A window that has closed can be opened again in this way.

Without WINDOW it lists all windows as they are now, and what was extended.

` + exitHelp,
		Example: `  granter claims amend documents --until 2023-04-14T23:59:59 --why "few have sent theirs"`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) != (until != "") || (len(args) == 1) != (who.why != "") {
				return usageError(errors.New("say WINDOW, --until and --why to extend a window, or none of them to list all"))
			}
			by, err := who.name()
			if err != nil {
				return err
			}
			return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
				if len(args) == 1 {
					by := store.Actor{Name: by, Duty: claims.Secretary}
					if err := extendWindow(ctx, s, p, args[0], until, by, who.why); err != nil {
						return err
					}
				}
				return flags.sayWindows(ctx, cmd, s, p)
			})
		},
	}
	flags.addFlags(cmd)
	who.addFlags(cmd, keptForGood)
	cmd.Flags().StringVar(&until, "until", "", "the last second that is in time, such as 2023-04-14T23:59:59")
	return cmd
}

func extendWindow(
	ctx context.Context, s *store.Store, p *claims.Programme, window, until string, by store.Actor, why string,
) error {
	closes, err := p.AfterLast(until)
	if err != nil {
		return usageError(fmt.Errorf("--until %w", err))
	}
	windows, err := s.Windows(ctx, p)
	if err != nil {
		return err
	}
	e := store.Extension{Window: window, New: closes}
	for _, w := range windows {
		if w.Name == window {
			e.Old = w.Closes
		}
	}
	_, err = s.Extend(ctx, p, e, by, why)
	return err
}

func (c *claimsFlags) sayWindows(ctx context.Context, cmd *cobra.Command, s *store.Store, p *claims.Programme) error {
	windows, err := s.Windows(ctx, p)
	if err != nil {
		return err
	}
	amendments, err := s.Amendments(ctx, p.Name)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Programme  string             `json:"programme"`
			Hash       string             `json:"hash"`
			Windows    []claims.Window    `json:"windows"`
			Amendments []claims.Amendment `json:"amendments"`
		}{p.Name, p.Hash, windows, amendments})
	}
	moment := func(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04:05") }
	rows := []string{"window\tkind\topens\tcloses\tnow"}
	for _, w := range windows {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", w.Name, w.Kind, moment(w.Opens), moment(w.Closes),
			w.Phase(time.Now())))
	}
	table(cmd.OutOrStdout(), rows...)
	for _, a := range amendments {
		fmt.Fprintf(cmd.OutOrStdout(), "\n%s: %s extended %s from %s to %s: %s", moment(a.At), oneLine(a.Who), a.Window,
			moment(a.Old), moment(a.New), oneLine(a.Why))
	}
	if len(amendments) > 0 {
		fmt.Fprintln(cmd.OutOrStdout())
	}
	return nil
}
