package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
)

// runFlags are the settings of granter run.
type runFlags struct {
	connection
	now, follow, force bool
	allowVolatile      bool
	listen             string
	shards             int
	fetchMemory        int
	session, stall     time.Duration
	checkpointEvery    time.Duration
	gaps               []string
	logFormat          string
	maxRejected        string
}

func newRun() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run -f SPEC",
		Short: "Grant the campaign to every user of its topic",
		Long: `Run checks everything as "granter check" does, waits for the campaign's starts_at, and then grants every user that is
in the topic when it starts. It can be stopped and started again at any time, also by kill -9, and several may run
at once, on one or many machines: they share the partitions.

SIGTERM or SIGINT stops it soon: what is in hand is granted and checkpointed. A second signal stops it at once; nothing
is lost then either.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&flags.now, "now", false, "start before starts_at")
	f.BoolVar(&flags.follow, "follow", false, "keep going when everything that was there at the start is granted")
	f.BoolVar(&flags.force, "force", false, "run although preflight found a failure")
	f.BoolVar(&flags.allowVolatile, "allow-volatile", false, "accept a Redis that persists nothing: a restart loses every grant")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9464", `address of /metrics, /healthz and /readyz, or "off"`)
	f.IntVar(&flags.shards, "shards", 0, "number of shards, rounded up to a power of two (default: eight for each processor, at most 64)")
	f.IntVar(&flags.fetchMemory, "fetch-memory", 32<<20, "bytes that all fetches may take together")
	f.DurationVar(&flags.session, "session-timeout", 10*time.Second, "how long the others wait for a granter that does not answer before they take over")
	f.DurationVar(&flags.stall, "stall-after", time.Minute, "report a partition that makes no progress for so long")
	f.DurationVar(&flags.checkpointEvery, "checkpoint-every", 500*time.Millisecond, "time between checkpoints")
	f.StringArrayVar(&flags.gaps, "accept-gap", nil, "PARTITION:FROM-TO, offsets to leave out because they are gone from the topic (repeatable)")
	f.StringVar(&flags.maxRejected, "max-rejected", "", "share of records without a valid ID at which to stop, such as 5% (default: the spec's)")
	f.StringVar(&flags.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

// Summary is what a run did.
type Summary struct {
	Campaign string         `json:"campaign"`
	Run      grant.RunID    `json:"run"`
	State    grant.RunState `json:"state"`
	Error    string         `json:"error,omitempty"`
	grant.Tally
	Seconds        float64             `json:"seconds"`
	UsersPerSecond float64             `json:"users_per_second"`
	Partitions     map[int]grant.Tally `json:"partitions"`
}

func (flags *runFlags) execute(cmd *cobra.Command) error {
	camp, err := flags.campaign()
	if err != nil {
		return err
	}
	k, err := flags.kafka()
	if err != nil {
		return err
	}
	gaps, err := parseGaps(flags.gaps)
	if err != nil {
		return err
	}
	if flags.maxRejected != "" {
		if camp.Source.MaxRejected, err = population.ParseShare(flags.maxRejected); err != nil {
			return usageError(fmt.Errorf("--max-rejected: %w", err))
		}
	}
	client, err := flags.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()

	screen := newScreen(cmd.ErrOrStderr())
	log, err := newLogger(screen, flags.logFormat)
	if err != nil {
		return err
	}
	job := job{
		campaign: camp, kafka: k, redis: client, flags: flags, gaps: gaps, log: log, screen: screen,
		run: grant.NewRunID(time.Now()), registry: newRegistry(),
	}
	summary, err := job.execute(cmd.Context())
	if summary != nil {
		printSummary(cmd.OutOrStdout(), flags.json, summary)
	}
	return explain(err, k.Brokers)
}

// explain adds to an error what its reader needs: the diff to a refusal to change a campaign, where Kafka is looked for.
func explain(err error, brokers []string) error {
	var conflict *ledger.SpecConflictError
	var refused *ledger.UnavailableError
	switch kind, _ := source.Classify(err); {
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

// job is one run with everything that it needs.
type job struct {
	campaign *grant.Campaign
	kafka    source.Kafka
	redis    redis.UniversalClient
	flags    *runFlags
	gaps     []source.GapError
	log      *slog.Logger
	screen   *screen
	run      grant.RunID
	registry *prometheus.Registry

	embedded   bool                 // the servers are in this process: nothing to check beforehand
	serveUsers func(*http.ServeMux) // adds to what the run serves; may be nil
	afterRun   func(*Summary) error // called after a successful run while it still serves; may be nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func (j *job) execute(ctx context.Context) (*Summary, error) {
	monitor, led, src, err := j.assemble()
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // the run is over
	log := j.log.With("campaign", j.campaign.Name, "run", j.run)

	r := grant.NewRun()
	r.Campaign, r.Source, r.Ledger, r.Monitor, r.Log = j.campaign, src, led, monitor, log
	r.Now, r.Follow = j.flags.now, j.flags.follow
	if j.flags.checkpointEvery > 0 {
		r.CheckpointEvery = j.flags.checkpointEvery
	}
	r.Sharding = sharding.Config{Shards: j.flags.shards, Observer: monitor}
	host, _ := os.Hostname()
	r.Record = grant.RunRecord{Run: j.run, Host: host, PID: os.Getpid(), Version: version, StartedAt: time.Now()}

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // most of the heap is bitmaps that stay; half as much again is enough to collect the rest
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopSignals := onSignals(log, r.Drain, stop)
	defer stopSignals()
	server, err := serve(j.flags.listen, j.registry, monitor, log)
	if err != nil {
		return nil, err
	}
	defer server.close()
	if j.serveUsers != nil {
		j.serveUsers(server.mux)
	}
	if !j.embedded {
		if err := j.preflight(ctx); err != nil {
			return nil, err
		}
	}
	progress := j.screen.follow(monitor, j.campaign)
	began := time.Now()
	err = r.Do(ctx)
	took := time.Since(began)
	progress.stop()
	s := monitor.Snapshot()
	summary := &Summary{
		Campaign: j.campaign.Name, Run: j.run, State: s.State, Tally: s.Tally, Partitions: s.Partitions,
		Seconds: took.Seconds(), UsersPerSecond: float64(s.Tally.Consumed) / took.Seconds(),
	}
	if err != nil {
		summary.Error = err.Error()
	}
	log.Info("run ended", "state", s.State, "consumed", s.Tally.Consumed, "granted", s.Tally.Granted, "duplicate", s.Tally.Duplicate,
		"rejected", s.Tally.Rejected, "withheld", s.Tally.Withheld, "seconds", took.Seconds())
	if err == nil {
		err = j.judgeRejects(log, s.Tally)
	}
	if err == nil && j.afterRun != nil {
		stopSignals()
		err = j.afterRun(summary)
	}
	return summary, err
}

// judgeRejects looks at the rejected records of a run that is over. The breaker lets the first thousand pass, so a small
// topic, or a wrong format, would otherwise end as a success.
func (j *job) judgeRejects(log *slog.Logger, t grant.Tally) error {
	switch {
	case t.Rejected > 0 && t.Granted+t.Duplicate == 0:
		return fmt.Errorf("none of %d records of %s holds a valid user ID, and nobody is granted: correct source.format or source.topic in the spec and run again; %s has samples",
			t.Consumed, j.campaign.Source.Topic, source.DeadLetterTopic(j.campaign.Source.Topic))
	case float64(t.Rejected) > j.campaign.Source.MaxRejected*float64(t.Consumed):
		log.Warn("more records than max_rejected hold no valid user ID; look at the dead letters", "rejected", t.Rejected,
			"consumed", t.Consumed, "topic", source.DeadLetterTopic(j.campaign.Source.Topic))
	}
	return nil
}

// assemble makes the parts of a run, wired to one monitor.
func (j *job) assemble() (*grant.Monitor, *ledger.Ledger, *source.Source, error) {
	m := metrics.New(j.registry, metrics.Labels{
		Campaign: j.campaign.Name, Version: version, Reasons: texts(source.Reasons()), KafkaKinds: texts(source.ErrorKinds()),
		RedisKinds: ledger.Kinds, Spec: j.campaign.Hash[:min(12, len(j.campaign.Hash))], Causes: texts(grant.Causes()),
		States:     texts([]grant.RunState{grant.RunWaiting, grant.RunRunning, grant.RunFinished, grant.RunStopped, grant.RunFailed}),
	})
	m.StartsAt.Set(float64(j.campaign.StartsAt.Unix()))
	m.Expected.Set(float64(j.campaign.Population))
	monitor := grant.NewMonitor(m, j.log, j.flags.stall, func() metrics.Pool {
		s := j.redis.PoolStats()
		return metrics.Pool{Hits: s.Hits, Misses: s.Misses, Timeouts: s.Timeouts, Stale: s.StaleConns, Total: s.TotalConns, Idle: s.IdleConns}
	})
	metrics.Register(j.registry, j.campaign.Name, monitor)
	led, err := ledger.New(j.redis, j.campaign, j.run, ledger.Config{RetryFor: j.flags.retryFor, Observer: monitor})
	if err != nil {
		return nil, nil, nil, err
	}
	src, err := source.New(source.Config{
		Kafka: j.kafka, Topic: j.campaign.Source, Campaign: j.campaign.Name, Run: j.run, Group: j.flags.group,
		SessionTimeout: j.flags.session, RetryFor: j.flags.retryFor, FetchMemory: j.flags.fetchMemory, AcceptGaps: j.gaps,
		Observer: monitor, Log: j.log,
	})
	return monitor, led, src, err
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// stopGrace is how long a run that is to stop at once may take to say so. A server that does not answer, or a group that
// waits for a dead member, would keep it for longer, and is not worth waiting for: nothing is lost by a kill.
const stopGrace = time.Second

// onSignals drains at the first SIGTERM or SIGINT and stops at the second.
func onSignals(log *slog.Logger, drain, stop func()) (done func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case s := <-signals:
				if n == 0 {
					log.Warn("stopping soon: granting what is in hand; a second signal stops at once", "signal", s.String())
					drain()
				} else {
					log.Warn("stopping at once; nothing is lost", "signal", s.String())
					stop()
					time.AfterFunc(stopGrace, func() { os.Exit(exitStopped) })
				}
			case <-quit:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		// Signals stay caught: one that comes now must not take the exit code from a run that has ended.
		close(quit)
		wg.Wait()
	})
}

func parseGaps(list []string) ([]source.GapError, error) {
	var out []source.GapError
	for _, text := range list {
		var g source.GapError
		n, err := fmt.Sscanf(text, "%d:%d-%d", &g.Partition, &g.From, &g.To)
		if err != nil || n != 3 || fmt.Sprintf("%d:%d-%d", g.Partition, g.From, g.To) != strings.TrimSpace(text) || g.From >= g.To {
			return nil, usageError(fmt.Errorf("--accept-gap %q: want PARTITION:FROM-TO as the error message gave it", text))
		}
		out = append(out, g)
	}
	return out, nil
}

func newLogger(w *screen, format string) (*slog.Logger, error) {
	if format == "" {
		format = "json"
		if w.terminal {
			format = "text"
		}
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, usageError(fmt.Errorf("--log-format %q: want text or json", format))
}
