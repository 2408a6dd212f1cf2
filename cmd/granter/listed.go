package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/exclusion"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

// lists reads whom the spec of -f excludes.
func (c *connection) lists(camp *grant.Campaign, k source.Kafka, retryFor time.Duration) *exclusion.Reader {
	return &exclusion.Reader{Campaign: camp, Folder: filepath.Dir(c.spec), Kafka: source.Config{
		Kafka: k, Campaign: camp.Name, RetryFor: retryFor,
	}}
}

// newSettler withholds whom a spec excludes. Its lease is not that of a run, which goes on when this is done.
func newSettler(lists *exclusion.Reader, s *ledger.Store, run grant.RunID, log *slog.Logger) *exclusion.Settler {
	return &exclusion.Settler{
		Lists: lists, Notes: ledger.NewCoordination(s), Run: run, Log: log,
		Ledger: struct {
			*ledger.Reader
			*ledger.Acts
		}{ledger.NewReader(s), ledger.NewActs(s, grant.NewRunID(time.Now()))},
	}
}

// settleListed is granter exclude --listed: what a run does before it grants anybody.
func (f *actFlags) settleListed(cmd *cobra.Command, args []string) error {
	if len(args) > 0 || f.users != "" || f.topic != "" || f.out != "" || f.reason != "" || f.request != "" || f.propose {
		return usageError(errors.New("--listed excludes whom the spec's lists name, with their reasons: " +
			"give no users, reason or request"))
	}
	camp, err := f.campaign()
	if err != nil {
		return err
	}
	if len(camp.Exclude) == 0 {
		return usageError(fmt.Errorf("%s: the spec has no lists of users to exclude: see exclude in docs/campaign-spec.md",
			f.spec))
	}
	k, err := f.kafka()
	if err != nil {
		return err
	}
	client, err := f.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := ledger.Open(client, camp, f.patiently(f.timeout))
	if err != nil {
		return err
	}
	lists := f.lists(camp, k, f.timeout)
	out := exclusion.Outcome{}
	if f.dryRun {
		list, err := lists.Read(cmd.Context())
		if err != nil {
			return explain(err, f.brokers)
		}
		out.Listed = list.Users()
		if out.Before, out.Granted, err = exclusion.Compare(cmd.Context(), ledger.NewReader(store), list); err != nil {
			return err
		}
		out.Excluded = out.Listed - out.Before - out.Granted
	} else {
		s := newSettler(lists, store, grant.NewRunID(time.Now()), slog.New(slog.DiscardHandler))
		if out, err = s.Settle(cmd.Context()); err != nil {
			return explain(err, f.brokers)
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Campaign string `json:"campaign"`
			DryRun   bool   `json:"dry_run"`
			exclusion.Outcome
		}{camp.Name, f.dryRun, out})
	}
	would := ""
	if f.dryRun {
		would = "DRY RUN, nothing was written: "
	}
	fmt.Fprintf(cmd.OutOrStdout(),
		"%s: %s%s users on the lists: %s excluded now, %s before; %s granted before they were listed, %s by a person\n",
		camp.Name, would, text.Number(out.Listed), text.Number(out.Excluded), text.Number(out.Before), text.Number(out.Granted),
		text.Number(out.Let))
	return nil
}
