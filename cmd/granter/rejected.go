package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

func newRejected() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rejected",
		Short: "List, show, replay and recover the records that held no valid user ID",
		Long: `A record without a valid user ID goes to the dead-letter topic, with the reason and where it was. These commands
show those of a campaign, and replay them once somebody says what they mean.

` + exitHelp,
	}
	cmd.AddCommand(newRejectedList(), newRejectedShow(), newRejectedReplay(), newRejectedRecover())
	return cmd
}

// letterFlags say which rejected records are meant.
type letterFlags struct {
	connection
	reasons    []string
	partitions []int
	runs       []string
}

func (f *letterFlags) addFlags(cmd *cobra.Command) {
	f.connection.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.kafkaFlags, f.registryFlags, f.redisFlags, f.retryFlag)
}

// addFilterFlags are those of commands that are for some of the records.
func (f *letterFlags) addFilterFlags(cmd *cobra.Command) {
	f.addFlags(cmd)
	cmd.Flags().StringSliceVar(&f.reasons, "reason", nil, "only those with these reasons, such as not_decimal,space")
	cmd.Flags().IntSliceVar(&f.partitions, "partition", nil, "only those that were in these partitions of the topic")
	cmd.Flags().StringSliceVar(&f.runs, "run", nil, "only those that these runs rejected")
}

// filter reads the flags, and the places that arguments name.
func (f *letterFlags) filter(args []string) (out rejected.Filter, err error) {
	out.Partitions = f.partitions
	for _, name := range f.reasons {
		if !slices.Contains(source.Reasons(), source.Reason(name)) {
			return out, usageError(fmt.Errorf("--reason %q: want some of %v, with commas between", name, source.Reasons()))
		}
		out.Reasons = append(out.Reasons, source.Reason(name))
	}
	for _, name := range f.runs {
		run, err := grant.ParseRunID(name)
		if err != nil {
			return out, usageError(fmt.Errorf("--run: %w", err))
		}
		out.Runs = append(out.Runs, run)
	}
	for _, arg := range args {
		place, err := rejected.ParsePlace(arg)
		if err != nil {
			return out, usageError(err)
		}
		out.Places = append(out.Places, place)
	}
	return out, nil
}

// letters opens the campaign as its ledger has it, and its topic.
func (f *letterFlags) letters(ctx context.Context) (q *query, err error) {
	if q, err = f.query(ctx, f.retryFor); err != nil {
		return nil, err
	}
	stored, _, err := status.InForce(ctx, q.coordination, q.reader, q.campaign)
	if err == nil {
		err = status.OtherTopic(stored, q.campaign)
		q.campaign = stored
	}
	if err != nil {
		q.close()
		return nil, explain(err, f.brokers)
	}
	return q, nil
}

func (f *letterFlags) lettersError(err error) error { return explainLetters(err, f.brokers) }

// explainLetters says what a dead-letter topic that is not there means.
func explainLetters(err error, brokers []string) error {
	if err == nil {
		return nil
	}
	if source.NoTopic(err) {
		return fmt.Errorf("there is no topic of rejected records: no run has begun, or "+
			"source.dead_letters of the spec is not what it was (%w)", err)
	}
	return explain(err, brokers)
}

func replayedText(r *rejected.Replayed) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("user %s: %s", r.User, cmp.Or(string(r.Result), "cut off, replay it again"))
}

// find lists rejected records.
func (f *letterFlags) find(ctx context.Context, q *query, filter rejected.Filter, last int) (*rejected.Listing, error) {
	list, err := rejected.Find(ctx, q.source, q.coordination, q.reader, q.campaign, filter, last)
	return list, f.lettersError(err)
}

func newRejectedList() *cobra.Command {
	var f letterFlags
	var last int
	cmd := &cobra.Command{
		Use:   "list {-f SPEC | --campaign NAME}",
		Short: "Count the rejected records by reason, and list the last ones",
		Long: `List reads the whole dead-letter topic and counts the records of the campaign by reason: each once, however often a
run that was repeated stored it. It prints the last ones of each partition, and what became of them if they were replayed.

` + exitHelp,
		Example: `  granter rejected list -f deploy/campaigns/emoticons.yaml
  granter rejected list -f deploy/campaigns/emoticons.yaml --reason leading_zero --last 100 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(nil)
			if err != nil {
				return err
			}
			q, err := f.letters(cmd.Context())
			if err != nil {
				return err
			}
			defer q.close()
			list, err := f.find(cmd.Context(), q, filter, last)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			printLetters(cmd.OutOrStdout(), q.campaign, list)
			return nil
		},
	}
	f.addFilterFlags(cmd)
	cmd.Flags().IntVar(&last, "last", 5, "how many of each partition to list")
	return cmd
}

func printLetters(w io.Writer, c *grant.Campaign, list *rejected.Listing) {
	replays := list.Replays
	fmt.Fprintf(w, "%s: %s rejected records in %s\n", c.Name, text.Number(list.Letters), c.Input.DeadLetterTopic())
	if replays != (grant.Replays{}) {
		fmt.Fprintf(w, "replayed: %s granted, %s whose users had it before\n",
			text.Number(replays.Granted), text.Number(replays.Duplicate))
	}
	if list.Letters == 0 {
		return
	}
	rows := []string{"\nreason\trecords"}
	for _, reason := range slices.Sorted(maps.Keys(list.Reasons)) {
		rows = append(rows, fmt.Sprintf("%s\t%s", reason, text.Number(list.Reasons[reason])))
	}
	table(w, rows...)
	if len(list.Last) == 0 {
		return
	}
	rows = []string{"\npartition/offset\treason\tholds\treplayed"}
	for i := range list.Last {
		l := &list.Last[i]
		holds := excerpt(l.Holder(&c.Input))
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", l.Place(), l.Reason, holds, replayedText(l.Replayed)))
	}
	table(w, rows...)
}

// excerpt quotes bytes of strangers, as far as they fit a line.
func excerpt(data []byte) string {
	if data == nil {
		return "(nothing)"
	}
	return rejected.Quote(data, 60)
}

func newRejectedShow() *cobra.Command {
	var f letterFlags
	cmd := &cobra.Command{
		Use:   "show {-f SPEC | --campaign NAME} PARTITION/OFFSET...",
		Short: "Show rejected records: all their bytes, as text and in hexadecimal digits",
		Long: `Show prints rejected records by the place that they had in the topic, as list names them. Their own headers are
read from the topic, if it still has the record: dead letters carry those of granter.

` + exitHelp,
		Example: `  granter rejected show -f deploy/campaigns/emoticons.yaml 3/1207`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := f.filter(args)
			if err != nil {
				return err
			}
			q, err := f.letters(cmd.Context())
			if err != nil {
				return err
			}
			defer q.close()
			list, err := f.find(cmd.Context(), q, filter, len(args))
			if err != nil {
				return err
			}
			return f.show(cmd, list.Last)
		},
	}
	f.addFlags(cmd)
	return cmd
}

func (f *letterFlags) show(cmd *cobra.Command, out []rejected.Record) error {
	if len(out) == 0 {
		return errors.New("no such record was rejected: granter rejected list shows some, as PARTITION/OFFSET of the topic")
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	for i := range out {
		printLetter(cmd.OutOrStdout(), &out[i])
	}
	return nil
}

func printLetter(w io.Writer, l *rejected.Record) {
	fmt.Fprintf(w, "%d/%d: %s, rejected by run %s\n", l.Partition, l.Offset, l.Reason, l.Run)
	if l.Whole > 0 {
		fmt.Fprintf(w, "  it had %s bytes, and was cut to what the dead-letter topic takes\n", text.Number(int64(l.Whole)))
	}
	if l.Replayed != nil {
		fmt.Fprintln(w, "  replayed:", replayedText(l.Replayed))
	}
	for _, part := range []struct {
		name string
		data []byte
	}{{"key", l.Key}, {"value", l.Value}} {
		if part.data == nil {
			fmt.Fprintf(w, "  %s: none\n", part.name)
			continue
		}
		fmt.Fprintf(w, "  %s: %+q\n  %s in hexadecimal: %x\n", part.name, part.data, part.name, part.data)
	}
	for _, h := range l.Headers {
		fmt.Fprintf(w, "  header %+q: %+q\n", h.Name, h.Value)
	}
}

// replayRecord is what the record of a replay's run says of this process.
func replayRecord() grant.RunRecord {
	host, _ := os.Hostname()
	return grant.RunRecord{Run: grant.NewRunID(time.Now()), Host: host, PID: os.Getpid(), Version: version}
}

// openReplay opens the ledger as a replay grants by it.
func openReplay(q *query, cfg ledger.Config) (*ledger.Store, error) {
	cfg.Pass = rejected.Pass()
	return ledger.Open(q.redis, q.campaign, cfg)
}
