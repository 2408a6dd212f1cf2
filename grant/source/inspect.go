package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/granter/granter/grant"
)

// ClientID is the name by which brokers know this program, in their logs and as a group's member.
const ClientID = clientID

// MaxDeadLetter is the largest record, in bytes, that a dead-letter topic takes which Prepare created. Larger ones are cut.
const MaxDeadLetter = maxDeadLetter

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

// within uses a connection to a broker for something that the context can end at any moment. The authentication is a
// part of that: kafka-go sets no deadline for it.
func (k Kafka) within(ctx context.Context, address string, use func(*protocol.Conn) error) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	var conn net.Conn
	d := k.Dialer()
	d.TLS = nil
	d.DialFunc = func(dial context.Context, network, addr string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(dial, network, addr)
		if err != nil {
			return nil, err
		}
		conn = raw
		context.AfterFunc(ctx, func() { raw.Close() })
		if k.TLS == nil {
			return conn, nil
		}
		cfg := k.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = host
		}
		secure := tls.Client(raw, cfg)
		conn = secure
		return conn, secure.HandshakeContext(dial)
	}
	_, err = d.DialContext(ctx, "tcp", address)
	if conn != nil {
		defer conn.Close()
	}
	if err == nil {
		err = use(protocol.NewConn(conn, clientID))
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
	Reason Reason // empty: ID is valid
	Data   []byte // what is no valid ID, up to 64 bytes of it
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
// what it has read also when it fails or the context ends. saw is told of every place that some records were read at.
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
		if next, err = s.add(out, f, next); err != nil {
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
func (s *sampler) add(out *Sample, f fetched, next int64) (int64, error) {
	hidden := newHidden(f.aborted)
	for rest := f.records; len(rest) > 0 && len(out.Records) < out.Limit && next < out.Until; {
		raw := rest
		var b batch
		var err error
		b, rest, err = readBatch(raw)
		if errors.Is(err, errTruncated) {
			return next, nil
		}
		if err != nil {
			return next, err
		}
		hide := hidden.hides(&b)
		if b.last < next {
			continue
		}
		out.Transactional = out.Transactional || b.transactional()
		if at := int64(binary.BigEndian.Uint64(raw[35:])); out.Oldest.IsZero() && at > 0 {
			out.Oldest = time.UnixMilli(at)
		}
		if hide {
			out.Hidden++
		} else if err := s.addBatch(out, &b, next); err != nil {
			return next, err
		}
		next = b.last + 1
	}
	return next, nil
}

// errEnough ends a visit early.
var errEnough = errors.New("the sample is large enough")

func (s *sampler) addBatch(out *Sample, b *batch, next int64) error {
	err := b.visit(&s.inflated, next, out.Until, func(offset int64, key, value []byte) error {
		if len(out.Records) >= out.Limit {
			return errEnough
		}
		id, reason := s.decode(key, value)
		sampled := Sampled{Offset: offset, ID: grant.UserID(id), Reason: reason}
		if reason != "" {
			data := s.holder(key, value)
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
	replicas := 1
	if len(topic.Partitions) > 0 {
		replicas = max(1, len(topic.Partitions[0].Replicas))
	}
	return s.cfg.Kafka.within(ctx, controller, func(c *protocol.Conn) error {
		// kafka-go's client would wait until the topic appears. Version 2 is what brokers from 0.11 to 4.x all speak.
		c.SetVersions(map[protocol.ApiKey]int16{protocol.CreateTopics: 2})
		reply, err := c.RoundTrip(&createtopics.Request{ValidateOnly: true, TimeoutMs: 5000, Topics: []createtopics.RequestTopic{{
			Name: s.cfg.Topic.DeadLetterTopic(), NumPartitions: int32(len(topic.Partitions)), ReplicationFactor: int16(replicas),
			Configs: []createtopics.RequestConfig{
				{Name: "max.message.bytes", Value: strconv.Itoa(maxDeadLetter)},
				{Name: "retention.ms", Value: "-1"},
			},
		}}})
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
