package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/feed"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/metrics"
)

// feedFlags are the settings of a topic that is taken into the database of claims.
type feedFlags struct {
	conn               connection
	topic, deadLetters string
	once, fromStart    bool
	gaps               []string
	maxRejected        float64
	listen, logFormat  string
}

func (t *feedFlags) addFeedFlags(f *pflag.FlagSet) {
	t.conn.timeout = 10 * time.Second
	t.conn.kafkaFlags(f)
	f.StringVar(
		&t.deadLetters,
		"dead-letters",
		"",
		"topic that refused records go to (default: the topic's name and .rejected)",
	)
	f.BoolVar(&t.once, "once", false, "end when everything that is in the topic now is taken in")
	f.BoolVar(&t.fromStart, "from-start", false,
		"read the topic from its first record, whatever was read before; nothing is taken in twice")
	f.StringArrayVar(&t.gaps, "accept-gap", nil,
		"PARTITION:FROM-TO, offsets of the topic to go without because they are gone (repeatable)")
	f.Float64Var(&t.maxRejected, "max-malformed", 0.1,
		"share of records that cannot be read, beyond which it stops: it may be the wrong topic")
	f.StringVar(&t.listen, "listen", "127.0.0.1:9469", `address of /metrics, /healthz and /readyz, or "off"; not with --once`)
	f.StringVar(&t.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	f.DurationVar(&t.conn.retryFor, "retry-for", 2*time.Minute, "how long a Kafka that does not answer is tried again")
}

// feedCounts counts what became of records.
type feedCounts struct {
	metrics *metrics.ClaimsTopic
	mu      sync.Mutex
	taken   int64
	refused map[source.Reason]int
}

// Taken implements feed.Observer.
func (c *feedCounts) Taken(n int, refused map[source.Reason]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, k := range refused {
		c.refused[reason] += k
		c.metrics.Records.WithLabelValues(string(reason)).Add(float64(k))
	}
	c.taken += int64(n)
	c.metrics.Records.WithLabelValues(metrics.OutcomeTaken).Add(float64(n))
}

// Behind implements feed.Observer.
func (c *feedCounts) Behind(records int64) { c.metrics.Behind.Set(float64(records)) }

// feeding is a topic that is about to be taken in.
type feeding struct {
	kind    string // for metrics
	reasons []source.Reason
}

// openFeed returns the source of a topic, and who counts what became of it; done closes both.
func (t *feedFlags) openFeed(
	cmd *cobra.Command, s *store.Store, p *claims.Programme, what feeding,
) (from *source.Source, counts *feedCounts, log *slog.Logger, done func(), err error) {
	if t.topic == "" || strings.ContainsAny(t.topic, " /") || t.deadLetters == t.topic {
		return nil, nil, nil, nil, usageError(
			fmt.Errorf("--topic %q: want the name of a topic, which is not where refused records go",
				t.topic),
		)
	}
	if log, err = newLogger(newScreen(cmd.ErrOrStderr()), t.logFormat); err != nil {
		return nil, nil, nil, nil, err
	}
	k, err := t.conn.kafka()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	pass, err := (&connection{group: "granter-" + p.Name + "-" + t.topic}).everybody(t.gaps)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	from, err = source.New(source.Config{
		Kafka: k, Topic: feed.Input(t.topic, cmp.Or(t.deadLetters, t.topic+".rejected")), Campaign: p.Name,
		Run: grant.NewRunID(time.Now()), Pass: pass, RetryFor: t.conn.retryFor, Log: log,
	})
	if err != nil {
		return nil, nil, nil, nil, err
	}
	reasons := make([]string, len(what.reasons))
	for i, r := range what.reasons {
		reasons[i] = string(r)
	}
	registry := newRegistry()
	countErrors(s, registry, p)
	counts = &feedCounts{
		metrics: metrics.NewClaimsTopic(registry, p.Name, what.kind, reasons), refused: map[source.Reason]int{},
	}
	done = func() { _ = from.Close() } // only idle connections are closed
	if !t.once {
		server, err := serve(t.listen, registry, func() string { return notReadyClaims(cmd.Context(), s) }, log)
		if err != nil {
			done()
			return nil, nil, nil, nil, err
		}
		done = func() { server.close(); _ = from.Close() }
	}
	return from, counts, log, done, nil
}

// newFeed is a topic as the flags have it.
func newFeed[T any](t *feedFlags, s *store.Store, from *source.Source, counts *feedCounts, log *slog.Logger) *feed.Topic[T] {
	f := &feed.Topic[T]{
		Name: t.topic, Source: from, Store: s, Observer: counts, Log: log, MaxRejected: t.maxRejected, Once: t.once,
		Restart: t.fromStart,
	}
	for _, text := range t.gaps { // they were read before
		gap, _ := grant.ParseGap(text)
		f.Pass.AcceptGaps = append(f.Pass.AcceptGaps, gap)
	}
	return f
}

// ended says how reading a topic ended.
func (t *feedFlags) ended(err error) error {
	switch {
	case errors.Is(err, feed.ErrStopped):
		return &exitError{exitStopped, errors.New("stopped: start it again to go on, nothing is lost")}
	case errors.Is(err, grant.ErrTopicChanged):
		return fmt.Errorf("topic %s: %w\nTo take in what the topic holds now: --from-start", t.topic, err)
	case err == nil:
		return nil
	}
	return explain(err, t.conn.brokers)
}

// receiveFlags are the settings of granter claims receive.
type receiveFlags struct {
	importFlags
	feedFlags
}

func newClaimsReceive() *cobra.Command {
	var flags receiveFlags
	cmd := &cobra.Command{
		Use:   "receive --topic TOPIC",
		Short: "Take in the claims of a Kafka topic",
		Long: `Receive reads a topic whose records are claims as JSON, with the names that files have for columns, such as

  {"id": "w-17", "business_number": "120-81-47521", "business_name": "가게", "representative": "김사장", "industry": "restaurants",
   "opened": "2020-03-01", "outage_sales": 1000000, "week_sales": [1250000], "phone": "010-1234-5678", "bank": "004",
   "account": "110-123-456789", "holder": "김사장", "received": "2022-10-20T09:00:00+09:00"}

Each claim is taken in once, by its id, whoever is killed: what was taken in and how far the topic is read are committed together.
What is no claim, or is refused, goes to a dead-letter topic (TOPIC.rejected) with the reason, in the form of a run's, and with
what is wrong in the header granter-detail; of a record with a resident registration number that letter holds nothing else. When
too many records cannot be read, it stops. It goes on until it is stopped, with --once until it has what is there; several share
the partitions.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.within(cmd, flags.programme != "", func(ctx context.Context, s *store.Store) error {
				return flags.receive(ctx, cmd, s)
			})
		},
	}
	flags.addFlags(cmd)
	flags.addFeedFlags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&flags.topic, "topic", "", "Kafka topic of claims (required)")
	f.StringVar(&flags.programme, "programme", "", "claims programme, a YAML file; without it the one that the database has")
	return cmd
}

func (flags *receiveFlags) receive(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	p, err := flags.adopt(ctx, s)
	if err != nil {
		return err
	}
	from, counts, log, done, err := flags.openFeed(cmd, s, p, feeding{"claims", intake.TopicReasons()})
	if err != nil {
		return err
	}
	defer done()
	desk := intake.Desk{Store: s, Programme: p}
	channel := intake.Channel{Name: "topic", By: store.Actor{Name: "topic " + flags.topic, Duty: claims.Intake}}
	topic := newFeed[store.Filing](&flags.feedFlags, s, from, counts, log)
	topic.Read = func(value []byte) (store.Filing, feed.Refusal) { return desk.ReadRecord(ctx, value, channel) }
	topic.Commit = desk.ReceiveRecords
	began := time.Now()
	err = topic.Run(ctx)
	if said := counts.say(cmd, flags.json, time.Since(began)); said != nil {
		return said
	}
	return flags.ended(err)
}

// say says what became of all.
func (c *feedCounts) say(cmd *cobra.Command, asJSON bool, took time.Duration) error {
	refused := 0
	for _, n := range c.refused {
		refused += n
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Records int64                 `json:"records"`
			Refused map[source.Reason]int `json:"refused"`
			Seconds float64               `json:"seconds"`
		}{c.taken, c.refused, took.Seconds()})
	}
	fmt.Fprintf(
		cmd.OutOrStdout(),
		"%s records read and %s refused in %.2f s\n",
		text.Number(c.taken),
		text.Number(int64(refused)),
		took.Seconds(),
	)
	return nil
}

var _ feed.Observer = (*feedCounts)(nil)
