package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/text"
)

// ClassesPurged is what granter purge --only --json prints.
type ClassesPurged struct {
	Campaign string         `json:"campaign"`
	DryRun   bool           `json:"dry_run"`
	Purged   []grant.Purged `json:"purged"`
}

func classNames() (names []string) {
	for _, c := range ledger.PurgeClasses() {
		names = append(names, c.Name)
	}
	return names
}

// some removes classes of records. What there is of them is in the history before anything goes, so that it is known also where
// somebody is killed in the middle; the same command goes on, and says what was left.
func (f *purgeFlags) some(cmd *cobra.Command, name string, store *ledger.Store, purger *ledger.Purger, mark *ledger.Purge) error {
	ctx := cmd.Context()
	classes, err := ledger.ParsePurgeClasses(f.only)
	if err != nil {
		return usageError(fmt.Errorf("--only: %w", err))
	}
	if mark != nil {
		return fmt.Errorf("%w: everything of the campaign was purged by %s", ledger.ErrPurgeRefused, mark.Who)
	}
	if !f.dryRun {
		q, err := f.query(ctx, f.retryFor)
		if err != nil {
			return err
		}
		defer q.close()
		if _, err := f.over(ctx, q, purger); err != nil {
			return err
		}
		leased, err := purger.Leased(ctx)
		if err != nil {
			return err
		}
		if leased {
			return fmt.Errorf("%w: a run, or an act, may still write: end it, and wait until its lease is over (30 s)",
				ledger.ErrPurgeRefused)
		}
	}
	result := ClassesPurged{Campaign: name, DryRun: f.dryRun}
	if result.Purged, err = purger.Classes(ctx, classes); err != nil {
		return err
	}
	if !f.dryRun {
		who, err := whoami(f.who)
		if err != nil {
			return err
		}
		err = ledger.NewCoordination(store).Record(ctx, grant.HistoryEntry{
			Action: grant.ActionPurge, Who: who, Via: "cli", Why: f.why, Purged: result.Purged,
		})
		if err != nil {
			return err
		}
		if err := purger.RemoveClasses(ctx, classes); err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), &result)
	}
	printClasses(cmd.OutOrStdout(), &result, classes)
	return nil
}

func printClasses(w io.Writer, r *ClassesPurged, classes []ledger.PurgeClass) {
	says := "were removed"
	if r.DryRun {
		says = "would be removed"
	}
	fmt.Fprintf(w, "%s: these records %s\n", r.Campaign, says)
	var rows []string
	for i, p := range r.Purged {
		rows = append(rows, p.Class+"\t"+text.Number(p.Records)+"\tSHA-256 "+p.Digest, "\tafterwards\t"+classes[i].Lost)
	}
	table(w, rows...)
}
