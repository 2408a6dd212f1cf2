package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/metrics"
)

// What becomes of money, as metrics have it.
const (
	moneyPromised = "promised"
	moneyOwed     = "owed"
	moneyDeclared = "declared"
	moneySent     = "sent"
	moneySettled  = "settled"
	moneyReturned = "returned"
)

// payStates are the states of payments; money has the same, and what is promised and owed.
var payStates = []string{moneyDeclared, moneySent, moneySettled, moneyReturned}

// claimsWatchFlags are the settings of granter claims watch.
type claimsWatchFlags struct {
	programmeFlags
	listen, logFormat        string
	every, promised, answers time.Duration
	once                     bool
}

func newClaimsWatch() *cobra.Command {
	var flags claimsWatchFlags
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Serve the metrics of a programme: queues, decisions, money, notices",
		Long: `Watch looks into the database again and again, changes nothing, and serves on /metrics how the claims of a
programme stand, whichever processes work on them: claims by channel and state, with the age of the oldest and those that are
late; what wait for a service that is away; decisions; money, to the won; payments that the bank does not answer; notices that
wait or failed; documents in quarantine; earlier reports; and whether decisions are frozen. docs/metrics.md lists them,
deploy/prometheus has the alerts, and deploy/grafana a dashboard. One of them is enough.

It takes a tenth of the time at most: after a look that took 3 seconds it waits for 30, whatever --every says. --once prints the
same, and ends.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9470", `address of /metrics, /healthz and /readyz, or "off"; not with --once`)
	f.StringVar(&flags.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	f.DurationVar(&flags.every, "every", 15*time.Second, "how often it looks")
	f.DurationVar(&flags.promised, "decide-within", 0,
		"in which owners are promised a decision: what waits longer counts as late; 0: none is promised")
	f.DurationVar(&flags.answers, "within", 24*time.Hour, "how long the bank may take to answer")
	f.BoolVar(&flags.once, "once", false, "look once, print how everything stands, and end")
	return cmd
}

func (flags *claimsWatchFlags) execute(cmd *cobra.Command) error {
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		watch := &store.Watch{Store: s, Programme: p.Name, Promised: flags.promised, Within: flags.answers}
		if flags.once {
			return flags.lookOnce(ctx, cmd, watch)
		}
		log, err := newLogger(newScreen(cmd.ErrOrStderr()), flags.logFormat)
		if err != nil {
			return err
		}
		registry := newRegistry()
		countErrors(s, registry, p)
		var failing atomic.Pointer[string]
		server, err := serve(flags.listen, registry, func() string {
			if why := failing.Load(); why != nil {
				return *why
			}
			return ""
		}, log)
		if err != nil {
			return err
		}
		defer server.close()
		flags.follow(ctx, watch, newWatchMetrics(registry, p), log, &failing)
		return nil
	})
}

// follow looks until the context ends.
func (flags *claimsWatchFlags) follow(
	ctx context.Context, watch *store.Watch, m *metrics.ClaimsWatch, log *slog.Logger, failing *atomic.Pointer[string],
) {
	const share = 10 // of the time, it may take one part
	for {
		began := time.Now()
		seen, err := watch.Look(ctx)
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.Failures.Inc()
			why := "the database of claims does not answer: " + err.Error()
			failing.Store(&why)
			log.Error("looking into the database of claims failed; it is tried again", "error", err)
		default:
			failing.Store(nil)
			m.Set(measured(seen, took))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(flags.every, share*took)):
		}
	}
}

// toldFlags are the settings of a command that goes on for ever with --every: where it serves its own metrics.
type toldFlags struct{ listen string }

func (t *toldFlags) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.listen, "listen", "off", `with --every: address of /metrics, /healthz and /readyz, such as `+
		`127.0.0.1:9471, or "off"`)
}

// serve serves the metrics of a command that looks again and again; of one that looks once nobody could read them.
func (t *toldFlags) serve(
	ctx context.Context, cmd *cobra.Command, s *store.Store, p *claims.Programme, every time.Duration,
) (registry *prometheus.Registry, done func(), err error) {
	registry = newRegistry()
	countErrors(s, registry, p)
	if every <= 0 || t.listen == "off" {
		return registry, func() {}, nil
	}
	log, err := newLogger(newScreen(cmd.ErrOrStderr()), "")
	if err != nil {
		return nil, nil, err
	}
	server, err := serve(t.listen, registry, func() string { return notReadyClaims(ctx, s) }, log)
	if err != nil {
		return nil, nil, err
	}
	return registry, server.close, nil
}

// countErrors has the errors of a database counted.
func countErrors(s *store.Store, registry prometheus.Registerer, p *claims.Programme) {
	errs := metrics.NewClaimsErrors(registry, p.Name, version, texts(store.ErrorKinds()))
	s.OnError(func(kind store.ErrorKind) { errs.WithLabelValues(string(kind)).Inc() })
}

func newWatchMetrics(registry prometheus.Registerer, p *claims.Programme) *metrics.ClaimsWatch {
	kinds := store.Kinds()
	steps := make([]metrics.ClaimsStep, len(kinds))
	for i, k := range kinds {
		steps[i] = metrics.ClaimsStep{Action: string(k.Action), Duty: string(k.Duty)}
	}
	return metrics.NewClaimsWatch(registry, p.Name, texts(claims.States()),
		append([]string{moneyPromised, moneyOwed}, payStates...), payStates, texts(store.NoticeStates()), steps)
}

// measured is what was seen, as metrics have it. What there is none of any more is 0.
func measured(w *store.Watched, took time.Duration) *metrics.Claims {
	age := func(at time.Time) time.Duration {
		if at.IsZero() {
			return 0
		}
		return max(0, w.At.Sub(at))
	}
	b := w.Books
	m := &metrics.Claims{
		Channels: map[string]int64{}, States: map[string]metrics.ClaimsState{}, Steps: map[metrics.ClaimsStep]int64{},
		Payments: map[string]int64{}, Notices: map[string]int64{},
		Money:  map[string]int64{moneyPromised: int64(b.Promised), moneyOwed: int64(b.Owed)},
		Budget: int64(b.Budget), Delayed: int64(w.Delayed), Unanswered: int64(len(b.Unanswered)), Unsure: int64(w.Unsure),
		Sent: age(w.Sent), Doubts: int64(len(b.Doubts)), Wrong: int64(len(b.Wrong)),
		Retried: int64(w.Retried), Untold: age(w.Untold), Uncollected: w.Uncollected,
		Quarantined: int64(w.Quarantined), Quarantine: age(w.Quarantine), Frozen: w.Frozen != nil,
		Agenda: int64(w.Agenda), Silent: int64(w.Silent), Longest: age(w.Longest), At: w.At, Took: took,
		Filed: int64(w.Reports.Filed), NotFiled: int64(w.Reports.NotFiled),
	}
	if b.Budget > 0 {
		m.Left = int64(b.Budget - b.Reserved - b.Settled)
	}
	for channel, n := range w.Channels {
		m.Channels[channel] = int64(n)
	}
	for _, state := range claims.States() {
		s := w.States[state]
		m.States[string(state)] = metrics.ClaimsState{Claims: int64(s.Claims), Late: int64(s.Late), Oldest: age(s.Oldest)}
	}
	for kind, n := range w.Steps {
		m.Steps[metrics.ClaimsStep{Action: string(kind.Action), Duty: string(kind.Duty)}] = int64(n)
	}
	for _, state := range payStates {
		m.Payments[state] = int64(b.States[state].Payments)
		m.Money[state] = int64(b.States[state].Gross)
	}
	for _, state := range store.NoticeStates() {
		m.Notices[string(state)] = int64(w.Notices[state])
	}
	return m
}

func (flags *claimsWatchFlags) lookOnce(ctx context.Context, cmd *cobra.Command, watch *store.Watch) error {
	seen, err := watch.Look(ctx)
	if err != nil {
		return err
	}
	if flags.json {
		return printJSON(cmd.OutOrStdout(), seen)
	}
	printWatched(cmd.OutOrStdout(), seen)
	return nil
}

func printWatched(w io.Writer, seen *store.Watched) {
	moment := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return text.Moment(at)
	}
	won := func(n claims.Won) string { return text.Number(int64(n)) + " won" }
	rows := []string{"state\tclaims\tlate\toldest received"}
	for _, state := range claims.States() {
		if s := seen.States[state]; s.Claims > 0 {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", state, text.Number(s.Claims), text.Number(s.Late),
				moment(s.Oldest)))
		}
	}
	table(w, rows...)
	b := seen.Books
	fmt.Fprintf(w, "\npromised %s: settled %s, under way %s, owed %s\n", won(b.Promised), won(b.Settled), won(b.Reserved),
		won(b.Owed))
	if b.Budget > 0 {
		fmt.Fprintf(w, "budget %s, of which %s are left\n", won(b.Budget), won(b.Budget-b.Reserved-b.Settled))
	}
	for _, line := range []struct {
		n    int
		what string
	}{
		{seen.Delayed, "claims wait for a service that is away"},
		{len(b.Unanswered), "payments should have been answered by the bank"},
		{seen.Unsure, "payments of which the bank does not know what became of them"},
		{len(b.Doubts), "answers of the bank that do not fit"},
		{len(b.Wrong), "sums that do not agree"},
		{seen.Notices[store.NoticeWaiting], "notices wait, since " + cmp.Or(moment(seen.Untold), "now")},
		{seen.Notices[store.NoticeFailed], "notices failed"},
		{seen.Quarantined, "documents wait for the malware scanner"},
	} {
		if line.n > 0 {
			fmt.Fprintf(w, "%s %s\n", text.Number(line.n), line.what)
		}
	}
	if n := &seen.Reports; n.Reports > 0 {
		fmt.Fprintf(w, "of %s businesses that reported before, %s have handed in a claim\n", text.Number(n.Businesses),
			text.Number(n.Filed))
	}
	if seen.Frozen != nil {
		fmt.Fprintln(w, &store.FrozenError{Freeze: *seen.Frozen})
	}
}
