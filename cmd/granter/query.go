package main

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

// query is a campaign and its servers, to ask and to order, but not to grant.
type query struct {
	campaign *grant.Campaign
	kafka    source.Kafka
	redis    redis.UniversalClient
	opened
	source   *source.Source // nil: only the ledger is asked
	gatherer *status.Gatherer
}

// opened is the ledger of a campaign, for all but a run.
type opened struct {
	coordination *ledger.Coordination
	reader       *ledger.Reader
	takes        *ledger.Takes
}

func openLedger(client redis.UniversalClient, c *grant.Campaign, retryFor time.Duration) (opened, error) {
	return openWith(client, c, ledger.Config{RetryFor: retryFor})
}

// openWith is openLedger for whoever says more of how it is to be opened.
func openWith(client redis.UniversalClient, c *grant.Campaign, cfg ledger.Config) (opened, error) {
	store, err := ledger.Open(client, c, cfg)
	if err != nil {
		return opened{}, err
	}
	return opened{
		ledger.NewCoordination(store), ledger.NewReader(store), ledger.NewTakes(store, grant.NewRunID(time.Now())),
	}, nil
}

// query opens what the flags say. Failures that may pass are retried for a time. Nothing is asked yet; close must be called.
func (c *connection) query(ctx context.Context, retryFor time.Duration) (*query, error) {
	q, err := c.queryLedger(ctx, retryFor)
	if err != nil {
		return nil, err
	}
	if q.kafka, err = c.kafka(); err == nil {
		q.source, err = source.New(source.Config{
			Kafka: q.kafka, Topic: q.campaign.Input, Campaign: q.campaign.Name, RetryFor: retryFor,
		})
	}
	if err != nil {
		q.close()
		return nil, err
	}
	q.gatherer = status.NewGatherer(q.campaign, q.coordination, q.reader, q.source)
	return q, nil
}

// reading is the source that reads records as a spec says: the query's own, or one of the spec that the ledger has where the
// file has another.
func (q *query) reading(camp *grant.Campaign, retryFor time.Duration) (s *source.Source, closing func(), err error) {
	if camp == q.campaign {
		return q.source, func() {}, nil
	}
	if s, err = source.New(source.Config{Kafka: q.kafka, Topic: camp.Input, RetryFor: retryFor}); err != nil {
		return nil, nil, err
	}
	return s, func() { _ = s.Close() }, nil // only idle connections are closed
}

// queryLedger is query without the topic.
func (c *connection) queryLedger(ctx context.Context, retryFor time.Duration) (*query, error) {
	q := &query{}
	var err error
	if q.campaign, err = c.subject(ctx); err != nil {
		return nil, err
	}
	if q.redis, err = c.redisClient(); err != nil {
		return nil, err
	}
	if q.opened, err = openWith(q.redis, q.campaign, c.patiently(retryFor)); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

func (q *query) close() {
	if q.source != nil {
		q.source.Close() //nolint:errcheck // only idle connections are closed
	}
	q.redis.Close()
}

// status says how far the campaign is, as far as that can be asked; the error says what cannot.
func (q *query) status(ctx context.Context) (*status.Status, error) {
	s, err := q.gatherer.Gather(ctx)
	return s, explain(err, q.kafka.Brokers)
}
