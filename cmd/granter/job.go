package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/canary"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/grant/feedback"
	"github.com/granter/granter/grant/hooks"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// job is one run with everything that it needs.
type job struct {
	campaign *grant.Campaign
	kafka    source.Kafka
	redis    redis.UniversalClient
	flags    *runFlags
	pass     grant.Pass
	list     *canary.List // of the pass; nil: none
	limits   [2]feedback.Limits
	query    *feedback.Query // may be nil
	log      *slog.Logger
	screen   *screen
	run      grant.RunID
	memory   int // bytes that shards may hold; 0: their default
	registry *prometheus.Registry

	hooks      []hooks.Hook
	forced     bool                        // preflight failed, and the run goes on as told
	embedded   bool                        // the servers are in this process, whose command minds the signals: nothing to check beforehand
	serveUsers func(*http.ServeMux)        // adds to what the run serves; may be nil
	afterRun   func(*Summary, error) error // called after the run, with its error, while it still serves; may be nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// parts are the parts of a run, wired to one monitor.
type parts struct {
	metrics *metrics.Metrics
	monitor *engine.Monitor
	store   *ledger.Store
	grants  *ledger.Grants
	opened
	source *source.Source
}

func (j *job) execute(ctx context.Context) (*Summary, error) {
	p, err := j.assemble()
	if err != nil {
		return nil, err
	}
	defer p.source.Close() //nolint:errcheck // the run is over
	log := j.log.With("campaign", j.campaign.Name, "run", j.run)
	if j.pass.Name != "" {
		log = log.With("pass", j.pass.Name)
	}
	r := j.newRun(p, log)

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // most of the heap is bitmaps that stay; half as much again is enough to collect the rest
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	asked, ask := context.WithCancel(ctx) // ends when the operator asks the process to stop, whatever the run does
	defer ask()
	stopSignals := func() {}
	if !j.embedded {
		stopSignals = onSignals(log, func() { ask(); r.Drain() }, stop)
	}
	defer stopSignals()
	server, err := serve(j.flags.listen, j.registry, p.monitor.Ready, log)
	if err != nil {
		return nil, err
	}
	defer server.close()
	if j.serveUsers != nil {
		j.serveUsers(server.mux)
	}
	desk, err := j.openDesk(log)
	if err != nil {
		return nil, err
	}
	defer desk()
	if err := j.obeyAbort(ctx, p.coordination); err != nil {
		return nil, err
	}
	if !j.embedded {
		projected, err := j.preflight(ctx)
		if err != nil {
			return nil, err
		}
		p.metrics.RedisProjected.Set(float64(projected))
	}
	if err := j.recordLaunch(ctx, p.coordination); err != nil {
		return nil, err
	}
	closeHooks, err := j.openHooks(log)
	if err != nil {
		return nil, err
	}
	defer closeHooks()
	progress := j.screen.follow(p.monitor, j.campaign)
	began := time.Now()
	err = r.Do(ctx)
	took := time.Since(began)
	progress.stop()
	summary := j.summarize(p.monitor.Snapshot(), took, err)
	s := &summary.Tally
	log.Info("run ended", "state", summary.State, "consumed", s.Consumed, "granted", s.Granted, "duplicate", s.Duplicate,
		"rejected", s.Rejected, "withheld", s.Withheld, "seconds", took.Seconds())
	if err == nil {
		j.judgeList(ctx, log, p.reader, summary)
		err = j.judgeRejects(log, p.source, *s)
	}
	if j.afterRun != nil {
		err = j.afterRun(summary, err)
	}
	if j.flags.linger > 0 && asked.Err() == nil {
		log.Info("serving the final metrics", "for", j.flags.linger)
		lingering, stop := context.WithTimeout(asked, j.flags.linger)
		lost := r.Linger(lingering, err)
		stop()
		if err == nil && lost != nil {
			log.Error("the ledger lost grants after the end", "error", lost)
			err, summary.State, summary.Error = lost, grant.RunFailed, lost.Error()
		}
	}
	return summary, err
}

func (j *job) summarize(s engine.Snapshot, took time.Duration, err error) *Summary {
	summary := &Summary{
		Campaign: j.campaign.Name, Run: j.run, Pass: j.pass.Name, State: s.State, Tally: s.Tally, Partitions: s.Partitions,
		Seconds: took.Seconds(), UsersPerSecond: float64(s.Tally.Consumed) / took.Seconds(),
	}
	if err != nil {
		summary.Error = err.Error()
	}
	if j.list != nil {
		summary.Listed = &j.list.Listed
	}
	return summary
}

// namedAbsent is how many users of a list a summary names who are not granted.
const namedAbsent = 20

// judgeList says so when a run is over and users of its list are not granted. The log, which may go anywhere, has their
// number, and the summary names some.
func (j *job) judgeList(ctx context.Context, log *slog.Logger, r *ledger.Reader, s *Summary) {
	if j.list == nil {
		return
	}
	missing, first, err := j.list.Missing(ctx, r, namedAbsent)
	if err != nil {
		log.Warn("whether every listed user is granted is not known", "error", err)
		return
	}
	s.Missing, s.Absent = &missing, first
	if missing > 0 {
		log.Warn("not every listed user is in the topic", "listed", j.list.Listed, "missing", missing)
	}
}

// newRun wires a run.
func (j *job) newRun(p *parts, log *slog.Logger) *engine.Run {
	r := engine.NewRun()
	r.Campaign, r.Pass, r.Source, r.Ledger, r.Monitor, r.Log = j.campaign, j.pass, p.source, p.grants, p.monitor, log
	r.Now, r.Follow, r.StandBy = j.flags.now, j.flags.follow, j.flags.standBy
	r.Early = func(ctx context.Context) error {
		return j.order(ctx, p.coordination, grant.Order{Action: grant.ActionStartEarly})
	}
	if j.flags.newTopic {
		r.NewTopic = func(ctx context.Context, why error) error { return j.recordNewTopic(ctx, p.coordination, why) }
	}
	r.Orders, r.RetryFor = p.coordination, j.flags.retryFor
	if j.flags.checkpointEvery > 0 {
		r.CheckpointEvery = j.flags.checkpointEvery
	}
	watch := feedback.Feedback{Redis: p.reader, SlowAt: j.limits[0], PauseAt: j.limits[1], Query: j.query}
	r.Measure = watch.Measure
	r.Count = func(ctx context.Context) (granted, excluded int64, err error) {
		totals, err := p.reader.Totals(ctx)
		return totals.Granted, totals.Excluded, err
	}
	if len(j.campaign.Exclude) > 0 {
		s := newSettler(j.flags.lists(j.campaign, j.kafka, j.flags.retryFor), p.store, j.run, log)
		r.Settle = func(ctx context.Context) error {
			_, err := s.Settle(ctx)
			return err
		}
	}
	r.Peek = p.source.Peek
	r.Lost = func(ctx context.Context) (int, error) { return status.Lost(ctx, p.coordination) }
	if !j.embedded {
		r.Recheck = func(ctx context.Context) error {
			_, err := j.preflight(ctx)
			return err
		}
	}
	r.Sharding = dense.Config{
		Config:   sharding.Config{Shards: j.flags.shards, Memory: j.memory},
		Observer: p.monitor,
	}
	if j.campaign.Input.Opaque() {
		r.Members = &engine.Members{Sink: p.grants, Layout: ledger.LayoutOf(j.campaign)}
	}
	host, _ := os.Hostname()
	r.Record = grant.RunRecord{
		Run: j.run, Host: host, PID: os.Getpid(), Version: version, StartedAt: time.Now(),
	}
	return r
}

// judgeRejects looks at the rejected records of a run, or a dry run, that is over. A limit counts from a thousand rejected
// records on, so a small topic in a wrong format would otherwise end as a success.
func (j *job) judgeRejects(log *slog.Logger, src *source.Source, t grant.Tally) error {
	switch {
	case t.Rejected > 0 && t.Granted+t.Duplicate+t.Withheld == 0:
		return fmt.Errorf("none of %d records of %s holds a valid user ID, and nobody is granted: correct source.format or source.topic in the spec and run again; %s has samples",
			t.Consumed, j.campaign.Input.Topic, src.Samples())
	case float64(t.Rejected) > j.campaign.Input.MaxRejected*float64(t.Consumed):
		log.Warn("more records than max_rejected hold no valid user ID, but too few to stop for: look at them", "rejected", t.Rejected,
			"consumed", t.Consumed, "samples", src.Samples())
	}
	return nil
}

// assemble makes the parts of a run.
func (j *job) assemble() (*parts, error) {
	m := metrics.New(j.registry, metrics.Labels{
		Campaign: j.campaign.Name, Version: version, Pass: j.pass.Kind(), Reasons: texts(source.Reasons()), KafkaKinds: texts(source.ErrorKinds()),
		RedisKinds: ledger.Kinds, Spec: j.campaign.Hash[:min(12, len(j.campaign.Hash))], Causes: texts(grant.Causes()),
		States: texts(grant.RunStates()),
	})
	m.StartsAt.Set(float64(j.campaign.StartsAt.Unix()))
	m.Expected.Set(float64(j.campaign.Population))
	if end := j.flags.plannedEnd(j.campaign); !end.IsZero() {
		m.PlannedEnd.Set(float64(end.Unix()))
	}
	monitor := engine.NewMonitor(m, j.log, j.flags.stall, func() metrics.Pool {
		s := j.redis.PoolStats()
		return metrics.Pool{Hits: s.Hits, Misses: s.Misses, Timeouts: s.Timeouts, Stale: s.StaleConns, Total: s.TotalConns, Idle: s.IdleConns}
	})
	metrics.Register(j.registry, j.campaign.Name, monitor)
	store, err := ledger.Open(j.redis, j.campaign, ledger.Config{RetryFor: j.flags.retryFor, Observer: monitor, Pass: j.pass})
	if err != nil {
		return nil, err
	}
	src, err := source.New(j.sourceConfig(monitor))
	return &parts{
		metrics: m, monitor: monitor, source: src, store: store, grants: ledger.NewGrants(store, j.run),
		opened: opened{ledger.NewCoordination(store), ledger.NewReader(store), nil},
	}, err
}

func (j *job) sourceConfig(monitor *engine.Monitor) source.Config {
	return source.Config{
		Kafka: j.kafka, Topic: j.campaign.Input, Campaign: j.campaign.Name, Run: j.run, Pass: j.pass,
		SessionTimeout: j.flags.session, RetryFor: j.flags.retryFor, FetchMemory: j.flags.fetchMemory, IgnoreLimit: j.flags.dryRun,
		Observer: monitor, Log: j.log,
	}
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
