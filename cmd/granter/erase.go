package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// eraseFlags are the settings of granter erase-user.
type eraseFlags struct {
	connection
	reason, who, confirm string
	dryRun, propose      bool
}

func newErase() *cobra.Command {
	var f eraseFlags
	cmd := &cobra.Command{
		Use:   "erase-user [-f SPEC | --campaign NAME] --reason TEXT --confirm USER USER",
		Short: "Erase why anything was done about a user: reasons, notes, samples",
		Long: `Erase-user takes away what says why, and all free text, about one user: the reasons of acts that were about this
user alone, in the journal and the audit trail, kinds of revocation, notes, proposals that are decided, and samples of rejected
records that mean the user. Without -f or --campaign it does so in every campaign of the ledger. There is no way back.

What decides who has what stays: that, and since when, the user was granted, excluded, revoked or moved, and who did it. So
no replay of the topic grants the user again, and status --prove, audits, exports and lookups go on as before. The erasure
itself is recorded with the user: who did it, when, and on what ground (--reason), and not what was erased.

What cannot be erased here is in docs/support.md: the topic, its dead letters, events that were published, exports, backups,
receipts, and the access log, which is the evidence of who has read the user's record.

` + exitHelp,
		Example: `  granter erase-user --reason "GDPR 17, request 88" --dry-run 12345678
  granter erase-user --reason "GDPR 17, request 88" --confirm 12345678 12345678`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(errors.New("which user? Give one user ID"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.execute(cmd, args[0]) },
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.kafkaFlags, f.redisFlags)
	flags := cmd.Flags()
	flags.StringVar(&f.reason, "reason", "", "the ground: it stays, so it should name no details (required)")
	flags.StringVar(&f.who, "who", "", whoHelp)
	flags.StringVar(&f.confirm, "confirm", "", "the user's ID once more: there is no way back (required without --dry-run)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would be erased")
	flags.BoolVar(&f.propose, "propose", false, "leave it to a second person, whatever the campaign's rule: see granter acts")
	return cmd
}

func (f *eraseFlags) execute(cmd *cobra.Command, id string) error {
	if !f.dryRun && f.confirm != id {
		return usageError(fmt.Errorf("there is no way back: say --confirm %s, and try --dry-run before", id))
	}
	if err := grant.ValidateWhy(f.reason); err != nil {
		return usageError(fmt.Errorf("--reason: %w", err))
	}
	act := grant.Act{ID: grant.NewRunID(time.Now()).String(), Kind: grant.ActErase, Via: "cli", Reason: f.reason}
	var err error
	if act.Who, err = whoami(f.who); err != nil {
		return err
	}
	doers, client, err := f.doers(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	users := make([]*grant.UserID, len(doers))
	if err := whom(doers, id, users); err != nil {
		return usageError(err)
	}
	reports, failed := []*acts.Report{}, false
	for i, d := range doers {
		if users[i] == nil {
			continue // of a campaign whose IDs are of another kind
		}
		c := &acts.Command{Act: act, Rows: []acts.Row{{User: *users[i]}}, Dry: f.dryRun, Propose: f.propose}
		r, doErr := d.Run(cmd.Context(), c)
		if doErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", d.Campaign.Name, doErr))
		}
		if r != nil {
			reports = append(reports, r)
			failed = failed || doErr == nil && r.Overall != acts.Success && (r.Overall != acts.Proposed || !f.propose)
		}
	}
	if f.json {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), reports))
	} else {
		for _, r := range reports {
			printErased(cmd.OutOrStdout(), r)
		}
	}
	if err == nil && failed {
		err = &exitError{code: exitFailed}
	}
	return err
}

// whom reads the user's ID as each campaign does; nil: it has no such IDs. It fails if none has.
func whom(doers []*acts.Doer, id string, users []*grant.UserID) error {
	var wrong error
	for i, d := range doers {
		in := grant.Input{IDs: d.Campaign.Input.IDs, Normalise: d.Campaign.Input.Normalise} // whatever the largest one is
		form := userid.FormOf(&in)
		user, err := form.Parse(id)
		if err == nil {
			users[i] = &user
		}
		wrong = cmp.Or(wrong, err)
	}
	if slices.ContainsFunc(users, func(u *grant.UserID) bool { return u != nil }) {
		return nil
	}
	return wrong
}

// doers carry out acts in the campaign that is named, or in all that the ledger has. The caller closes the client.
func (f *eraseFlags) doers(ctx context.Context) (doers []*acts.Doer, client redis.UniversalClient, err error) {
	if f.spec != "" || f.name != "" {
		q, err := f.queryLedger(ctx, f.timeout)
		if err != nil {
			return nil, nil, err
		}
		granted, _, err := status.InForce(ctx, q.coordination, q.reader, q.campaign)
		if err == nil {
			var d *acts.Doer
			if d, err = newDoer(q.redis, granted, f.patiently(f.timeout)); err == nil {
				return []*acts.Doer{d}, q.redis, nil
			}
		}
		q.close()
		return nil, nil, err
	}
	all, client, err := f.catalog(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	defer all.Close() //nolint:errcheck // only idle connections are closed
	if doers, err = f.all(ctx, all.Refresh, all.Names, client); err != nil {
		client.Close()
		return nil, nil, err
	}
	return doers, client, nil
}

func (f *eraseFlags) all(
	ctx context.Context, refresh func(context.Context) error, names func() []string, client redis.UniversalClient,
) (doers []*acts.Doer, err error) {
	if err := refresh(ctx); err != nil {
		return nil, err
	}
	s := &subjects{redis: client, cfg: f.patiently(askFor)}
	for _, name := range names() {
		c, err := s.stored(ctx, name)
		if err != nil {
			if _, purged := errors.AsType[*ledger.PurgedError](err); purged {
				continue // it knows of nobody any more
			}
			return nil, fmt.Errorf("%s: %w: nothing was erased anywhere; name the other campaigns by --campaign", name, err)
		}
		d, err := newDoer(client, c, f.patiently(f.timeout))
		if err != nil {
			return nil, err
		}
		doers = append(doers, d)
	}
	if len(doers) == 0 {
		return nil, usageError(fmt.Errorf("Redis at %s has no campaign with acts about users: is --redis or GRANTER_REDIS right?",
			strings.Join(f.redis, ",")))
	}
	return doers, nil
}

func printErased(w io.Writer, r *acts.Report) {
	result, says := &r.Results[0], "erased"
	switch {
	case r.Overall == acts.Proposed:
		printReport(w, r)
		return
	case result.Status == acts.Unchanged:
		fmt.Fprintf(w, "%s: user %s: nothing to erase\n", r.Campaign, result.User)
		return
	case result.Status != acts.Done:
		fmt.Fprintf(w, "%s: user %s: NOTHING WAS ERASED: %s\n", r.Campaign, result.User, oneLine(result.Why))
		return
	case r.DryRun:
		says = "DRY RUN, nothing was written: it would erase"
	}
	fmt.Fprintf(w, "%s: user %s: %s reasons and notes in the journal", r.Campaign, result.User, says)
	if e := r.Erased; e != nil {
		fmt.Fprintf(w, ", in %s lines of the audit trail, %s proposals, %s samples of rejected records",
			text.Number(e.Lines), text.Number(e.Proposals), text.Number(e.Samples))
	}
	fmt.Fprintln(w)
	if r.Erased != nil && len(r.Erased.Going) > 0 {
		fmt.Fprintf(w, "  run %s has not ended, and may write such samples again: do it again when it has\n",
			strings.Join(r.Erased.Going, ", "))
	}
}
