// Package franz reads a topic for an audit with franz-go, as a second opinion: connections, requests, the CRC of batches, codecs,
// transactions and the layout of records are read by code that shares nothing with granter's own fetch client. It belongs to no
// group, and leaves no trace.
package franz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	kafkasasl "github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/source"
)

const (
	fetchBytes = 256 << 10 // of a partition, unless a batch is larger
	mostBytes  = 1 << 30
	fetchWait  = 500 * time.Millisecond
	pauseFirst = 20 * time.Millisecond
)

// Topic is a topic as franz-go reads it. It implements audit.Topic and audit.Letters, and is safe for concurrent use.
type Topic struct {
	client   *kgo.Client
	name     string
	header   string // that holds the IDs; empty: none
	retryFor time.Duration
}

// Open connects when it is asked for something. What may pass is retried for a time. The caller closes it.
// In each record it looks for a header; empty: for none.
func Open(k source.Kafka, topic, header string, retryFor time.Duration) (*Topic, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(k.Brokers...), kgo.ClientID(source.ClientID), kgo.FetchMaxBytes(fetchBytes),
		kgo.RetryTimeout(retryFor), kgo.MetadataMinAge(50 * time.Millisecond), kgo.BrokerMaxReadBytes(mostBytes),
	}
	if k.Timeout > 0 {
		opts = append(opts, kgo.DialTimeout(k.Timeout))
	}
	if k.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(k.TLS))
	}
	if k.SASL != nil {
		opts = append(opts, kgo.SASL(mechanism{k.SASL}))
	}
	client, err := kgo.NewClient(opts...)
	return &Topic{client, topic, header, retryFor}, err
}

// Close closes the connections.
func (t *Topic) Close() { t.client.Close() }

// Identify implements audit.Topic.
func (t *Topic) Identify(ctx context.Context) (id grant.TopicID, err error) {
	err = t.retry(ctx, func() error { id, _, err = t.describe(ctx); return err })
	return id, err
}

// describe asks who the topic is, and who leads its partitions.
func (t *Topic) describe(ctx context.Context) (id grant.TopicID, leaders map[int32]int32, err error) {
	q := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &t.name
	q.Topics = []kmsg.MetadataRequestTopic{topic}
	resp, err := q.RequestWith(ctx, t.client)
	if err != nil {
		return id, nil, fmt.Errorf("asking for topic %s: %w", t.name, err)
	}
	if len(resp.Topics) != 1 {
		return id, nil, fmt.Errorf("asked for topic %s, got %d", t.name, len(resp.Topics))
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return id, nil, fmt.Errorf("topic %s: %w", t.name, err)
	}
	if id.Topic = resp.Topics[0].TopicID; resp.ClusterID != nil {
		id.Cluster = *resp.ClusterID
	}
	leaders = map[int32]int32{}
	for _, p := range resp.Topics[0].Partitions {
		leaders[p.Partition] = p.Leader
	}
	return id, leaders, nil
}

// Bounds implements audit.Topic.
func (t *Topic) Bounds(ctx context.Context) (out grant.Bounds, err error) {
	err = t.retry(ctx, func() error { out, err = t.bounds(ctx); return err })
	return out, err
}

func (t *Topic) bounds(ctx context.Context) (grant.Bounds, error) {
	_, leaders, err := t.describe(ctx)
	if err != nil {
		return grant.Bounds{}, err
	}
	firsts, err := t.offsets(ctx, leaders, -2)
	if err != nil {
		return grant.Bounds{}, err
	}
	ends, err := t.offsets(ctx, leaders, -1)
	if err == nil && (len(firsts) != len(leaders) || len(ends) != len(leaders)) {
		err = kerr.LeaderNotAvailable
	}
	return grant.Bounds{Firsts: firsts, Ends: ends}, err
}

// offsets are those of all partitions at a time: −2 is the first, −1 the end.
func (t *Topic) offsets(ctx context.Context, partitions map[int32]int32, at int64) (grant.Offsets, error) {
	q := kmsg.NewPtrListOffsetsRequest()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = t.name
	for number := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = number, at
		topic.Partitions = append(topic.Partitions, p)
	}
	q.Topics = []kmsg.ListOffsetsRequestTopic{topic}
	resp, err := q.RequestWith(ctx, t.client)
	if err != nil {
		return nil, fmt.Errorf("asking for the offsets of %s: %w", t.name, err)
	}
	out := grant.Offsets{}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("asking for the offsets of %s, partition %d: %w", t.name, p.Partition, err)
			}
			out[int(p.Partition)] = p.Offset
		}
	}
	return out, nil
}

// retry calls what may fail for a while again.
func (t *Topic) retry(ctx context.Context, call func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = pauseFirst
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := call()
		if err != nil && final(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(max(t.retryFor, time.Nanosecond)))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// final reports whether the same question gets the same answer.
func final(err error) bool {
	if broker, ok := errors.AsType[*kerr.Error](err); ok {
		return !broker.Retriable && !errors.Is(err, kerr.OffsetOutOfRange)
	}
	return errors.As(err, new(visitError)) || errors.As(err, new(*grant.GapError))
}

// visitError is an error of whoever reads.
type visitError struct{ error }

func (e visitError) Unwrap() error { return e.error }

// Read implements audit.Topic.
func (t *Topic) Read(ctx context.Context, partition int, from, until int64, visit func(offset int64, parts *source.Parts) error) (
	next int64, err error,
) {
	r := t.reader(partition, from, until)
	return r.read(ctx, func(rec *kgo.Record) error {
		parts := source.Parts{Key: rec.Key, Value: rec.Value}
		for _, h := range rec.Headers {
			if t.header != "" && h.Key == t.header {
				if parts.Header = h.Value; h.Value == nil {
					parts.Header = []byte{}
				}
			}
		}
		return visit(rec.Offset, &parts)
	})
}

// Each implements audit.Letters, of the topic that dead letters are in.
func (t *Topic) Each(ctx context.Context, visit func(audit.Letter)) (gone int64, err error) {
	bounds, err := t.bounds(ctx)
	if errors.Is(err, kerr.UnknownTopicOrPartition) { // nothing was rejected yet
		return 0, nil
	}
	if err != nil {
		bounds, err = t.Bounds(ctx)
	}
	if err != nil {
		return 0, err
	}
	for _, partition := range bounds.Partitions() {
		gone += bounds.Firsts[partition]
		r := t.reader(partition, bounds.Firsts[partition], bounds.Ends[partition])
		_, err := r.read(ctx, func(rec *kgo.Record) error {
			visit(audit.LetterOf(func(key string) string {
				at := slices.IndexFunc(rec.Headers, func(h kgo.RecordHeader) bool { return h.Key == key })
				if at < 0 {
					return ""
				}
				return string(rec.Headers[at].Value)
			}))
			return nil
		})
		if err != nil {
			return gone, fmt.Errorf("reading dead letters: %w", err)
		}
	}
	return gone, nil
}

// mechanism is what granter authenticates with, as franz-go asks for it.
type mechanism struct{ kafkasasl.Mechanism }

func (m mechanism) Authenticate(ctx context.Context, _ string) (sasl.Session, []byte, error) {
	machine, first, err := m.Start(ctx)
	return session{ctx, machine}, first, err
}

type session struct {
	ctx     context.Context //nolint:containedctx // of one authentication, during which franz-go calls without one
	machine kafkasasl.StateMachine
}

func (s session) Challenge(said []byte) (bool, []byte, error) { return s.machine.Next(s.ctx, said) }
