package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
)

// Config is what a Source needs to know. Kafka, Topic and Campaign are required, and Pass, whose consumer group it joins.
type Config struct {
	Kafka    Kafka
	Topic    grant.Input
	Campaign string
	Run      grant.RunID
	Pass     grant.Pass
	// SessionTimeout is how long the group waits for a granter that does not answer before others take over its
	// partitions. Default 10 s; brokers allow no less than 6 s unless configured otherwise.
	SessionTimeout time.Duration
	// RetryFor is how long a failure that may pass is retried before the run stops. Default 2 minutes.
	RetryFor time.Duration
	// FetchMemory is shared by the fetches of this process, in bytes. Default 32 MiB. A partition fetches 64 KiB at
	// least, and one whole batch in any case; what a compressed batch inflates to comes on top, while it is read.
	FetchMemory int
	// IgnoreLimit reads on where Topic.MaxRejected would stop a run, and remembers it: see WouldStop.
	IgnoreLimit bool
	Observer    Observer
	Log         *slog.Logger
}

// Observer receives what happens. It is called concurrently.
type Observer interface {
	// Position reports how far a partition is read, and its high watermark (−1: not known yet).
	Position(partition int, next, highest int64)
	// OpenTransaction reports that records of a partition wait behind a transaction that a producer has neither committed
	// nor aborted, and the offset of the first one; 0 records: no longer.
	OpenTransaction(partition int, first, records int64)
	// Rejected reports a record that is durably in the dead-letter topic (or, in a private pass, is not to be), with one of
	// Reasons.
	Rejected(r grant.Reject)
	// KafkaError reports one of ErrorKinds, also when trying again will help.
	KafkaError(kind string)
}

// Source reads one topic.
type Source struct {
	cfg       Config
	transport *kafka.Transport
	client    *kafka.Client
	dead      *deadLetters
	decode    decoder
	schemas   *schemas // nil: records name none
	header    string   // that holds the IDs; empty: key or value does
	breaker   breaker
	directory *directory
	binding   binding
	epochs    epochs

	mu         sync.Mutex
	partitions int                   // of the topic, as last seen
	peers      map[string]*directory // by address
}

// New makes a source. It connects to nothing yet; Close must be called.
func New(cfg Config) (*Source, error) {
	if cfg.SessionTimeout <= 0 {
		cfg.SessionTimeout = 10 * time.Second
	}
	if cfg.RetryFor <= 0 {
		cfg.RetryFor = 2 * time.Minute
	}
	if cfg.FetchMemory <= 0 {
		cfg.FetchMemory = 32 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Observer == nil {
		cfg.Observer = silent{}
	}
	var by *schemas
	if cfg.Topic.Format.Schemas() {
		var err error
		if by, err = newSchemas(&cfg.Topic, cfg.Kafka.registry()); err != nil {
			return nil, err
		}
	}
	var decode decoder // of IDs that are not dense each partition has its own
	if !cfg.Topic.Opaque() {
		var err error
		if decode, err = newDecoder(cfg.Topic, by); err != nil {
			return nil, err
		}
	}
	s := &Source{
		cfg: cfg, transport: cfg.Kafka.Transport(), decode: decode, schemas: by, header: cfg.Topic.From.Header(),
		directory: newDirectory(cfg.Kafka), epochs: epochs{parts: map[int][]epochStart{}}, peers: map[string]*directory{},
	}
	// By name, because brokers leave topics out of the list of all that they only refuse to describe.
	s.transport.MetadataTopics = []string{cfg.Topic.Topic, cfg.Topic.DeadLetterTopic()}
	s.client = cfg.Kafka.Client(s.transport)
	s.dead = &deadLetters{client: s.client, topic: cfg.Topic.Topic, name: cfg.Topic.DeadLetterTopic(), campaign: cfg.Campaign,
		run: cfg.Run, header: s.header, id: s.bound}
	s.breaker = breaker{limit: cfg.Topic.MaxRejected, topic: cfg.Topic.Topic}
	return s, nil
}

// Close releases all connections.
func (s *Source) Close() error {
	s.transport.CloseIdleConnections()
	s.schemas.close()
	s.directory.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.peers {
		d.close()
	}
	return nil
}

type silent struct{}

func (silent) Position(int, int64, int64) {}

func (silent) OpenTransaction(int, int64, int64) {}

func (silent) Rejected(grant.Reject) {}
func (silent) KafkaError(string)     {}

// topic returns the topic's metadata.
func (s *Source) topic(ctx context.Context) (kafka.Topic, error) {
	t, err := describe(ctx, s.client, s.cfg.Topic.Topic)
	if err == nil {
		s.mu.Lock()
		s.partitions = max(1, len(t.Partitions))
		s.mu.Unlock()
	}
	return t, err
}

// describe returns a topic's metadata, as the transport last saw it.
func describe(ctx context.Context, client *kafka.Client, name string) (kafka.Topic, error) {
	resp, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{name}})
	if err != nil {
		return kafka.Topic{}, fmt.Errorf("asking for topic %s: %w", name, err)
	}
	for _, t := range resp.Topics {
		if t.Name == name {
			if t.Error != nil {
				return kafka.Topic{}, fmt.Errorf("topic %s: %w", name, t.Error)
			}
			return t, nil
		}
	}
	return kafka.Topic{}, fmt.Errorf("topic %s: %w", name, kafka.UnknownTopicOrPartition)
}

// leader returns the broker that leads a partition, and the topic's identity.
func (s *Source) leader(ctx context.Context, number int) (leader, grant.TopicID, error) {
	d, err := s.look(ctx)
	if err != nil {
		return leader{}, d.id, err
	}
	l, ok := d.leaders[number]
	if !ok {
		l.err = kafka.UnknownTopicOrPartition
	}
	if l.err != nil {
		return l, d.id, fmt.Errorf("partition %d: %w", number, l.err)
	}
	return l, d.id, nil
}

// fetchBytes is how much one partition may fetch at once: the fetch memory is shared by all partitions. More than
// 4 MiB gains nothing; less than 64 KiB would make a round trip of every few records.
func (s *Source) fetchBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(s.cfg.FetchMemory/max(s.partitions, 1), 64<<10), 4<<20)
}

// Prepare makes sure that the topic can be read and that its dead-letter topic exists.
func (s *Source) Prepare(ctx context.Context) error {
	return s.retry(ctx, "preparing the topics", func() error {
		t, err := s.topic(ctx)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			return fmt.Errorf("%w: create it, or correct source.topic in the spec", &permanent{err})
		}
		if err != nil {
			return err
		}
		if s.cfg.Pass.Private {
			return nil
		}
		return ensureDeadLetterTopic(ctx, s.client, s.cfg.Topic.DeadLetterTopic(), t)
	})
}

// permanent hides what an error is, so that it is not tried again.
type permanent struct{ error }

// retry tries until it succeeds, the error cannot pass, or Config.RetryFor is up.
func (s *Source) retry(ctx context.Context, what string, try func() error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := try()
		if err == nil {
			return struct{}{}, nil
		}
		kind, again := Classify(err)
		if ctx.Err() == nil {
			s.cfg.Observer.KafkaError(string(kind))
		}
		if !again {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses()), backoff.WithMaxElapsedTime(s.cfg.RetryFor),
		backoff.WithNotify(func(err error, _ time.Duration) {
			s.cfg.Log.Warn(what+" failed, trying again", "error", err)
		}))
	return err
}

// pauses are 50 ms to 3 s.
func pauses() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 3*time.Second
	return b
}

// Bounds returns what every partition of the topic has.
func (s *Source) Bounds(ctx context.Context) (grant.Bounds, error) {
	var out grant.Bounds
	err := s.retry(ctx, "asking for offsets", func() (err error) {
		out, err = s.Peek(ctx)
		return err
	})
	return out, err
}

// Peek is Bounds in one attempt, so that whoever watches knows soon that Kafka does not answer.
func (s *Source) Peek(ctx context.Context) (grant.Bounds, error) {
	t, err := s.topic(ctx)
	if err != nil {
		return grant.Bounds{}, err
	}
	numbers := make([]int, len(t.Partitions))
	for i, p := range t.Partitions {
		numbers[i] = p.ID
	}
	return s.listBounds(ctx, numbers...)
}

// listBounds returns what some partitions have.
func (s *Source) listBounds(ctx context.Context, numbers ...int) (grant.Bounds, error) {
	ask := make([]kafka.OffsetRequest, 0, 2*len(numbers))
	for _, n := range numbers {
		ask = append(ask, kafka.FirstOffsetOf(n), kafka.LastOffsetOf(n))
	}
	name := s.cfg.Topic.Topic
	resp, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{name: ask}})
	if err != nil {
		return grant.Bounds{}, fmt.Errorf("asking for the offsets of %s: %w", name, err)
	}
	out := grant.Bounds{Firsts: grant.Offsets{}, Ends: grant.Offsets{}}
	for _, p := range resp.Topics[name] {
		if p.Error != nil {
			return grant.Bounds{}, fmt.Errorf("asking for the offsets of %s, partition %d: %w", name, p.Partition, p.Error)
		}
		if p.FirstOffset < 0 || p.LastOffset < p.FirstOffset { // two requests: the partition may change between them
			return grant.Bounds{}, fmt.Errorf("asking for the offsets of %s, partition %d: first %d, end %d: %w",
				name, p.Partition, p.FirstOffset, p.LastOffset, kafka.LeaderNotAvailable)
		}
		out.Firsts[p.Partition], out.Ends[p.Partition] = p.FirstOffset, p.LastOffset
	}
	if len(out.Ends) != len(numbers) {
		return grant.Bounds{}, fmt.Errorf("asked for the offsets of %d partitions of %s, got %d: %w", len(numbers), name,
			len(out.Ends), kafka.LeaderNotAvailable)
	}
	return out, nil
}
