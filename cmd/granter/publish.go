package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

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
	webhooks, to, resend     string
	resendFrom, resendTo     time.Time
	listen, logFormat        string
}

const publishHelp = `Publish reads the journals of a campaign's ledger as an outbox, and sends what became of users to a Kafka
topic as CloudEvents 1.0: with --form json a record for each user, with --form compact a record for each
entry of a journal, which has thousands of users; where IDs are UUIDs, any numbers or strings, one for 8,192 users
at most, or 512 strings. It follows the ledger until it is stopped; with --once it sends what is there and ends.
docs/events.md says what is in an event.

With --webhooks the events go to the webhooks of a file, too, in signed requests; each has a place of its own, and one that
fails is tried again, and holds up no other. --resend sends what came to be in a time once more, where somebody lost it.

Each event comes at least once, in order for each user, and has an ID that follows from the ledger alone: who drops IDs that it
has seen has each once. How far the topic is, is kept in Redis and moves on only when the brokers have acknowledged. Several
processes may run: one of them sends, and another one goes on when it ends.

`

func newPublish() *cobra.Command {
	var flags publishFlags
	cmd := &cobra.Command{
		Use:   "publish {-f SPEC | --campaign NAME} {--topic TOPIC | --webhooks FILE}",
		Short: "Publish what became of users to a Kafka topic and to webhooks, as events",
		Long:  publishHelp + exitHelp,
		Example: `  granter publish --campaign emoticons-2022 --topic grants
  granter publish --campaign emoticons-2022 --topic grants-compact --form compact --once
  granter publish --campaign emoticons-2022 --webhooks webhooks.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd, flags.anyIDs, flags.nameFlag, flags.jsonFlag, flags.kafkaFlags, flags.redisFlags, flags.retryFlag)
	f := cmd.Flags()
	f.StringVar(&flags.topic, "topic", "", "the topic that events go to; it is created if it does not exist")
	f.StringVar(&flags.form, "form", string(publish.FormJSON),
		"json: a record for each user; compact: one for thousands of them, as journal entries have them")
	f.StringVar(&flags.compression, "compression", "lz4", "none, gzip, snappy, lz4 or zstd")
	f.IntVar(&flags.partitions, "partitions", 0, "partitions of the topic if it has to be created (default: the broker's)")
	f.IntVar(&flags.replicas, "replicas", 0, "replicas of the topic if it has to be created (default: the broker's)")
	f.StringVar(&flags.webhooks, "webhooks", "", "file of webhooks that events go to (docs/events.md)")
	f.StringVar(&flags.to, "to", "", "publish to this subscriber alone: topic:NAME:FORM or webhook:NAME")
	f.StringVar(&flags.resend, "resend", "", "send what came to be between two moments, FROM/TO in RFC 3339, once more, and end")
	f.StringSliceVar(&flags.only, "only", nil,
		"types of events to publish to the topic: "+words(publish.Types())+" (default: all)")
	f.StringVar(&flags.from, "from", "start", "where who has got nothing yet begins: start, now, or a moment, RFC 3339")
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

// settings are what all subscribers have in common, as the flags say it.
func (flags *publishFlags) settings() (publish.Config, error) {
	cfg := publish.Config{Rate: flags.rate, GiveUp: flags.retryFor, Who: grant.NewRunID(time.Now()).String()}
	var errs []error
	if flags.topic == "" && flags.webhooks == "" {
		errs = append(errs, errors.New("where to? Say --topic TOPIC, --webhooks FILE or both"))
	}
	_, err := flags.described()
	errs = append(errs, err)
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
	}
	if flags.resend != "" {
		if flags.resendFrom, flags.resendTo, err = parseSpan(flags.resend); err != nil {
			errs = append(errs, fmt.Errorf("--resend %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, usageError(err)
	}
	return cfg, nil
}

// parseSpan reads two moments with a slash in between.
func parseSpan(text string) (from, to time.Time, err error) {
	first, second, ok := strings.Cut(text, "/")
	from, err1 := time.Parse(time.RFC3339, first)
	to, err2 := time.Parse(time.RFC3339, second)
	if !ok || err1 != nil || err2 != nil || !from.Before(to) {
		err = fmt.Errorf("%q: want two moments, such as 2023-01-05T09:00:00+09:00/2023-01-05T10:00:00+09:00", text)
	}
	return from, to, err
}

// outlet is a subscriber with where its events go.
type outlet struct {
	name   string
	only   []publish.Type
	target publish.Target
}

// outlets opens all subscribers of the flags. Those that are opened are returned with an error, too.
func (flags *publishFlags) outlets(ctx context.Context) (out []outlet, err error) {
	if flags.webhooks != "" {
		subscribers, err := publish.LoadSubscribers(flags.webhooks)
		if err != nil {
			return nil, usageError(err)
		}
		for _, s := range subscribers {
			out = append(out, outlet{"webhook:" + s.Name, s.Only, publish.NewWebhook(s.Webhook)})
		}
	}
	if flags.topic != "" {
		to, err := flags.toTopic(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, to)
	}
	if flags.to == "" {
		return out, nil
	}
	found := slices.IndexFunc(out, func(o outlet) bool { return o.name == flags.to })
	if found < 0 {
		var names []string
		for _, o := range out {
			names = append(names, o.name)
		}
		return out, usageError(fmt.Errorf("--to %q: there are %s", flags.to, strings.Join(names, ", ")))
	}
	for i := range out {
		if i != found {
			out[i].target.Close()
		}
	}
	return out[found : found+1], nil
}

// described is the topic as the flags have it.
func (flags *publishFlags) described() (publish.Topic, error) {
	to := publish.Topic{Name: flags.topic, Form: publish.Form(flags.form)}
	var errs []error
	if to.Form != publish.FormJSON && to.Form != publish.FormCompact {
		errs = append(errs, fmt.Errorf("--form %q: want json or compact", flags.form))
	}
	if err := to.Compression.UnmarshalText([]byte(flags.compression)); err != nil {
		errs = append(errs, fmt.Errorf("--compression %q: want none, gzip, snappy, lz4 or zstd", flags.compression))
	}
	return to, errors.Join(errs...)
}

// toTopic opens the topic, which it creates where it does not exist.
func (flags *publishFlags) toTopic(ctx context.Context) (outlet, error) {
	to, err := flags.described()
	if err != nil {
		return outlet{}, usageError(err)
	}
	k, err := flags.kafka()
	if err != nil {
		return outlet{}, err
	}
	transport := k.Transport()
	client := k.Client(transport)
	if _, err := population.EnsureTopic(ctx, client, to.Name, flags.partitions, flags.replicas, nil); err != nil {
		transport.CloseIdleConnections()
		return outlet{}, unreachable(err, k.Brokers)
	}
	var only []publish.Type
	for _, name := range flags.only {
		only = append(only, publish.Type(name))
	}
	return outlet{"topic:" + to.Name + ":" + flags.form, only, publish.NewTopic(client, to, transport.CloseIdleConnections)}, nil
}

func (flags *publishFlags) execute(cmd *cobra.Command) error {
	cfg, err := flags.settings()
	if err != nil {
		return err
	}
	if cfg.Log, err = newLogger(newScreen(cmd.ErrOrStderr()), flags.logFormat); err != nil {
		return err
	}
	flags.patientlyLogging(cfg.Log)
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
	outlets, err := flags.outlets(ctx)
	defer func() {
		for _, o := range outlets {
			o.target.Close()
		}
	}()
	if err != nil {
		return err
	}
	registry := newRegistry()
	var names []string
	for _, o := range outlets {
		names = append(names, o.name)
	}
	cfg.Metrics = metrics.NewPublish(registry, q.campaign.Name, version, names...)
	var all []*publish.Publisher
	for _, o := range outlets {
		cfg.Name, cfg.Only = o.name, o.only
		all = append(all, publish.New(q.coordination, q.reader, o.target, cfg))
	}
	if !flags.once && flags.resend == "" {
		server, err := serve(flags.listen, registry, func() string { return notTaking(all) }, cfg.Log)
		if err != nil {
			return err
		}
		defer server.close()
	}
	began := time.Now()
	err = flags.run(ctx, all, cfg.Log)
	return errors.Join(err, flags.print(cmd.OutOrStdout(), q.campaign.Name, all, time.Since(began)))
}

// run publishes to all subscribers, none of which waits for another one.
func (flags *publishFlags) run(ctx context.Context, all []*publish.Publisher, log *slog.Logger) error {
	errs := make([]error, len(all))
	var work sync.WaitGroup
	for i, p := range all {
		work.Go(func() {
			switch {
			case flags.resend != "":
				errs[i] = p.Resend(ctx, flags.resendFrom, flags.resendTo)
			case flags.once:
				errs[i] = p.Once(ctx)
			default:
				errs[i] = p.Follow(ctx)
			}
			if errs[i] != nil && ctx.Err() == nil {
				log.Error("publishing to a subscriber has ended", "subscriber", p.Name, "error", errs[i])
				errs[i] = fmt.Errorf("%s: %w", p.Name, errs[i])
			}
		})
	}
	work.Wait()
	if ctx.Err() != nil {
		return &exitError{exitStopped, errors.New("stopped: start it again to go on, nothing is lost")}
	}
	return errors.Join(errs...)
}

// notTaking says which subscribers take no events.
func notTaking(all []*publish.Publisher) string {
	var out []string
	for _, p := range all {
		if h := p.Health(); h.State == publish.StateFailing {
			out = append(out, h.Subscriber+" takes no events: "+h.Error)
		}
	}
	return strings.Join(out, "; ")
}

// Published is what granter publish --json prints at its end.
type Published struct {
	Campaign    string           `json:"campaign"`
	Seconds     float64          `json:"seconds"`
	Events      int64            `json:"events"` // of all subscribers
	Subscribers []publish.Health `json:"subscribers"`
}

func (flags *publishFlags) print(w io.Writer, campaign string, all []*publish.Publisher, took time.Duration) error {
	out := Published{Campaign: campaign, Seconds: took.Seconds()}
	for _, p := range all {
		h := p.Health()
		out.Events += h.Events
		out.Subscribers = append(out.Subscribers, h)
		if !flags.json {
			fmt.Fprintf(
				w,
				"published %s events of %s to %s in %.2f s, %s events/s: %s\n",
				text.Number(h.Events),
				campaign,
				h.Subscriber,
				took.Seconds(),
				text.Number(int64(float64(h.Events)/took.Seconds())),
				h.State,
			)
		}
	}
	if flags.json {
		return printJSON(w, out)
	}
	return nil
}
