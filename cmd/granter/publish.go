package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/publish"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/metrics"
)

// publishFlags are the settings of granter publish.
type publishFlags struct {
	connection
	topic, form, compression string
	partitions, replicas     int
	only                     []string
	from                     string
	rate                     float64
	once                     bool
	listen, logFormat        string
}

const publishHelp = `Publish reads the journals of a campaign's ledger as an outbox, and sends what became of users to a Kafka topic as
CloudEvents 1.0: with --form json a record for each user, with --form compact a record for each entry of a journal, which has
thousands of users. It follows the ledger until it is stopped; with --once it sends what is there and ends. docs/events.md says
what is in an event.

Each event comes at least once, in order for each user, and has an ID that follows from the ledger alone: who drops IDs that it
has seen has each once. How far the topic is, is kept in Redis and moves on only when the brokers have acknowledged. Several
processes may run: one of them sends, and another one goes on when it ends.

`

func newPublish() *cobra.Command {
	var flags publishFlags
	cmd := &cobra.Command{
		Use:   "publish {-f SPEC | --campaign NAME} --topic TOPIC",
		Short: "Publish what became of users to a Kafka topic, as events",
		Long:  publishHelp + exitHelp,
		Example: `  granter publish --campaign emoticons-2022 --topic grants
  granter publish --campaign emoticons-2022 --topic grants-compact --form compact --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd, flags.nameFlag, flags.jsonFlag, flags.kafkaFlags, flags.redisFlags, flags.retryFlag)
	f := cmd.Flags()
	f.StringVar(&flags.topic, "topic", "", "the topic that events go to; it is created if it does not exist")
	f.StringVar(&flags.form, "form", string(publish.FormJSON), "json: a record for each user; compact: one for each journal entry")
	f.StringVar(&flags.compression, "compression", "lz4", "none, gzip, snappy, lz4 or zstd")
	f.IntVar(&flags.partitions, "partitions", 0, "partitions of the topic if it has to be created (default: the broker's)")
	f.IntVar(&flags.replicas, "replicas", 0, "replicas of the topic if it has to be created (default: the broker's)")
	f.StringSliceVar(&flags.only, "only", nil, "types of events to publish: "+words(publish.Types())+" (default: all)")
	f.StringVar(&flags.from, "from", "start", "where a topic begins that has got nothing yet: start, now, or a moment, RFC 3339")
	f.Float64Var(&flags.rate, "rate", 0, "events per second; 0: as fast as possible")
	f.BoolVar(&flags.once, "once", false, "send what is in the ledger now, and end")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9467", `address of /metrics, /healthz and /readyz, or "off"; not with --once`)
	f.StringVar(&flags.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

func words[S ~string](list []S) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return strings.Join(out, ", ")
}

// subscriber returns what is to be published where, as the flags say it.
func (flags *publishFlags) subscriber() (publish.Config, publish.Topic, error) {
	to := publish.Topic{Name: flags.topic, Form: publish.Form(flags.form)}
	cfg := publish.Config{Rate: flags.rate, GiveUp: flags.retryFor, Who: grant.NewRunID(time.Now()).String()}
	cfg.Name = "topic:" + to.Name + ":" + flags.form
	var errs []error
	if to.Name == "" {
		errs = append(errs, errors.New("where to? Say --topic TOPIC"))
	}
	if to.Form != publish.FormJSON && to.Form != publish.FormCompact {
		errs = append(errs, fmt.Errorf("--form %q: want json or compact", flags.form))
	}
	if err := to.Compression.UnmarshalText([]byte(flags.compression)); err != nil {
		errs = append(errs, fmt.Errorf("--compression %q: want none, gzip, snappy, lz4 or zstd", flags.compression))
	}
	var err error
	if cfg.From, err = publish.ParseFrom(flags.from); err != nil {
		errs = append(errs, fmt.Errorf("--from %w", err))
	}
	if cfg.Rate < 0 {
		errs = append(errs, fmt.Errorf("--rate %v: want events per second, or 0 for no limit", cfg.Rate))
	}
	for _, name := range flags.only {
		if !slices.Contains(publish.Types(), publish.Type(name)) {
			errs = append(errs, fmt.Errorf("--only %q: want some of %s", name, words(publish.Types())))
		}
		cfg.Only = append(cfg.Only, publish.Type(name))
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, to, usageError(err)
	}
	return cfg, to, nil
}

func (flags *publishFlags) execute(cmd *cobra.Command) error {
	cfg, to, err := flags.subscriber()
	if err != nil {
		return err
	}
	if cfg.Log, err = newLogger(newScreen(cmd.ErrOrStderr()), flags.logFormat); err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	q, err := flags.queryLedger(ctx, flags.retryFor)
	if err != nil {
		return err
	}
	defer q.close()
	cfg.Spec = func(ctx context.Context) (*grant.Campaign, error) {
		return status.Stored(ctx, q.coordination, q.campaign.Name)
	}
	target, err := flags.open(ctx, to)
	if err != nil {
		return err
	}
	registry := newRegistry()
	cfg.Metrics = metrics.NewPublish(registry, q.campaign.Name, version, cfg.Name)
	p := publish.New(q.coordination, q.reader, target, cfg)
	defer p.Close()
	if !flags.once {
		server, err := serve(flags.listen, registry, func() string { return notCurrent(p.Health()) }, cfg.Log)
		if err != nil {
			return err
		}
		defer server.close()
	}
	began := time.Now()
	err = flags.run(ctx, p)
	return errors.Join(err, flags.print(cmd.OutOrStdout(), q.campaign.Name, p.Health(), time.Since(began), err))
}

func (flags *publishFlags) run(ctx context.Context, p *publish.Publisher) error {
	var work errgroup.Group
	work.Go(func() error {
		if flags.once {
			return p.Once(ctx)
		}
		return p.Follow(ctx)
	})
	err := work.Wait()
	if ctx.Err() != nil {
		return &exitError{exitStopped, errors.New("stopped: start it again to go on, nothing is lost")}
	}
	return err
}

// open makes the target of a topic, which it creates where it does not exist.
func (flags *publishFlags) open(ctx context.Context, to publish.Topic) (publish.Target, error) {
	k, err := flags.kafka()
	if err != nil {
		return nil, err
	}
	transport := k.Transport()
	client := k.Client(transport)
	if _, err := population.EnsureTopic(ctx, client, to.Name, flags.partitions, flags.replicas, nil); err != nil {
		transport.CloseIdleConnections()
		return nil, unreachable(err, k.Brokers)
	}
	return publish.NewTopic(client, to, transport.CloseIdleConnections), nil
}

func notCurrent(h publish.Health) string {
	if h.State == publish.StateFailing {
		return h.Subscriber + " takes no events: " + h.Error
	}
	return ""
}

// Published is what granter publish --json prints at its end.
type Published struct {
	Campaign string  `json:"campaign"`
	Seconds  float64 `json:"seconds"`
	publish.Health
}

func (flags *publishFlags) print(w io.Writer, campaign string, h publish.Health, took time.Duration, err error) error {
	if flags.json {
		return printJSON(w, Published{Campaign: campaign, Seconds: took.Seconds(), Health: h})
	}
	if err == nil {
		fmt.Fprintf(w, "published %s events of %s to %s in %.2f s, %s events/s\n", text.Number(h.Events), campaign, flags.topic,
			took.Seconds(), text.Number(int64(float64(h.Events)/took.Seconds())))
	}
	return nil
}
