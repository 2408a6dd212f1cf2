package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

func newRejectedRecover() *cobra.Command {
	var f letterFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "recover {-f SPEC | --campaign NAME}",
		Short: "Write dead letters again that were lost, from the records of the topic",
		Long: `Recover reads the topic up to the checkpoint, and writes a dead letter of each rejected record that the dead-letter
topic does not have: because retention removed it, or the topic was deleted, which is made again. What the topic itself no longer
has cannot be recovered. Nobody is granted, and what was replayed stays replayed. It may be killed, and done again.

--dry-run says how many there are, and where, and writes nothing.

` + exitHelp,
		Example: `  granter audit -f SPEC                       # letters_gone, rejected_unkept
  granter rejected recover -f SPEC --dry-run
  granter rejected recover -f SPEC`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.recover(cmd, dryRun) },
	}
	f.addFlags(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what is lost, and write nothing")
	return cmd
}

func (f *letterFlags) recover(cmd *cobra.Command, dry bool) error {
	ctx := cmd.Context()
	q, err := f.letters(ctx)
	if err != nil {
		return err
	}
	defer q.close()
	runs, err := q.coordination.Runs(ctx)
	if err != nil {
		return explain(err, f.brokers)
	}
	checkpoint, err := q.reader.Checkpoints(ctx, q.campaign)
	if err != nil {
		return err
	}
	topic, err := source.New(source.Config{ // letters say who wrote them
		Kafka: q.kafka, Topic: q.campaign.Input, Campaign: q.campaign.Name, RetryFor: f.retryFor, Run: grant.NewRunID(time.Now()),
	})
	if err != nil {
		return err
	}
	defer topic.Close() //nolint:errcheck // only idle connections are closed
	lost := []rejected.Recovered{}
	r, err := rejected.Recover(ctx, topic, q.campaign, runs, checkpoint, dry, func(one rejected.Recovered) {
		if f.json || len(lost) < maxOutcomes {
			lost = append(lost, one)
		}
	})
	if f.json {
		return errors.Join(explain(err, f.brokers), printJSON(cmd.OutOrStdout(), struct {
			*rejected.Recovery

			Records []rejected.Recovered `json:"records"`
		}{r, lost}))
	}
	printRecovery(cmd.OutOrStdout(), q.campaign, r, lost)
	return explain(err, f.brokers)
}

func printRecovery(w io.Writer, c *grant.Campaign, r *rejected.Recovery, lost []rejected.Recovered) {
	done := "were lost, and are written again"
	if r.DryRun {
		done = "are lost"
	}
	fmt.Fprintf(w, "%s: %s dead letters were in %s; %s %s\n",
		c.Name, text.Number(r.Letters), c.Input.DeadLetterTopic(), text.Number(r.Lost), done)
	if r.Gone > 0 {
		fmt.Fprintf(w, "%s records are gone from %s: rejected ones among them cannot be recovered\n",
			text.Number(r.Gone), c.Input.Topic)
	}
	if len(lost) == 0 {
		return
	}
	rows := []string{"\npartition/offset\treason"}
	for _, l := range lost {
		rows = append(rows, fmt.Sprintf("%d/%d\t%s", l.Partition, l.Offset, l.Reason))
	}
	table(w, rows...)
	if r.Lost > int64(len(lost)) {
		fmt.Fprintln(w, "--json lists all of them")
	}
}
