package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/dryrun"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/grant/exclusion"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/preflight"
	"github.com/granter/granter/grant/text"
)

// Rehearsal is what a run would do.
type Rehearsal struct {
	Campaign  string           `json:"campaign"`
	DryRun    bool             `json:"dry_run"` // always true
	Pass      string           `json:"pass,omitempty"`
	Records   int64            `json:"records"`
	Valid     int64            `json:"valid"`     // records that hold a user ID
	Duplicate int64            `json:"duplicate"` // of them, those of a user who was in the topic before
	Withheld  int64            `json:"withheld"`  // of them, those of users who are not in this pass
	Rejected  int64            `json:"rejected"`
	Rejects   map[string]int64 `json:"rejects"` // by reason
	Samples   []grant.Reject   `json:"samples"`
	dryrun.Outcome
	Seconds float64 `json:"seconds"`
	// How long a run takes at full speed: reading takes as long as it just did; docs/performance.md has how much more the
	// rest took at most.
	ProjectedSeconds [2]float64 `json:"projected_seconds"`
	ThrottledSeconds float64    `json:"throttled_seconds,omitempty"` // under the limit that operators have set
	WouldFail        []string   `json:"would_fail"`                  // why a run would not come to its end; empty: it would
}

// fullSpeedFactor is the time of a run against merely reading the topic by the same client (2.9 in docs/performance.md).
const fullSpeedFactor = 3

// rehearse is run --dry-run.
func (j *job) rehearse(ctx context.Context, out io.Writer) error {
	_, failed := j.check(ctx, true)
	if err := ctx.Err(); err != nil {
		return err
	}
	j.pass = dryrun.Pass(j.pass) // what is checked is the pass that would be run
	p, err := j.assemble()
	if err != nil {
		return err
	}
	defer p.source.Close() //nolint:errcheck // nothing was written
	bounds, err := p.source.Bounds(ctx)
	if err != nil {
		return err
	}
	listed, err := j.listed(ctx)
	if err != nil {
		return err
	}
	dry := dryrun.NewLedger(p.reader, bounds.Firsts, listed.Chunks())
	r := j.newRun(p, j.log)
	r.Source, r.Ledger, r.Orders, r.Count, r.Recheck, r.NewTopic = dryrun.Source{Source: p.source}, dry, nil, nil, nil, nil
	r.Settle = nil
	outcome := func() dryrun.Outcome { return dry.Outcome(preflight.MemoryOf) }
	if r.Members != nil {
		members := dryrun.NewMembers(p.reader, r.Members.Layout, listed.Buckets())
		r.Members.Sink = members
		outcome = func() dryrun.Outcome {
			return members.Outcome(func(users, _ float64) float64 { return preflight.MembersMemory(j.campaign, users) })
		}
	}
	r.Now, r.Early = true, nil // the date is not waited for, and there is nothing to record
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer onSignals(j.log, r.Drain, stop)()

	progress := j.screen.follow(p.monitor, j.campaign)
	began := time.Now()
	err = r.Do(ctx)
	progress.stop()
	if err != nil {
		return err
	}
	s := j.tell(p.monitor, outcome(), time.Since(began), failed)
	err = p.source.WouldStop()
	if err == nil {
		err = j.judgeRejects(j.log, p.source, p.monitor.Snapshot().Tally)
	}
	if err != nil {
		s.WouldFail = append(s.WouldFail, err.Error())
	}
	j.projectTime(ctx, p.coordination, s)
	err = nil
	if j.flags.json {
		err = printJSON(out, s)
	} else {
		printRehearsal(out, s)
	}
	if err == nil && len(s.WouldFail) > 0 {
		return &exitError{code: exitPreflight}
	}
	return err
}

// listed reads whom a run would exclude first. Lists that cannot be used are no reason not to say the rest; the run would fail,
// and preflight has said so.
func (j *job) listed(ctx context.Context) (*exclusion.List, error) {
	if len(j.campaign.Exclude) == 0 {
		return nil, nil // a list of nobody
	}
	list, err := j.flags.lists(j.campaign, j.kafka, j.flags.retryFor).Read(ctx)
	if exclusion.Unreadable(err) {
		return nil, nil // a list of nobody
	}
	return list, err
}

func (j *job) tell(m *engine.Monitor, o dryrun.Outcome, took time.Duration, failed []string) *Rehearsal {
	t := m.Snapshot().Tally
	s := &Rehearsal{
		Campaign: j.campaign.Name, DryRun: true, Pass: j.pass.Name, Records: t.Consumed, Valid: t.Consumed - t.Rejected,
		Duplicate: t.Duplicate - o.AlreadyGranted, Withheld: t.Withheld, Rejected: t.Rejected, Outcome: o, Seconds: took.Seconds(),
		WouldFail: []string{},
	}
	s.Rejects, s.Samples = m.Rejects()
	for _, name := range failed {
		s.WouldFail = append(s.WouldFail, "preflight: "+name)
	}
	return s
}

func (j *job) projectTime(ctx context.Context, c *ledger.Coordination, s *Rehearsal) {
	s.ProjectedSeconds = [2]float64{s.Seconds, fullSpeedFactor * s.Seconds}
	control, _, err := c.Control(ctx)
	if err != nil {
		j.log.Warn("the operators' orders cannot be read", "error", err)
		return
	}
	if control.Throttle > 0 {
		s.ThrottledSeconds = math.Max(s.ProjectedSeconds[0], float64(s.WouldGrant)/float64(control.Throttle))
	}
}

func printRehearsal(w io.Writer, s *Rehearsal) {
	fmt.Fprintf(w, "%s: DRY RUN, nothing was written\n\n", s.Campaign)
	rows := []string{
		"records\t" + text.Number(s.Records),
		"would be granted\t" + text.Number(s.WouldGrant) + " users",
		"granted already\t" + text.Number(s.AlreadyGranted) + " users",
		"duplicates\t" + text.Number(s.Duplicate),
		"rejected\t" + text.Number(s.Rejected),
	}
	if s.Excluded > 0 {
		rows = append(rows, "excluded\t"+text.Number(s.Excluded)+" users of the topic: a run withholds them")
	}
	if s.Pass != "" {
		rows = append(rows, "withheld\t"+text.Number(s.Withheld)+" ("+s.Pass+")")
	}
	rows = append(rows,
		fmt.Sprintf("ledger memory\t%.1f MiB more (projected)", float64(s.LedgerBytes)/(1<<20)),
		fmt.Sprintf("time\t%.1f to %.1f s at full speed (reading alone took %.1f s)", s.ProjectedSeconds[0], s.ProjectedSeconds[1], s.Seconds))
	if s.ThrottledSeconds > 0 {
		rows = append(rows, "under the throttle\t"+time.Duration(s.ThrottledSeconds*float64(time.Second)).Round(time.Second).String())
	}
	table(w, rows...)
	if len(s.Samples) > 0 {
		rows = []string{"\nrejected because\trecords\tpartition/offset\tvalue"}
		for _, r := range s.Samples {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%d/%d\t%s", r.Reason, text.Number(s.Rejects[r.Reason]), r.Partition, r.Offset, r.Value))
		}
		table(w, rows...)
	}
	fmt.Fprintln(w)
	if len(s.WouldFail) == 0 {
		fmt.Fprintln(w, "A run would come to its end.")
		return
	}
	fmt.Fprintln(w, "A RUN WOULD NOT COME TO ITS END:")
	for _, why := range s.WouldFail {
		fmt.Fprintln(w, "  "+why)
	}
	fmt.Fprintln(w, "granter check says what to do.")
}
