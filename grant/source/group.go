package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"

	"github.com/granter/granter/grant"
)

const (
	watchEvery = 2 * time.Second // to notice that the topic has more partitions
	leaveFor   = 5 * time.Second // to tell the group; if that fails, the others wait for the session to expire
)

// Group is this process's membership in the consumer group.
type Group struct {
	source   *Source
	group    *kafka.ConsumerGroup
	assigned atomic.Int64       // partitions of the topic when this process, as the leader, last assigned them; 0: it did not
	hangUp   context.CancelFunc // closes every connection of the group
}

// Join enters the consumer group. The group hands out partitions by Next; Leave must be called.
func (s *Source) Join() (grant.Group, error) {
	g := &Group{source: s}
	var connected context.Context
	connected, g.hangUp = context.WithCancel(context.Background())
	dialer := s.cfg.Kafka.Dialer()
	dialer.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Err() != nil {
			return nil, connected.Err()
		}
		conn, err := s.cfg.Kafka.open(ctx, network, address)
		if err == nil {
			context.AfterFunc(connected, func() { conn.Close() })
		}
		return conn, err
	}
	var err error
	g.group, err = kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                s.cfg.Pass.Group,
		Brokers:           s.cfg.Kafka.Brokers,
		Dialer:            dialer,
		Topics:            []string{s.cfg.Topic.Topic},
		GroupBalancers:    []kafka.GroupBalancer{assigner{topic: s.cfg.Topic.Topic, assigned: &g.assigned}},
		HeartbeatInterval: min(s.cfg.SessionTimeout/4, 3*time.Second),
		SessionTimeout:    s.cfg.SessionTimeout,
		RebalanceTimeout:  30 * time.Second,
		JoinGroupBackoff:  500 * time.Millisecond,
		StartOffset:       kafka.FirstOffset,
		Timeout:           s.cfg.Kafka.timeout(),
		ErrorLogger: kafka.LoggerFunc(func(format string, args ...any) {
			s.cfg.Log.Debug("consumer group: " + fmt.Sprintf(format, args...))
		}),
	})
	if err != nil {
		g.hangUp()
		return nil, fmt.Errorf("consumer group %s: %w", s.cfg.Pass.Group, err)
	}
	return g, nil
}

// assigner assigns partitions as kafka-go's range balancer does, and remembers how many there were, plus one: a topic may have
// none for its broker just then, and 0 is who does not assign.
type assigner struct {
	kafka.RangeGroupBalancer
	topic    string
	assigned *atomic.Int64
}

func (d assigner) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	n := 1
	for i := range partitions {
		if partitions[i].Topic == d.topic {
			n++
		}
	}
	d.assigned.Store(int64(n))
	return d.RangeGroupBalancer.AssignGroups(members, partitions)
}

// Leave leaves the group, so that the others take over at once. The current generation must have been released.
func (g *Group) Leave() error {
	defer time.AfterFunc(leaveFor, g.hangUp).Stop() // a broker that does not answer holds nobody up
	defer g.hangUp()
	return g.group.Close()
}

// Generation is one assignment of partitions to this process. It ends when the group changes.
type Generation struct {
	source    *Source
	gen       *kafka.Generation
	committed grant.Offsets
	ctx       context.Context //nolint:containedctx // it is the generation's life
	cancel    context.CancelFunc
	released  chan struct{}
}

// Next waits for the next assignment. The previous generation must have been released.
func (g *Group) Next(ctx context.Context) (grant.Generation, error) {
	gen, err := g.next(ctx)
	if err != nil {
		return nil, err
	}
	out := &Generation{source: g.source, gen: gen, committed: grant.Offsets{}, released: make(chan struct{})}
	for _, a := range gen.Assignments[g.source.cfg.Topic.Topic] {
		out.committed[a.ID] = max(a.Offset, -1)
	}
	if err := g.source.dropForeign(ctx, g.source.cfg.Pass.Group, out.committed); err != nil {
		gen.Start(func(context.Context) {}) // ends the generation
		return nil, err
	}
	if len(out.committed) == 0 {
		// There may be more members than partitions, but without a topic all would wait for ever.
		err := g.source.retry(ctx, "looking for the topic", func() error { _, err := g.source.topic(ctx); return err })
		if err != nil {
			return nil, err
		}
	}
	out.ctx, out.cancel = context.WithCancel(context.Background())
	if assigned := g.assigned.Swap(0); assigned > 0 {
		gen.Start(func(ended context.Context) { g.watch(ended, int(assigned-1)) })
	}
	gen.Start(func(ended context.Context) {
		// The group waits for this function before it joins the next generation.
		select {
		case <-ended.Done():
			out.cancel()
			<-out.released
		case <-out.released:
		}
	})
	return out, nil
}

func (g *Group) next(ctx context.Context) (*kafka.Generation, error) {
	failing := time.Time{}
	for {
		gen, err := g.group.Next(ctx)
		if err == nil {
			return gen, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		kind, retry := Classify(err)
		g.source.cfg.Observer.KafkaError(string(kind))
		if failing.IsZero() {
			failing = time.Now()
			if kind == KindBroker {
				if foreign := g.foreign(ctx); foreign != nil {
					return nil, fmt.Errorf("%w (%w)", foreign, err)
				}
			}
		}
		if errors.Is(err, kafka.ErrGroupClosed) || !retry || time.Since(failing) > g.source.cfg.RetryFor {
			return nil, fmt.Errorf("joining consumer group %s: %w", g.source.cfg.Pass.Group, err)
		}
		g.source.cfg.Log.Warn("joining the consumer group failed, trying again", "group", g.source.cfg.Pass.Group, "error", err)
	}
}

// watch returns, and so ends the generation, when the topic has more partitions than were assigned. Only the member
// that assigned them knows. kafka-go's own watcher misses those that came between the assignment and its first look, and asks
// in a way that makes brokers create a topic that was deleted.
func (g *Group) watch(ended context.Context, assigned int) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		t, err := g.source.topic(ended)
		if err == nil && len(t.Partitions) > assigned {
			g.source.cfg.Log.Info("the topic has grown, joining the group again", "partitions", len(t.Partitions), "before",
				assigned)
			return
		}
		if assigned == 0 && errors.Is(err, kafka.UnknownTopicOrPartition) {
			return // whoever asks for the next generation is told, and nobody reads a partition that would
		}
		select {
		case <-tick.C:
		case <-ended.Done():
			return
		}
	}
}

// Committed returns, for each assigned partition, the offset that Kafka has for the group; −1: none.
func (g *Generation) Committed() grant.Offsets { return g.committed }

// Context is cancelled when the group changes. The owner then drains and calls Release.
func (g *Generation) Context() context.Context { return g.ctx }

// Commit tells Kafka how far the group is, and in which topic: offsets are committed by the topic's name, so they would
// mean nothing to a topic that is made again. It may fail when the group is changing; the ledger's checkpoint is what a
// restart trusts, so nothing is lost by that.
func (g *Generation) Commit(next grant.Offsets) error {
	s := g.source
	ctx, stop := context.WithTimeout(context.WithoutCancel(g.ctx), s.cfg.Kafka.timeout()) // the last commit is after its end
	defer stop()
	id, err := s.Bind(ctx)
	if err != nil {
		return err
	}
	topic := offsetcommit.RequestTopic{Name: s.cfg.Topic.Topic}
	for partition, offset := range next {
		topic.Partitions = append(topic.Partitions, offsetcommit.RequestPartition{
			PartitionIndex: int32(partition), CommittedOffset: offset, CommittedLeaderEpoch: s.Epoch(partition, offset),
			CommittedMetadata: id.String(),
		})
	}
	reply, err := s.transport.RoundTrip(ctx, s.client.Addr, &offsetcommit.Request{
		GroupID: g.gen.GroupID, GenerationID: g.gen.ID, MemberID: g.gen.MemberID, RetentionTimeMs: -1,
		Topics: []offsetcommit.RequestTopic{topic},
	})
	if err != nil {
		return fmt.Errorf("committing offsets: %w", err)
	}
	resp, ok := reply.(*offsetcommit.Response)
	if !ok {
		return fmt.Errorf("committing offsets: unexpected reply %T", reply)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("committing offset of partition %d: %w", p.PartitionIndex, kafka.Error(p.ErrorCode))
			}
		}
	}
	return nil
}

// dropForeign takes back offsets that were committed for another topic of the same name.
func (s *Source) dropForeign(ctx context.Context, group string, committed grant.Offsets) error {
	id := s.binding.id.Load()
	if id == nil || len(committed) == 0 {
		return nil
	}
	name := s.cfg.Topic.Topic
	return s.retry(ctx, "reading what the group committed", func() error {
		req := &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{name: slices.Collect(maps.Keys(committed))}}
		resp, err := s.client.OffsetFetch(ctx, req)
		if err == nil {
			err = resp.Error
		}
		if err != nil {
			return err
		}
		for _, p := range resp.Topics[name] {
			if p.Error != nil {
				return p.Error
			}
			if of, ok := CommittedFor(p.Metadata); ok && !id.Continues(of) {
				s.cfg.Log.Warn("the group's offset is one of another topic of that name, and is not used", "partition",
					p.Partition,
					"offset", p.CommittedOffset, "committed_for", of, "topic", id)
				committed[p.Partition] = -1
			}
		}
		return nil
	})
}

// CommittedFor returns the topic that an offset was committed for, as its metadata say; false: they do not.
func CommittedFor(metadata string) (grant.TopicID, bool) {
	id, err := grant.ParseTopicID(metadata)
	return id, err == nil && metadata != ""
}

// Release ends this process's work on the generation. Call it once.
func (g *Generation) Release() {
	close(g.released)
	g.cancel()
}
