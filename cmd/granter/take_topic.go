package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/take"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/metrics"
)

// takeTopicFlags are the settings of granter take --topic.
type takeTopicFlags struct {
	topic, deadLetters string
	once, fromStart    bool
	gaps               []string
	listen, logFormat  string
}

func (t *takeTopicFlags) topicFlags(f *pflag.FlagSet) {
	f.StringVar(&t.topic, "topic", "", `Kafka topic of takes: records such as {"user": "12345678", "item": "cheer-up-90d"}`)
	f.StringVar(&t.deadLetters, "dead-letters", "", "topic that rejected takes go to (default: the topic's name and .rejected)")
	f.BoolVar(&t.once, "once", false, "end when everything that is in the topic now is settled")
	f.BoolVar(&t.fromStart, "from-start", false,
		"read the topic from its first record, whatever was read before; who took an item has it since then")
	f.StringArrayVar(&t.gaps, "accept-gap", nil,
		"PARTITION:FROM-TO, offsets of the topic to go without because they are gone (repeatable)")
	f.StringVar(&t.listen, "listen", "127.0.0.1:9468", `address of /metrics, /healthz and /readyz, or "off"; not with --once`)
	f.StringVar(&t.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
}

// takeCounts counts what became of a topic's records.
type takeCounts struct {
	taken     []map[grant.Outcome]*counted // by item; nil: it is none that users take
	malformed map[source.Reason]*counted
	metrics   *metrics.Takes
}

type counted struct {
	prometheus.Counter
	n atomic.Int64
}

func (c *counted) add() {
	c.Inc()
	c.n.Add(1)
}

func newTakeCounts(c *grant.Campaign, reg prometheus.Registerer) *takeCounts {
	var items, outcomes, reasons []string
	for i := range c.Items {
		if c.Items[i].Offered() {
			items = append(items, c.Items[i].ID)
		}
	}
	for _, o := range grant.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	for _, r := range take.Malformed() {
		reasons = append(reasons, string(r))
	}
	t := &takeCounts{
		metrics: metrics.NewTakes(reg, c.Name, version, items, outcomes, reasons), malformed: map[source.Reason]*counted{},
		taken: make([]map[grant.Outcome]*counted, len(c.Items)),
	}
	for i := range c.Items {
		if !c.Items[i].Offered() {
			continue
		}
		t.taken[i] = map[grant.Outcome]*counted{}
		for _, o := range grant.Outcomes() {
			t.taken[i][o] = &counted{Counter: t.metrics.Taken.WithLabelValues(c.Items[i].ID, string(o))}
		}
	}
	for _, r := range take.Malformed() {
		t.malformed[r] = &counted{Counter: t.metrics.Malformed.WithLabelValues(string(r))}
	}
	return t
}

func (t *takeCounts) Took(item int, outcome grant.Outcome) { t.taken[item][outcome].add() }
func (t *takeCounts) Malformed(reason source.Reason)       { t.malformed[reason].add() }
func (t *takeCounts) Behind(records int64)                 { t.metrics.Behind.Set(float64(records)) }
func (t *takeCounts) Regressed()                           { t.metrics.Regressed.Inc() }

// sums are the counts of all items.
func (t *takeCounts) sums() map[grant.Outcome]int64 {
	out := map[grant.Outcome]int64{}
	for _, item := range t.taken {
		for outcome, c := range item {
			out[outcome] += c.n.Load()
		}
	}
	for _, c := range t.malformed {
		out[outcomeMalformed] += c.n.Load()
	}
	return out
}

// takeTopic takes as a topic says.
func (c *takeFlags) takeTopic(cmd *cobra.Command, camp *grant.Campaign, items []int, led opened, store *ledger.Store) error {
	log, err := newLogger(newScreen(cmd.ErrOrStderr()), c.logFormat)
	if err != nil {
		return err
	}
	c.patientlyLogging(log)
	ctx, stop := untilSignal(cmd.Context())
	defer context.AfterFunc(ctx, stop)() // the second signal ends it at once; nothing is lost
	defer stop()
	pass, err := (&connection{group: "granter-" + camp.Name + "-takes-" + c.topic}).everybody(c.gaps)
	if err != nil {
		return err
	}
	run := grant.NewRunID(time.Now())
	from, err := c.takeSource(camp, pass, run, log)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // only idle connections are closed
	registry := newRegistry()
	counts := newTakeCounts(camp, registry)
	if !c.once {
		server, err := serve(c.listen, registry, func() string { return "" }, log)
		if err != nil {
			return err
		}
		defer server.close()
	}
	if err := c.record(ctx, led, grant.Acted{Request: run.String(), Topic: c.topic}); err != nil {
		return err
	}
	t := take.Topic{
		Campaign: camp, Items: items, Pass: pass, Source: from, Ledger: ledger.NewTopicTakes(store, c.topic, run),
		Observer: counts, Log: log, Once: c.once, Restart: c.fromStart,
	}
	log.Info("taking", "topic", c.topic, "campaign", camp.Name, "run", run.String(), "group", pass.Group)
	began := time.Now()
	err = t.Run(ctx)
	fmt.Fprintf(cmd.ErrOrStderr(), "granter: %s in %.2f s\n", sumOf(counts.sums()), time.Since(began).Seconds())
	switch {
	case errors.Is(err, take.ErrStopped):
		return &exitError{exitStopped, errors.New("stopped: start it again to go on, nothing is lost")}
	case errors.Is(err, grant.ErrTopicChanged):
		return fmt.Errorf("takes of topic %s: %w\nTo take what the topic holds now: granter take --topic %s --from-start",
			c.topic, err, c.topic)
	}
	return explain(err, c.brokers)
}

func (c *takeFlags) takeSource(camp *grant.Campaign, pass grant.Pass, run grant.RunID, log *slog.Logger) (*source.Source, error) {
	k, err := c.kafka()
	if err != nil {
		return nil, err
	}
	in := take.Input(camp, c.topic)
	in.DeadLetters = cmp.Or(c.deadLetters, c.topic+".rejected")
	if in.DeadLetters == c.topic || c.topic == camp.Input.Topic || strings.ContainsAny(c.topic, " /") {
		return nil, usageError(fmt.Errorf("--topic %q: want a topic of takes, which is neither the campaign's own, %s, nor "+
			"where rejected takes go, %s", c.topic, camp.Input.Topic, in.DeadLetters))
	}
	return source.New(source.Config{
		Kafka: k, Topic: in, Campaign: camp.Name, Run: run, Pass: pass, RetryFor: c.retryFor, FetchMemory: 32 << 20, Log: log,
	})
}

// sumOf says what became of all.
func sumOf(counts map[grant.Outcome]int64) string {
	var parts []string
	for _, outcome := range append(grant.Outcomes(), outcomeMalformed) {
		if n := counts[outcome]; n > 0 {
			parts = append(parts, string(outcome)+" "+text.Number(n))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "nobody")
}
