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

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/archive"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

// rebuildFlags are the settings of granter rebuild.
type rebuildFlags struct {
	runFlags
	from string
}

func newRebuild() *cobra.Command {
	f := rebuildFlags{runFlags: runFlags{
		rebuild: true, listen: "off", slowAt: "latency=500ms,memory=85%", pauseAt: "memory=95%", fetchMemory: 32 << 20,
		session: 10 * time.Second, stall: time.Minute, checkpointEvery: 500 * time.Millisecond,
	}}
	cmd := &cobra.Command{
		Use:   "rebuild -f SPEC --why TEXT [--from FILE]",
		Short: "Make an empty Redis the ledger again: of the topic, or of an export and the rest of the topic",
		Long: `Rebuild is for a Redis that has lost a campaign. Without --from it reads the whole topic again, from its first
record; with an export it imports that, and reads on from there. It refuses a ledger that is not empty, and a topic that
no longer has all the records that are needed: it says which, and --accept-gap leaves them out deliberately. ends_at does
not end it.

Who has the campaign is the same afterwards, by the digest that it prints. What the topic does not say is not known again,
unless the export has it: the times, which are those of the rebuild, so that items which are valid for a time last longer;
acts about single users; takes; replayed records. The audit trail says that it was a rebuild. After a kill, do it again.

--dry-run says what it would read, and writes nothing.

` + exitHelp,
		Example: `  granter rebuild -f SPEC --dry-run
  granter rebuild -f SPEC --why "INC-12: Redis was lost"
  granter rebuild -f SPEC --from sorry-2022.ledger --why "INC-12: Redis was lost, and retention has passed"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.rebuild(cmd) },
	}
	f.connection.addFlags(cmd, f.jsonFlag, f.kafkaFlags, f.groupFlag, f.redisFlags, f.retryFlag)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "a file that granter export wrote")
	flags.BoolVar(&f.dryRun, "dry-run", false, "write nothing: say what would be read")
	flags.StringArrayVar(&f.gaps, "accept-gap", nil, "PARTITION:FROM-TO, offsets that are gone, to go without (repeatable)")
	flags.StringVar(&f.why, "why", "", "the reason, for the audit trail")
	flags.StringVar(&f.who, "who", "", whoHelp)
	flags.BoolVar(&f.allowVolatile, "allow-volatile", false, "accept a Redis that persists nothing: a restart loses every grant")
	flags.StringVar(&f.maxRejected, "max-rejected", "", "share of invalid records at which to stop (default: the spec's)")
	flags.StringVar(&f.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

func (f *rebuildFlags) rebuild(cmd *cobra.Command) error {
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	who, err := whoami(f.who)
	if err != nil {
		return err
	}
	o := grant.Order{Action: grant.ActionRebuild, Who: who, Via: "cli", Why: f.why}
	if err := o.Validate(); err != nil && !f.dryRun {
		return usageError(err)
	}
	camp, err := f.campaign()
	if err != nil {
		return err
	}
	plan, err := f.plan(ctx, camp)
	if err != nil {
		return explain(err, f.brokers)
	}
	if f.dryRun {
		plan.print(w, camp)
		return nil
	}
	q, err := f.queryLedger(ctx, f.retryFor)
	if err != nil {
		return err
	}
	defer q.close()
	store, err := ledger.Open(q.redis, camp, ledger.Config{RetryFor: f.retryFor})
	if err != nil {
		return err
	}
	subject := archive.NewSubject(store)
	if f.from != "" && !plan.begun {
		if _, err := archive.Import(ctx, subject, f.from, ledger.Import{At: time.Now().UTC(), Who: who}); err != nil {
			return err
		}
	}
	if !plan.begun {
		if _, err := q.coordination.Order(ctx, o); err != nil {
			return err
		}
	}
	f.why = "" // run's own flags need none
	if err := f.execute(cmd); err != nil {
		return err
	}
	end, err := archive.Digest(ctx, subject)
	if err != nil || f.json {
		return err
	}
	fmt.Fprintf(w, "\nrebuilt: %s users are granted; what the run granted has its times, not those of before\n",
		text.Number(end.Granted))
	fmt.Fprintln(w, "digest of the granted users:", end.Users)
	return nil
}

// rebuildPlan is what a rebuild would do.
type rebuildPlan struct {
	begun   bool // it was begun before, and cut off
	header  *archive.Header
	granted int64
	start   grant.Start
	records int64
}

// plan looks at everything that a rebuild needs, and fails where it cannot do it.
func (f *rebuildFlags) plan(ctx context.Context, camp *grant.Campaign) (*rebuildPlan, error) {
	client, err := f.redisClient()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	led, err := openLedger(client, camp, f.timeout)
	if err != nil {
		return nil, err
	}
	p := &rebuildPlan{}
	if err := p.look(ctx, led, f.from != ""); err != nil {
		return nil, err
	}
	checkpoint := grant.Checkpoint{Next: grant.Offsets{}}
	if f.from != "" {
		header, end, err := archive.ReadFile(f.from, archive.Visit{Checkpoint: func(c archive.Checkpoint) error {
			if c.Pass == "" && strings.HasPrefix(camp.Hash, c.Version) {
				checkpoint = grant.Checkpoint{Topic: c.Topic, Next: c.Next, Epochs: c.Epochs}
			}
			return nil
		}})
		switch {
		case err != nil:
			return nil, err
		case header.Campaign != camp.Name || header.Spec != camp.Hash:
			return nil, usageError(fmt.Errorf("%s is an export of %s, spec %.12s, and %s has %s, spec %.12s: "+
				"use the spec that it was granted by", f.from, header.Campaign, header.Spec, f.spec, camp.Name, camp.Hash))
		}
		p.header, p.granted = &header, end.Granted
	}
	return p, f.measure(ctx, camp, checkpoint, p)
}

// look refuses a ledger that is not empty, but for a rebuild that was begun.
func (p *rebuildPlan) look(ctx context.Context, led opened, imports bool) error {
	_, stored, err := led.coordination.Spec(ctx)
	if importing := new(ledger.ImportingError); imports && errors.As(err, &importing) {
		return nil // import says whether it is of the same file
	}
	if err != nil {
		return err
	}
	history, err := led.coordination.History(ctx)
	if err != nil {
		return err
	}
	p.begun = slices.ContainsFunc(history, func(e grant.HistoryEntry) bool { return e.Action == grant.ActionRebuild })
	chunks, _, _, err := led.reader.StoredChunks(ctx)
	if err == nil && !p.begun && !imports && (stored || len(chunks) > 0) {
		err = usageError(errors.New("the ledger is not empty: granter run goes on with what it has. " +
			"To make it again of the topic, remove it first (docs/ledger.md, clean-up)"))
	}
	return err
}

// measure finds out what the topic still has of what is needed.
func (f *rebuildFlags) measure(ctx context.Context, camp *grant.Campaign, checkpoint grant.Checkpoint, p *rebuildPlan) error {
	k, err := f.kafka()
	if err != nil {
		return err
	}
	src, err := source.New(source.Config{Kafka: k, Topic: camp.Input, Campaign: camp.Name, RetryFor: f.timeout})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only idle connections are closed
	bounds, err := src.Bounds(ctx)
	if err != nil {
		return err
	}
	id, err := src.Identify(ctx)
	if err != nil {
		return err
	}
	if !id.Continues(checkpoint.Topic) {
		return &grant.OtherTopicError{Name: camp.Input.Topic, Whose: "the export", Before: checkpoint.Topic, Now: id}
	}
	next := checkpoint.Next.Clone()
	if next == nil {
		next = grant.Offsets{}
	}
	for _, partition := range bounds.Partitions() { // without a checkpoint, what is gone from the beginning is a gap, too
		if _, ok := next[partition]; !ok {
			next[partition] = 0
		}
	}
	pass, err := f.everybody(f.gaps)
	if err != nil {
		return err
	}
	p.start = pass.Start(next, nil, bounds)
	p.records = bounds.From(p.start.From)
	if len(p.start.Refused) == 0 {
		return nil
	}
	return fmt.Errorf("the topic no longer has %s records that the ledger is to be made of: rebuild from an export that has "+
		"their users (--from FILE), or go without them: %s",
		text.Number(grant.OffsetsIn(p.start.Refused)), grant.Flags(p.start.Refused))
}

func (p *rebuildPlan) print(w io.Writer, c *grant.Campaign) {
	if p.begun {
		fmt.Fprintf(w, "%s: a rebuild was begun, and would be continued\n", c.Name)
	}
	if p.header != nil {
		fmt.Fprintf(w, "%s: the export of %s would be imported: %s granted users\n",
			c.Name, text.Moment(p.header.At), text.Number(p.granted))
	}
	fmt.Fprintf(w, "%s: %s records of %s would be read; nothing that is needed is gone\n",
		c.Name, text.Number(p.records), c.Input.Topic)
}
