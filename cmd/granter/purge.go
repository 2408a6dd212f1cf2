package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/archive"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

// purgeFlags are the settings of granter purge.
type purgeFlags struct {
	connection
	why, who, confirm string
	trail, dryRun     bool
	only              []string
}

// PurgeResult is what granter purge --json prints.
type PurgeResult struct {
	Campaign string `json:"campaign"`
	DryRun   bool   `json:"dry_run"`
	ledger.Purge
}

func newPurge() *cobra.Command {
	var f purgeFlags
	cmd := &cobra.Command{
		Use:   "purge {-f SPEC | --campaign NAME} --why TEXT --confirm NAME",
		Short: "Remove what the ledger knows of the users of a campaign that is over",
		Long: `Purge removes everything that the ledger has of a campaign's users, when it need not be kept any longer: who has
it, the journal, what people did about users, what they took, what runs and subscribers left. Afterwards nobody can say who had
it. What stays is a mark that says who purged it, when and why, and what there was: numbers of users, and the digests that
granter digest prints. Because of the mark nobody is granted again by a replay of the topic: every command refuses the
campaign. The spec stays, and so do the orders and their trail, which name operators and no users, without --trail.

It refuses while a run goes on or may, while somebody publishes its events, and while the campaign is not over. When it is
cut off, do it again: nobody is granted meanwhile. docs/ledger.md says what else there is, in Kafka and elsewhere.

With --only some classes of records are removed, and the campaign stays as it is: it can be asked about, proven and replayed.
How many they were and a digest of each class stay in the history. --dry-run prints the same of what is there now.

` + exitHelp,
		Example: `  granter purge --campaign sorry-2022 --dry-run
  granter export --campaign sorry-2022 --why "before the purge" sorry-2022.ledger
  granter purge --campaign sorry-2022 --why "kept for five years" --confirm sorry-2022
  granter purge --campaign sorry-2022 --only samples,proposals --why "kept for a year" --confirm sorry-2022`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.execute(cmd) },
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.kafkaFlags, f.redisFlags, f.retryFlag)
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, which stays (required)")
	cmd.Flags().StringVar(&f.who, "who", "", whoHelp)
	cmd.Flags().StringVar(&f.confirm, "confirm", "",
		"the campaign's name once more: there is no way back (required without --dry-run)")
	cmd.Flags().BoolVar(&f.trail, "trail", false, "remove orders and their audit trail, too: they name operators")
	cmd.Flags().StringSliceVar(&f.only, "only", nil,
		"remove these classes of records alone, and leave the campaign as it is: "+strings.Join(classNames(), ", "))
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would go, and remove nothing")
	return cmd
}

func (f *purgeFlags) execute(cmd *cobra.Command) error {
	ctx := cmd.Context()
	name, err := f.named()
	if err != nil {
		return err
	}
	client, err := f.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := ledger.Open(client, &grant.Campaign{Name: name}, f.patiently(f.retryFor))
	if err != nil {
		return err
	}
	purger := ledger.NewPurger(store)
	mark, err := purger.Mark(ctx)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("only") {
		return f.some(cmd, name, store, purger, mark)
	}
	if mark != nil && mark.Done != nil {
		return f.print(cmd.OutOrStdout(), &PurgeResult{Campaign: name, Purge: *mark})
	}
	goesOn := mark != nil
	if !goesOn {
		if mark, err = f.mark(ctx, purger); err != nil {
			return err
		}
	}
	if f.dryRun {
		if mark.Keys, err = purger.Count(ctx, f.trail); err != nil {
			return err
		}
		return f.print(cmd.OutOrStdout(), &PurgeResult{Campaign: name, DryRun: true, Purge: *mark})
	}
	if mark.At, err = ledger.NewCoordination(store).Now(ctx); err != nil {
		return err
	}
	if err := purger.Begin(ctx, mark, goesOn); err != nil {
		return err
	}
	if mark.Keys, err = purger.Remove(ctx, mark.Trail); err != nil {
		return fmt.Errorf("%w; do it again, nobody is granted meanwhile", err)
	}
	mark.Done = new(time.Now().UTC())
	if err := purger.Begin(ctx, mark, true); err != nil {
		return err
	}
	return f.print(cmd.OutOrStdout(), &PurgeResult{Campaign: name, Purge: *mark})
}

// named checks the flags, and returns the name of the campaign, whose spec may not be readable any more.
func (f *purgeFlags) named() (name string, err error) {
	if name = f.name; name == "" {
		c, err := f.campaign()
		if err != nil {
			return "", err
		}
		name = c.Name
	}
	switch {
	case !campaign.ValidName(name):
		return "", usageError(fmt.Errorf("--campaign %q: no campaign has such a name", name))
	case f.trail && f.only != nil:
		return "", usageError(errors.New("--trail is of a purge of everything: say --only trail"))
	case f.dryRun:
		return name, nil
	case f.confirm != name:
		return "", usageError(fmt.Errorf("there is no way back: say --confirm %s, and try --dry-run before", name))
	}
	if err := grant.ValidateWhy(f.why); err != nil {
		return "", usageError(fmt.Errorf("%w (--why TEXT)", err))
	}
	return name, nil
}

// mark makes the mark of a purge, if the campaign is over and nobody works with it.
func (f *purgeFlags) mark(ctx context.Context, purger *ledger.Purger) (*ledger.Purge, error) {
	q, err := f.query(ctx, f.retryFor)
	if err != nil {
		return nil, err
	}
	defer q.close()
	st, err := f.over(ctx, q, purger)
	if err != nil {
		return nil, err
	}
	store, err := ledger.Open(q.redis, q.campaign, f.patiently(f.retryFor))
	if err != nil {
		return nil, err
	}
	end, err := archive.Digest(ctx, archive.NewSubject(store))
	if err != nil {
		return nil, err
	}
	who, err := whoami(f.who)
	if err != nil {
		return nil, err
	}
	return &ledger.Purge{Who: who, Why: f.why, Trail: f.trail, Proof: ledger.PurgeProof{
		Spec: st.Spec, Granted: end.Granted, Excluded: end.Excluded, Chunks: end.Chunks, Users: end.Users, Ledger: end.Ledger,
	}}, nil
}

// over returns the status of a campaign, if it is over and nobody works with it.
func (f *purgeFlags) over(ctx context.Context, q *query, purger *ledger.Purger) (*status.Status, error) {
	st, err := q.status(ctx)
	if st == nil || !st.Knows(status.PartSpec, status.PartControl, status.PartRuns) {
		return nil, fmt.Errorf("it is not known whether the campaign is over: %w", err)
	}
	if why := unfinished(st); why != "" {
		return nil, fmt.Errorf("%w: %s", ledger.ErrPurgeRefused, why)
	}
	busy, err := purger.Busy(ctx)
	if err != nil {
		return nil, err
	}
	if len(busy) > 0 {
		return nil, fmt.Errorf("%w: somebody publishes its events or tells its hooks (%s): end that, and wait for 15 s",
			ledger.ErrPurgeRefused, strings.Join(busy, ", "))
	}
	return st, nil
}

// unfinished says why a campaign is not over; empty: it is. Where Kafka has nothing of it any more, orders and ends_at decide.
func unfinished(st *status.Status) string {
	if n := st.Live(); n > 0 {
		return fmt.Sprintf("%d replicas run: end them", n)
	}
	switch st.Phase {
	case status.PhaseFinished, status.PhaseEnded, status.PhaseAborted:
		return ""
	default:
	}
	ended := st.EndsAt != nil && !st.At.Before(*st.EndsAt)
	if !st.Knows(status.PartKafka) && (ended || st.Control.Finish != nil) {
		return ""
	}
	return fmt.Sprintf("the campaign is %s: order granter abort, if it is over all the same", st.Phase)
}

func (f *purgeFlags) print(w io.Writer, r *PurgeResult) error {
	if f.json {
		return printJSON(w, r)
	}
	switch {
	case r.DryRun:
		fmt.Fprintf(w, "%s: %s keys would be removed\n", r.Campaign, text.Number(r.Keys))
	default:
		fmt.Fprintf(w, "%s was purged by %s at %s: %s\n", r.Campaign, oneLine(r.Who), text.Moment(r.At), oneLine(r.Why))
	}
	table(w,
		"granted\t"+text.Number(r.Proof.Granted)+" users", "excluded\t"+text.Number(r.Proof.Excluded)+" users",
		"chunks\t"+text.Number(r.Proof.Chunks), "digest of the granted users\t"+r.Proof.Users,
		"digest of the ledger\t"+r.Proof.Ledger, "spec\t"+r.Proof.Spec)
	return nil
}
