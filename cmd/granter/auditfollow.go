package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/metrics"
)

// followAudits audits again and again, until a signal, and serves what came of it. The error is what the last audit came to.
func (f *auditFlags) followAudits(cmd *cobra.Command, q *query) error {
	log, err := newLogger(newScreen(cmd.ErrOrStderr()), f.logFormat)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	registry := newRegistry()
	m := metrics.NewAudit(registry, q.campaign.Name, version, []string{string(audit.Refuted), string(audit.NotProven)})
	m.Every.Set(f.every.Seconds())
	server, err := serve(f.listen, registry, func() string { return "" }, log)
	if err != nil {
		return err
	}
	defer server.close()
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		r, err := f.once(ctx, cmd, q)
		if ctx.Err() != nil {
			return nil
		}
		seen(m, log, r, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// seen shows what an audit came to.
func seen(m *metrics.Audit, log *slog.Logger, r *audit.Report, err error) {
	if _, judged := errors.AsType[*exitError](err); err != nil && !judged {
		m.Failures.Inc()
		log.Error("this audit failed; the next one is made at its time", "error", err)
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
	log.Info("audited", "verdict", r.Verdict, "findings", len(r.Findings), "seconds", r.Seconds, "passes", r.Passes)
}
