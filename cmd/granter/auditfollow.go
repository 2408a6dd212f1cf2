package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
)

// auditor audits as a service does: after the rollout, again and again, or both, until a signal, and serves what came of it.
type auditor struct {
	*auditFlags
	cmd     *cobra.Command
	query   *query
	log     *slog.Logger
	metrics *metrics.Audit
	waits   atomic.Pointer[string] // for what; nil: for nothing
}

// serve waits for the end of the rollout with --wait, and audits once, or with --follow until a signal. The error is what the
// last audit came to.
func (f *auditFlags) serve(cmd *cobra.Command, q *query) error {
	log, err := newLogger(newScreen(cmd.ErrOrStderr()), f.logFormat)
	if err != nil {
		return err
	}
	f.patientlyLogging(log)
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	registry := newRegistry()
	a := &auditor{auditFlags: f, cmd: cmd, query: q, log: log.With("campaign", q.campaign.Name)}
	a.metrics = metrics.NewAudit(registry, q.campaign.Name, version, []string{string(audit.Refuted), string(audit.NotProven)})
	if f.wait {
		a.waits.Store(new("what there is to wait for is being asked"))
	}
	server, err := serve(f.listen, registry, a.notReady, log)
	if err != nil {
		return err
	}
	defer server.close()
	if f.wait {
		if err := a.await(ctx); err != nil {
			return err
		}
	}
	if f.follow {
		return a.again(ctx)
	}
	r, err := f.once(ctx, cmd, q)
	if ctx.Err() != nil {
		return engine.ErrDrained
	}
	a.seen(r, err)
	if f.linger > 0 {
		log.Info("serving the final metrics", "for", f.linger)
		pause(ctx, f.linger)
	}
	return err
}

func (a *auditor) notReady() string {
	if what := a.waits.Load(); what != nil {
		return "waiting: " + *what
	}
	return ""
}

// rolloutAsked is how often it is asked whether the rollout is over.
const rolloutAsked = time.Second

// await waits until the rollout is over, whatever fails meanwhile.
func (a *auditor) await(ctx context.Context) error {
	var rollout status.Rollout
	phase := status.Phase("")
	for {
		s, err := a.query.status(ctx)
		if ctx.Err() != nil {
			return engine.ErrDrained
		}
		what := rollout.Waits(s)
		if what == "" {
			a.log.Info("the rollout is over", "phase", s.Phase, "granted", s.Granted)
			a.waits.Store(nil)
			return nil
		}
		a.waits.Store(&what)
		if s.Phase != phase {
			phase = s.Phase
			a.log.Info("waiting for the rollout to end", "phase", phase, "waits", what, "error", err)
		}
		pause(ctx, rolloutAsked)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// again audits again and again, until a signal.
func (a *auditor) again(ctx context.Context) error {
	a.metrics.Every.Set(a.every.Seconds())
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for {
		r, err := a.once(ctx, a.cmd, a.query)
		if ctx.Err() != nil {
			return nil
		}
		a.seen(r, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// seen shows what an audit came to.
func (a *auditor) seen(r *audit.Report, err error) {
	m := a.metrics
	if _, judged := errors.AsType[*exitError](err); err != nil && !judged {
		m.Failures.Inc()
		a.log.Error("this audit failed", "error", err)
	}
	if r == nil {
		return
	}
	now, found := float64(time.Now().Unix()), map[audit.Verdict]float64{}
	for i := range r.Findings {
		if r.Findings[i].Contradicts() {
			found[audit.Refuted]++
		} else {
			found[audit.NotProven]++
		}
	}
	for _, v := range []audit.Verdict{audit.Refuted, audit.NotProven} {
		m.Findings.WithLabelValues(string(v)).Set(found[v])
	}
	m.Ended.Set(now)
	m.Seconds.Set(r.Seconds)
	if r.Verdict == audit.Proven {
		m.Proven.Set(now)
	}
	a.log.Info("audited", "verdict", r.Verdict, "findings", len(r.Findings), "seconds", r.Seconds, "passes", r.Passes)
}
