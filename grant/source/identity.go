package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// description is what a broker says of a topic.
type description struct {
	id      grant.TopicID
	leaders map[int]leader
}

// leader is the broker that leads a partition.
type leader struct {
	address string
	epoch   int32 // −1: not known
	err     error
}

// metadataNewest is the version of Metadata by which topics have IDs (10 has them, too); version 7 is the first with leader
// epochs, and version 4 the first by which asking for a topic does not create it.
const (
	metadataNewest = 12
	metadataOldest = 4
)

// describeNow asks a broker for a topic, and for nothing that was heard before.
func (d *directory) describeNow(ctx context.Context, name string) (description, error) {
	q := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	q.Topics = []kmsg.MetadataRequestTopic{topic}
	resp, err := d.ask(ctx, q, metadataNewest)
	if err == nil && q.Version < metadataOldest {
		err = kafka.UnsupportedVersion
	}
	if err != nil {
		return description{}, fmt.Errorf("asking for topic %s: %w", name, err)
	}
	return readDescription(resp.(*kmsg.MetadataResponse), name)
}

func readDescription(meta *kmsg.MetadataResponse, name string) (description, error) {
	at := slices.IndexFunc(meta.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic != nil && *t.Topic == name })
	if at < 0 {
		return description{}, fmt.Errorf("topic %s: %w", name, kafka.UnknownTopicOrPartition)
	}
	topic := &meta.Topics[at]
	if topic.ErrorCode != 0 {
		return description{}, fmt.Errorf("topic %s: %w", name, kafka.Error(topic.ErrorCode))
	}
	out := description{id: grant.TopicID{Topic: topic.TopicID}, leaders: map[int]leader{}}
	if meta.ClusterID != nil {
		out.id.Cluster = *meta.ClusterID
	}
	for i := range topic.Partitions {
		p := &topic.Partitions[i]
		l := leader{epoch: p.LeaderEpoch, err: kafka.LeaderNotAvailable}
		if p.ErrorCode != 0 && kafka.Error(p.ErrorCode) != kafka.ReplicaNotAvailable {
			l.err = kafka.Error(p.ErrorCode)
		} else {
			leads := func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == p.Leader }
			if b := slices.IndexFunc(meta.Brokers, leads); b >= 0 {
				l.address, l.err = brokerAddress(&meta.Brokers[b]), nil
			}
		}
		out.leaders[int(p.Partition)] = l
	}
	return out, nil
}

// Identify returns the identity of the topic that Kafka has now.
func (s *Source) Identify(ctx context.Context) (grant.TopicID, error) {
	var id grant.TopicID
	err := s.retry(ctx, "asking for the topic's identity", func() error {
		d, err := s.directory.describeNow(ctx, s.cfg.Topic.Topic)
		id = d.id
		return err
	})
	return id, err
}

// Bind implements engine.Source.
func (s *Source) Bind(ctx context.Context) (grant.TopicID, error) {
	if bound := s.binding.id.Load(); bound != nil {
		_, err := s.look(ctx)
		return *bound, err
	}
	id, err := s.Identify(ctx)
	if err != nil {
		return id, err
	}
	if !id.Known() {
		s.cfg.Log.Warn("the brokers are older than Kafka 2.8 and have no topic IDs: a topic that is deleted and created again "+
			"is not distinguished "+
			"from the one before", "topic", s.cfg.Topic.Topic, "cluster", id.Cluster)
	}
	s.binding.id.Store(&id)
	return id, nil
}

// bound returns the topic that the source is bound to; zero: to none yet.
func (s *Source) bound() grant.TopicID {
	if id := s.binding.id.Load(); id != nil {
		return *id
	}
	return grant.TopicID{}
}

// look asks for the topic, and fails if it is not the one that the source is bound to.
func (s *Source) look(ctx context.Context) (description, error) {
	d, err := s.directory.describeNow(ctx, s.cfg.Topic.Topic)
	if err != nil {
		return d, err
	}
	s.mu.Lock()
	s.partitions = max(1, len(d.leaders))
	s.mu.Unlock()
	if err := s.binding.judge(s.cfg.Topic.Topic, d.id, time.Now()); err != nil {
		s.directory.other(ctx)
		return d, err
	}
	return d, nil
}

const (
	// how long brokers must have said so before a topic is another one: what they know spreads in its time
	sureAfter = time.Second
	sureAsks  = 3 // and how often
)

// binding is the topic that a source reads, and what speaks against that.
type binding struct {
	id atomic.Pointer[grant.TopicID]

	mu    sync.Mutex
	other grant.TopicID // that brokers show instead
	since time.Time
	asks  int // answers in a row; 0: none
}

// errMaybeOther means that a broker has another topic of the name, and that others may not.
var errMaybeOther = errors.New("a broker has another topic of that name")

// judge returns an error if a topic that a broker shows is another one than the source is bound to. It is an
// *grant.OtherTopicError once no broker has said anything else for a while.
func (b *binding) judge(name string, now grant.TopicID, at time.Time) error {
	bound := b.id.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	if bound == nil || now == *bound || now == bound.Weaker() || !bound.Known() && now.Weaker() == *bound {
		b.asks = 0
		return nil
	}
	if b.asks == 0 || b.other != now {
		b.other, b.since, b.asks = now, at, 0
	}
	b.asks++
	if b.asks >= sureAsks && at.Sub(b.since) >= sureAfter {
		return &grant.OtherTopicError{Name: name, Whose: "this run", Before: *bound, Now: now}
	}
	return fmt.Errorf("%w: %w", errMaybeOther, kafka.UnknownTopicID)
}
