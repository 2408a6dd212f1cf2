package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/canary"
	"github.com/granter/granter/grant/feedback"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// runFlags are the settings of granter run.
type runFlags struct {
	connection
	deskFlags
	hooksFlag
	now, follow, force bool
	resume, standBy    bool
	newTopic           bool
	rebuild            bool // of granter rebuild: neither ends_at nor what the run's flags need reasons for
	allowVolatile      bool
	listen             string
	shards             int
	fetchMemory        int
	memory             string
	session, stall     time.Duration
	checkpointEvery    time.Duration
	linger             time.Duration
	gaps               []string
	logFormat, otlp    string
	maxRejected        string

	dryRun          bool
	canary, only    string
	throttle        usersPerSecond
	why, who        string
	slowAt, pauseAt string
	query           string
	prometheus      string
	finishBy        string
	planned         time.Time
}

func newRun() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run -f SPEC",
		Short: "Grant the campaign to every user of its topic",
		Long: `Run checks everything as "granter check" does, waits for the campaign's starts_at, checks again, and then grants every
user that is in the topic when it starts. It can be stopped and started again at any time, also by kill -9, and several
may run at once, on one or many machines: they share the partitions.

--dry-run goes the whole way without a single write, and says what a run would do. --canary and --only grant some users
first; a later run grants the others, and grants nobody twice. All replicas obey "granter pause", "resume", "throttle",
"abort", "finish" and "postpone" within a second.

While a campaign is aborted, a run ends at its start with exit code 6; after "granter finish" it ends with success where
that was ordered. Both hold until somebody orders resume, or a run does by --resume. Under a supervisor that starts again
whatever ends, --stand-by makes a run wait for that instead of ending.

SIGTERM, SIGINT or SIGHUP stops it soon: what is in hand is granted and checkpointed. A second signal stops it at once; nothing
is lost then either.

` + exitHelp,
		Example: `  granter run -f deploy/campaigns/emoticons.yaml --dry-run
  granter run -f deploy/campaigns/emoticons.yaml --canary 1% --now --why "canary, see OPS-123"
  granter run -f deploy/campaigns/emoticons.yaml --throttle 200k --why "the plan" --finish-by 2023-01-05T02:00:00+09:00`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.connection.addFlags(cmd, flags.anyIDs, flags.jsonFlag, flags.kafkaFlags, flags.registryFlags, flags.groupFlag, flags.redisFlags, flags.retryFlag)
	flags.deskFlags.addFlags(cmd.Flags())
	flags.hooksFlag.addFlag(cmd.Flags())
	f := cmd.Flags()
	f.BoolVar(&flags.dryRun, "dry-run", false, "write nothing: say what a run would do")
	f.StringVar(&flags.canary, "canary", "", "grant only this share of the users, such as 1%: always the same ones, and a larger share includes a smaller one")
	f.StringVar(&flags.only, "only", "", "grant only the users of this file, one ID a line")
	f.BoolVar(&flags.now, "now", false, "start before starts_at; it is recorded, so say --why")
	f.BoolVar(&flags.resume, "resume", false, "order resume at launch, after an abort, a pause or a finish; say --why. The same reason lifts no order that comes later, so a replica that is started again undoes nothing")
	f.BoolVar(&flags.standBy, "stand-by", false, "at the start, wait for resume where it would end because of an abort or of an order to finish")
	f.Var(&flags.throttle, "throttle", "order this limit of all replicas together at launch: "+rateHelp+"; say --why. It replaces one of an earlier launch, and none that an operator has ordered")
	f.StringVar(&flags.why, "why", "", "the reason for --now, --resume, --throttle, --force or --new-topic, for the audit trail: they need one")
	f.StringVar(&flags.who, "who", "", whoHelp)
	f.StringVar(&flags.slowAt, "slow-at", "latency=500ms,memory=85%", "go slower above these: latency of Redis, its memory in use, lag=BYTES of its replicas")
	f.StringVar(&flags.pauseAt, "pause-at", "memory=95%", "pause above these, until it is below them again")
	f.StringVar(&flags.query, "throttle-query", "", "PromQL: go slower while it returns anything, such as a latency > 0.5")
	f.StringVar(&flags.prometheus, "prometheus", "", "URL of the Prometheus for --throttle-query; a token comes from GRANTER_PROMETHEUS_TOKEN or the file GRANTER_PROMETHEUS_TOKEN_FILE")
	f.StringVar(&flags.finishBy, "finish-by", "", "when everything is to be granted, RFC 3339: an alert says if it will be later (default: the spec's ends_at)")
	f.BoolVar(&flags.follow, "follow", false, "keep going when everything that was there at the start is granted")
	f.BoolVar(&flags.force, "force", false, "run although preflight found a failure; it is recorded, so say --why")
	f.BoolVar(&flags.newTopic, "new-topic", false, "the topic was made again, replaced or cut off on purpose: begin anew at its first record; it is recorded, so say --why")
	f.BoolVar(&flags.allowVolatile, "allow-volatile", false, "accept a Redis that persists nothing: a restart loses every grant")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9464", `address of /metrics, /healthz and /readyz, or "off"`)
	f.DurationVar(&flags.linger, "linger", 0, "keep serving metrics for so long after the end, so that the last values are scraped; a loss of grants that is seen meanwhile is exit code 1")
	f.IntVar(&flags.shards, "shards", 0, "number of shards, rounded up to a power of two (default: eight for each processor, at most 64)")
	f.StringVar(&flags.memory, "memory", "", memoryHelp)
	f.IntVar(&flags.fetchMemory, "fetch-memory", 32<<20, "bytes that all fetches may take together")
	f.DurationVar(&flags.session, "session-timeout", 10*time.Second, "how long the others wait for a granter that does not answer before they take over")
	f.DurationVar(&flags.stall, "stall-after", time.Minute, "report a partition that makes no progress for so long")
	f.DurationVar(&flags.checkpointEvery, "checkpoint-every", 500*time.Millisecond, "time between checkpoints")
	f.StringArrayVar(&flags.gaps, "accept-gap", nil, "PARTITION:FROM-TO, offsets to go without because they are gone from the topic, ungranted; a gap that goes beyond them still fails (repeatable)")
	f.StringVar(&flags.maxRejected, "max-rejected", "", "share of records without a valid ID at which to stop, such as 5% (default: the spec's)")
	f.StringVar(&flags.otlp, "otlp", "", otlpHelp)
	f.StringVar(&flags.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

// Summary is what a run did.
type Summary struct {
	Campaign string         `json:"campaign"`
	Run      grant.RunID    `json:"run"`
	Pass     string         `json:"pass,omitempty"`    // "canary 1%" or "only 20 users"; empty: everybody
	Listed   *int64         `json:"listed,omitempty"`  // users of --only
	Missing  *int64         `json:"missing,omitempty"` // of them, those who are not granted, since no record names them
	Absent   []grant.UserID `json:"absent,omitempty"`  // the first of those
	State    grant.RunState `json:"state"`
	Error    string         `json:"error,omitempty"`
	grant.Tally
	Seconds        float64             `json:"seconds"`
	UsersPerSecond float64             `json:"users_per_second"`
	Partitions     map[int]grant.Tally `json:"partitions"`
}

func (flags *runFlags) execute(cmd *cobra.Command) error {
	j, closeAll, err := flags.job(cmd)
	if err != nil {
		return err
	}
	defer closeAll()
	stopTracing, err := startTracing(cmd.Context(), flags.otlp, j.log)
	if err != nil {
		return err
	}
	defer stopTracing()
	if flags.dryRun {
		return explain(j.rehearse(cmd.Context(), cmd.OutOrStdout()), j.kafka.Brokers)
	}
	summary, err := j.execute(cmd.Context())
	if summary != nil {
		if flags.json {
			err = errors.Join(err, printJSON(cmd.OutOrStdout(), summary))
		} else {
			printSummary(cmd.OutOrStdout(), summary)
		}
	}
	return explain(err, j.kafka.Brokers)
}

// job makes a run of the flags. The function that it returns closes what it opened.
func (flags *runFlags) job(cmd *cobra.Command) (*job, func(), error) {
	fail := func(err error) (*job, func(), error) { return nil, nil, err }
	j := &job{flags: flags, run: grant.NewRunID(time.Now()), registry: newRegistry()}
	var err error
	if j.campaign, err = flags.campaign(); err != nil {
		return fail(err)
	}
	if flags.rebuild {
		j.campaign.EndsAt = time.Time{} // who was granted then is to be known again
	}
	if j.kafka, err = flags.kafka(); err != nil {
		return fail(err)
	}
	if flags.maxRejected != "" {
		if j.campaign.Input.MaxRejected, err = grant.ParseShare(flags.maxRejected); err != nil {
			return fail(usageError(fmt.Errorf("--max-rejected: %w", err)))
		}
	}
	j.screen = newScreen(cmd.ErrOrStderr())
	if j.log, err = newLogger(j.screen, flags.logFormat); err != nil {
		return fail(err)
	}
	if err = flags.operating(cmd.Context(), j); err != nil {
		return fail(usageError(err))
	}
	if j.memory, err = flags.budgetMemory(); err != nil {
		return fail(err)
	}
	if j.redis, err = flags.redisClient(); err != nil {
		return fail(err)
	}
	return j, func() {
		j.redis.Close()
		if j.query != nil {
			j.query.Close()
		}
	}, nil
}

// operating reads the flags that say how the run is operated.
func (flags *runFlags) operating(ctx context.Context, j *job) (err error) {
	switch {
	case flags.canary != "" && flags.only != "":
		return errors.New("--canary and --only exclude each other")
	case (flags.canary != "" || flags.only != "") && flags.follow:
		return errors.New("--follow grants everybody: leave out --canary and --only")
	case flags.dryRun && (flags.follow || flags.throttle.given):
		return errors.New("--dry-run ends with the topic and grants nobody: leave out --follow and --throttle")
	case flags.dryRun && flags.resume:
		return errors.New("--dry-run writes nothing: leave out --resume")
	case (flags.query == "") != (flags.prometheus == ""):
		return errors.New("--throttle-query and --prometheus need each other")
	}
	if err = flags.reasoned(); err != nil {
		return err
	}
	if _, err = whoami(flags.who); err != nil {
		return err
	}
	if j.hooks, err = flags.hooksFlag.load(); err != nil {
		return err
	}
	if j.limits[0], err = feedback.ParseLimits(flags.slowAt); err != nil {
		return fmt.Errorf("--slow-at: %w", err)
	}
	if j.limits[1], err = feedback.ParseLimits(flags.pauseAt); err != nil {
		return fmt.Errorf("--pause-at: %w", err)
	}
	if flags.finishBy != "" {
		if flags.planned, err = parseTime("--finish-by", flags.finishBy); err != nil {
			return err
		}
	}
	if flags.query != "" {
		token, err := password("GRANTER_PROMETHEUS_TOKEN")
		if err != nil {
			return err
		}
		if j.query, err = feedback.NewQuery(flags.prometheus, flags.query, token, j.log); err != nil {
			return fmt.Errorf("--prometheus: %w", err)
		}
	}
	j.pass, j.list, err = flags.pass(ctx, j.campaign)
	return err
}

// pass is the pass over the topic that the flags ask for, and the list of its users, if it has one.
func (flags *runFlags) pass(ctx context.Context, c *grant.Campaign) (grant.Pass, *canary.List, error) {
	all, err := flags.everybody(flags.gaps)
	if err != nil {
		return all, nil, err
	}
	switch {
	case flags.canary != "":
		share, err := grant.ParseShare(flags.canary)
		if err != nil {
			return all, nil, fmt.Errorf("--canary: %w", err)
		}
		pass, err := canary.Share(all, c.Name, share)
		return pass, nil, err
	case flags.only != "":
		file, err := os.Open(flags.only)
		if err != nil {
			return all, nil, fmt.Errorf("--only: %w", err)
		}
		defer file.Close()
		list, err := canary.Only(ctx, all, file, c.Input)
		if err != nil {
			return all, nil, fmt.Errorf("--only %s: %w", flags.only, err)
		}
		return list.Pass, list, nil
	}
	return all, nil, nil
}

// everybody is the pass that grants everybody. campaign must have been called.
func (c *connection) everybody(gaps []string) (grant.Pass, error) {
	p := grant.Pass{Group: c.group}
	for _, text := range gaps {
		g, err := grant.ParseGap(text)
		if err != nil {
			return p, usageError(fmt.Errorf("--accept-gap %w", err))
		}
		p.AcceptGaps = append(p.AcceptGaps, g)
	}
	return p, nil
}

// plannedEnd returns when everything is to be granted; zero: there is no plan.
func (flags *runFlags) plannedEnd(c *grant.Campaign) time.Time {
	if flags.planned.IsZero() {
		return c.EndsAt
	}
	return flags.planned
}

// explain adds to an error what its reader needs: the diff to a refusal to change a campaign, where Kafka is looked for.
func explain(err error, brokers []string) error {
	var conflict *ledger.SpecConflictError
	var refused *ledger.UnavailableError
	switch kind, _ := source.Classify(err); {
	case errors.As(err, &conflict) && conflict.Stored == nil:
		return usageError(err)
	case errors.As(err, &conflict):
		return usageError(fmt.Errorf("%w\n%s", err, campaign.Diff(conflict.Stored, conflict.Given)))
	case errors.As(err, &refused): // the ledger has said what to do
	case kind == source.KindNetwork:
		return unreachable(err, brokers)
	case kind == source.KindAuthenticate:
		return fmt.Errorf("Kafka at %v: %w (check --kafka-sasl, --kafka-user, the password and the certificates)", brokers, err)
	case kind == source.KindAuthorization:
		return fmt.Errorf("Kafka at %v: %w (granter check says which rights the user lacks)", brokers, err)
	}
	return err
}

func newLogger(w *screen, format string) (*slog.Logger, error) {
	if format == "" {
		format = "json"
		if w.terminal {
			format = "text"
		}
	}
	masked := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(grant.Masked(err))
		}
		return a
	}}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, masked)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, masked)), nil
	}
	return nil, usageError(fmt.Errorf("--log-format %q: want text or json", format))
}
