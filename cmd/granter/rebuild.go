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
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

// rebuildFlags are the settings of granter rebuild.
type rebuildFlags struct {
	runFlags
	from           string
	report, public string
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
acts about single users (who was excluded by hand is granted, unless granter exclude is done again before; who was revoked has
it again); takes; replayed records; orders. It says so before it begins, and the ledger keeps the mark of it, which granter status
and every audit show. With --report, the last signed report of an audit, it says how many users that concerns, and whether the
granted ones are the same. An audit that is given that report names the difference. After a kill, do it again.

--dry-run says what it would read, and writes nothing.

` + exitHelp,
		Example: `  granter rebuild -f SPEC --dry-run
  granter rebuild -f SPEC --report reports/sorry-2022-20230106T000000.000Z.report --public audit.key.pub --dry-run
  granter rebuild -f SPEC --why "INC-12: Redis was lost"
  granter rebuild -f SPEC --from sorry-2022.ledger --why "INC-12: Redis was lost, and retention has passed"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.rebuild(cmd) },
	}
	f.connection.addFlags(cmd, f.anyIDs, f.jsonFlag, f.kafkaFlags, f.registryFlags, f.groupFlag, f.redisFlags, f.retryFlag)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "a file that granter export wrote")
	flags.StringVar(&f.report, "report", "", "the last signed report of an audit: says of how many users something is lost")
	flags.StringVar(&f.public, "public", "", "file of the public key that verifies it")
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
	before, err := f.before(camp)
	if err != nil {
		return err
	}
	plan, err := f.plan(ctx, camp)
	if err != nil {
		return explain(err, f.brokers)
	}
	plan.lacks(cmd.ErrOrStderr(), before)
	if f.dryRun {
		plan.print(w, camp)
		return nil
	}
	q, err := f.queryLedger(ctx, f.retryFor)
	if err != nil {
		return err
	}
	defer q.close()
	store, err := ledger.Open(q.redis, camp, f.patiently(f.retryFor))
	if err != nil {
		return err
	}
	subject := archive.NewSubject(store)
	if err := f.begin(ctx, q, subject, plan, o); err != nil {
		return err
	}
	f.why = "" // run's own flags need none
	if err := f.execute(cmd); err != nil {
		return err
	}
	end, err := archive.Digest(ctx, subject)
	if err == nil {
		err = q.coordination.EndRebuild(ctx)
	}
	if err != nil || f.json {
		return err
	}
	fmt.Fprintf(w, "\nrebuilt: %s users are granted; what the run granted has its times, not those of before\n",
		text.Number(end.Granted))
	fmt.Fprintln(w, "digest of the granted users:", end.Users)
	same(w, before, &end)
	return nil
}

// begin imports, if there is an export, and notes what is about to be done: in the audit trail, and then in the ledger, by which
// a rebuild that was cut off is known.
func (f *rebuildFlags) begin(ctx context.Context, q *query, s archive.Subject, p *rebuildPlan, o grant.Order) error {
	if p.begun {
		return nil
	}
	if f.from != "" {
		if _, err := archive.Import(ctx, s, f.from, ledger.Import{At: time.Now().UTC(), Who: o.Who}); err != nil {
			return err
		}
	}
	if _, err := q.coordination.Order(ctx, o); err != nil {
		return err
	}
	return q.coordination.BeginRebuild(ctx, grant.Rebuilt{Who: o.Who, Export: p.export})
}

// rebuildPlan is what a rebuild would do.
type rebuildPlan struct {
	begun   bool // it was begun before, and cut off
	header  *archive.Header
	export  *grant.Export // nil: of the topic alone
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
	led, err := openWith(client, camp, f.patiently(f.timeout))
	if err != nil {
		return nil, err
	}
	p := &rebuildPlan{}
	checkpoint := grant.Checkpoint{Next: grant.Offsets{}}
	if f.from != "" {
		if checkpoint, err = p.read(f.from, f.spec, camp); err != nil {
			return nil, err
		}
	}
	if err := p.look(ctx, led); err != nil {
		return nil, err
	}
	return p, f.measure(ctx, camp, checkpoint, p)
}

// read reads the export, and returns the checkpoint that it has of the campaign.
func (p *rebuildPlan) read(from, spec string, camp *grant.Campaign) (grant.Checkpoint, error) {
	checkpoint := grant.Checkpoint{Next: grant.Offsets{}}
	header, end, err := archive.ReadFile(from, archive.Visit{Checkpoint: func(c archive.Checkpoint) error {
		if c.Pass == "" && strings.HasPrefix(camp.Hash, c.Version) {
			checkpoint = grant.Checkpoint{Topic: c.Topic, Next: c.Next, Epochs: c.Epochs}
		}
		return nil
	}})
	switch {
	case err != nil:
		return checkpoint, err
	case header.Campaign != camp.Name || header.Spec != camp.Hash:
		return checkpoint, usageError(fmt.Errorf("%s is an export of %s, spec %.12s, and %s has %s, spec %.12s: "+
			"use the spec that it was granted by", from, header.Campaign, header.Spec, spec, camp.Name, camp.Hash))
	}
	p.header, p.granted, p.export = &header, end.Granted, &grant.Export{At: header.At, SHA256: end.SHA256}
	return checkpoint, nil
}

// look refuses a ledger that is not empty, but for a rebuild of the same parts that was begun.
func (p *rebuildPlan) look(ctx context.Context, led opened) error {
	_, _, err := led.coordination.Spec(ctx)
	if importing := new(ledger.ImportingError); p.export != nil && errors.As(err, &importing) {
		return nil // import says whether it is of the same file
	}
	if err != nil {
		return err
	}
	all, err := led.coordination.Rebuilds(ctx)
	if err != nil {
		return err
	}
	occupied, err := occupied(ctx, led)
	if err != nil {
		return err
	}
	same, open := false, false
	if n := len(all); n > 0 {
		same, open = all[n-1].Of(p.export), all[n-1].Done == nil
	}
	p.begun = same && open
	switch {
	case p.begun, p.export != nil && !same: // the import judges what is there
		return nil
	case open:
		return usageError(fmt.Errorf("the ledger is being made again %s: go on with that, by --from", all[len(all)-1].Parts()))
	case occupied:
		return usageError(errors.New("the ledger is not empty: granter run goes on with what it has. " +
			"To make it again of the topic, remove it first (docs/ledger.md, clean-up)"))
	}
	return nil
}

// occupied reports whether somebody was granted, or a run was there. Users who are excluded already may be: whoever knows whom
// people had excluded does that before a rebuild of the topic alone.
func occupied(ctx context.Context, led opened) (bool, error) {
	totals, err := led.reader.Totals(ctx)
	if err != nil {
		return false, err
	}
	runs, err := led.coordination.Runs(ctx)
	return totals.Granted > 0 || totals.Missing > 0 || len(runs) > 0, err
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
