package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
)

// Ping asks a broker something that it answers only when it has accepted the credentials, or wants none. It takes
// Kafka.Timeout at most, also when the broker's machine is frozen.
func (k Kafka) Ping(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout())
	defer cancel()
	return k.within(ctx, address, func(c *protocol.Conn) error {
		c.SetVersions(map[protocol.ApiKey]int16{protocol.Metadata: 4}) // brokers from 0.11 to 4.x all speak it
		_, err := c.RoundTrip(&metadata.Request{TopicNames: []string{}})
		return err
	})
}

// within uses a connection to a broker for something that the context can end at any moment.
func (k Kafka) within(ctx context.Context, address string, use func(*protocol.Conn) error) error {
	conn, release, err := k.authenticated(ctx, address, (&net.Dialer{}).DialContext)
	if err == nil {
		defer conn.Close()
		defer release()
		err = use(protocol.NewConn(conn, ClientID))
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	return err
}

// Place is where to take a sample: up to Limit records of a partition, from offset From on and before offset Until.
type Place struct {
	Partition   int
	From, Until int64
	Limit       int
}

// Sampled is one record of a sample.
type Sampled struct {
	Offset int64
	ID     grant.UserID
	Reason Reason       // empty: ID is valid
	Fits   grant.IDs    // with a Reason: a kind of which it would be a valid ID; empty: none
	Other  grant.UserID // that ID
	Data   []byte       // what is no valid ID, up to 64 bytes of it
	Schema uint32       // that the record names, in a format with schemas; 0: none
	Type   string       // of the record, of schemas that name types
}

// Sample is what a place holds, as Consume would see it.
type Sample struct {
	Place
	Records       []Sampled // by ascending offset
	Transactional bool      // a transaction wrote some of them, or others that were aborted and are hidden
	Hidden        int       // batches that readers do not see: aborted, or markers of transactions
	Cut           bool      // the broker sent no more of it
	// Oldest is the latest time in the first batch, by which it expires: of its records, or of the broker if that is the
	// topic's message.timestamp.type. Zero: it does not say.
	Oldest time.Time
}

// Sample reads the records at some places through one connection to the broker that leads their partitions. It returns
// what it has read also when it fails or the context ends. saw is called for every place that some records were read at.
func (s *Source) Sample(ctx context.Context, broker string, places []Place, saw func()) ([]Sample, error) {
	samples := make([]Sample, 0, len(places))
	err := s.cfg.Kafka.within(ctx, broker, func(c *protocol.Conn) error {
		sampler := sampler{Source: s, conn: &conn{Conn: c, target: target{topic: s.cfg.Topic.Topic, leaderEpoch: -1}}}
		if err := sampler.conn.negotiate(ctx); err != nil {
			return err
		}
		for _, place := range places {
			sample := Sample{Place: place}
			err := sampler.take(ctx, &sample)
			samples = append(samples, sample)
			if len(sample.Records) > 0 {
				saw()
			}
			if err != nil {
				return fmt.Errorf("partition %d at offset %d: %w", place.Partition, place.From, err)
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("reading at %s: %w", broker, err)
	}
	return samples, err
}

const (
	sampleBytes = 64 << 10 // of a fetch; a broker sends one whole batch at least
	sampleData  = 64       // bytes that are kept of a record without a valid ID
)

type sampler struct {
	*Source
	conn     *conn
	inflated bytes.Buffer
}

func (s *sampler) take(ctx context.Context, out *Sample) error {
	s.conn.partition = out.Partition
	maxBytes := sampleBytes
	for next := out.From; next < out.Until && len(out.Records) < out.Limit; {
		f, err := s.conn.fetch(ctx, next, -1, maxBytes, 0)
		if err == nil && f.code != 0 {
			err = f.code
		}
		if err != nil {
			out.Cut = true
			return err
		}
		if f.throttle > 0 && len(f.records) == 0 { // a quota; the broker does not listen before that
			wait(ctx, f.throttle)
			continue
		}
		before := next
		if next, err = s.add(ctx, out, f, next); err != nil {
			return err
		}
		if next > before {
			continue
		}
		if len(f.records) == 0 || maxBytes >= maxResponse/4 {
			out.Cut = true // an open transaction is in front, or a batch that a run will complain about
			return nil
		}
		maxBytes *= 4
	}
	return nil
}

// add appends the records of a fetch from an offset on, and returns the offset behind the last one it looked at.
func (s *sampler) add(ctx context.Context, out *Sample, f fetched, next int64) (int64, error) {
	next, err := f.visible(next, out.Until, func(b *batch, next int64, hidden bool) (int64, error) {
		if len(out.Records) >= out.Limit {
			return next, errEnough
		}
		out.Transactional = out.Transactional || b.transactional()
		if out.Oldest.IsZero() && b.newest > 0 {
			out.Oldest = time.UnixMilli(b.newest)
		}
		if hidden {
			out.Hidden++
			return next, nil
		}
		return next, s.addBatch(ctx, out, b, next)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return next, err
}

// errEnough ends a visit early.
var errEnough = errors.New("the sample is large enough")

func (s *sampler) addBatch(ctx context.Context, out *Sample, b *batch, next int64) error {
	err := b.visit(&s.inflated, s.header, next, out.Until, func(offset int64, parts *Parts) error {
		if len(out.Records) >= out.Limit {
			return errEnough
		}
		if err := s.Learn(ctx, parts); err != nil {
			return err
		}
		id, reason := s.Decode(parts)
		sampled := Sampled{Offset: offset, ID: id, Reason: reason}
		if s.schemas != nil {
			var payload []byte
			sampled.Schema, payload, _ = schema.Frame(parts.Holder(&s.cfg.Topic))
			if by := s.Schemas()[sampled.Schema]; by != nil {
				sampled.Type = by.TypeOf(payload)
			}
		}
		if reason != "" {
			sampled.Fits, sampled.Other = s.fits(parts)
			data := parts.Holder(&s.cfg.Topic)
			sampled.Data = bytes.Clone(data[:min(len(data), sampleData)])
		}
		out.Records = append(out.Records, sampled)
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// CheckDeadLetters asks the controller, or any broker that forwards to it, whether Prepare could create the dead-letter
// topic, and creates nothing.
func (s *Source) CheckDeadLetters(ctx context.Context, controller string, topic kafka.Topic) error {
	want := deadLetterTopic(s.cfg.Topic.DeadLetterTopic(), topic)
	ask := createtopics.RequestTopic{
		Name: want.Topic, NumPartitions: int32(want.NumPartitions), ReplicationFactor: int16(want.ReplicationFactor),
	}
	for _, c := range want.ConfigEntries {
		ask.Configs = append(ask.Configs, createtopics.RequestConfig{Name: c.ConfigName, Value: c.ConfigValue})
	}
	return s.cfg.Kafka.within(ctx, controller, func(c *protocol.Conn) error {
		// kafka-go's client would wait until the topic appears. Version 2 is what brokers from 0.11 to 4.x all speak.
		c.SetVersions(map[protocol.ApiKey]int16{protocol.CreateTopics: 2})
		reply, err := c.RoundTrip(&createtopics.Request{ValidateOnly: true, TimeoutMs: 5000,
			Topics: []createtopics.RequestTopic{ask}})
		if err != nil {
			return err
		}
		resp, ok := reply.(*createtopics.Response)
		if !ok || len(resp.Topics) != 1 {
			return fmt.Errorf("unexpected reply %T", reply)
		}
		if code := kafka.Error(resp.Topics[0].ErrorCode); code != 0 && code != kafka.TopicAlreadyExists {
			return fmt.Errorf("%w (%s)", code, resp.Topics[0].ErrorMessage)
		}
		return nil
	})
}
