package main

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

// subjects open campaigns for a desk, on the same servers.
type subjects struct {
	redis   redis.UniversalClient
	kafka   source.Kafka
	brokers []string
	cfg     ledger.Config // of ledgers; RetryFor 0: askFor, for people who look at a page
}

func (s *subjects) config() ledger.Config {
	cfg := s.cfg
	cfg.RetryFor = cmp.Or(cfg.RetryFor, askFor)
	return cfg
}

// open opens one campaign. Nothing is asked yet.
func (s *subjects) open(c *grant.Campaign) (*desk.Subject, error) {
	cfg := s.config()
	led, err := openWith(s.redis, c, cfg)
	if err != nil {
		return nil, err
	}
	subject := &desk.Subject{
		Campaign: c, Coordination: led.coordination, Reader: led.reader, Checks: led.reader, Takes: led.takes,
	}
	subject.Acts = func(granted *grant.Campaign) (*acts.Doer, error) {
		own := cfg
		own.Indexes = nil
		return newDoer(s.redis, granted, own)
	}
	if len(c.Canonical) == 0 { // only its name is known
		return subject, nil
	}
	src, err := source.New(source.Config{Kafka: s.kafka, Topic: c.Input, Campaign: c.Name, RetryFor: cfg.RetryFor})
	if err != nil {
		return nil, err
	}
	subject.Trace = func(ctx context.Context, answers []lookup.Answer, whole bool) error {
		return s.trace(ctx, subject, answers, whole)
	}
	subject.Rejected = func(ctx context.Context, filter rejected.Filter, last int) (*rejected.Listing, error) {
		list, err := rejected.Find(ctx, src, led.coordination, led.reader, c, filter, last)
		if err != nil && source.NoTopic(err) { // no run has begun, so nothing was rejected
			return &rejected.Listing{Campaign: c.Name, Topic: c.Input.DeadLetterTopic(),
				Reasons: map[source.Reason]int64{}, Last: []rejected.Record{}}, nil
		}
		return list, explainLetters(err, s.brokers)
	}
	gatherer := status.NewGatherer(c, led.coordination, led.reader, src)
	subject.Status = func(ctx context.Context) (*status.Status, error) {
		st, err := gatherer.Gather(ctx)
		return st, explain(err, s.brokers)
	}
	subject.Replicas = func(ctx context.Context) (lost int, started bool, err error) {
		if lost, err = status.Lost(ctx, led.coordination); err != nil {
			return 0, false, err
		}
		checkpoint, err := led.reader.Checkpoints(ctx, c)
		return lost, len(checkpoint.Next) > 0, err
	}
	subject.Brief, subject.Bounds, subject.Identify, subject.Close = gatherer.Brief, src.Bounds, src.Identify, src.Close
	return subject, nil
}

// stored returns the campaign that the ledger has by a name.
func (s *subjects) stored(ctx context.Context, name string) (*grant.Campaign, error) {
	led, err := openWith(s.redis, &grant.Campaign{Name: name}, s.config())
	if err != nil {
		return nil, err
	}
	return status.Stored(ctx, led.coordination, name)
}

// catalog returns every campaign of the ledger, and those of some files. The caller closes both.
func (c *connection) catalog(files []string, log *slog.Logger) (*desk.Catalog, redis.UniversalClient, error) {
	var given []*grant.Campaign
	for _, file := range files {
		camp, err := campaign.Load(file)
		if err != nil {
			return nil, nil, usageError(err)
		}
		given = append(given, camp)
	}
	k, err := c.kafka()
	if err != nil {
		return nil, nil, err
	}
	client, err := c.redisClient()
	if err != nil {
		return nil, nil, err
	}
	s := &subjects{redis: client, kafka: k, brokers: c.brokers, cfg: c.patiently(askFor)}
	index, err := ledger.NewIndex(client, s.cfg)
	s.cfg.Indexes = ledger.NewIndexes()
	var all *desk.Catalog
	if err == nil {
		all, err = desk.NewCatalog(desk.CatalogConfig{Files: given, Index: index, Stored: s.stored, Open: s.open, Log: log})
	}
	if err != nil {
		client.Close()
		return nil, nil, usageError(err)
	}
	return all, client, nil
}

// filesFlag is -f of a command that takes any number of specs.
func filesFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringSliceVarP(files, "file", "f", nil, "campaign specs, YAML files, besides those that the ledger has")
}
