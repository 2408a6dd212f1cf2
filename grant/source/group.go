package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
)

// Group is this process's membership in the consumer group.
type Group struct {
	source *Source
	group  *kafka.ConsumerGroup
}

// Join enters the consumer group. The group hands out partitions by Next; Leave must be called.
func (s *Source) Join() (grant.Group, error) {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     s.cfg.Group,
		Brokers:                s.cfg.Kafka.Brokers,
		Dialer:                 s.cfg.Kafka.Dialer(),
		Topics:                 []string{s.cfg.Topic.Topic},
		GroupBalancers:         []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		HeartbeatInterval:      min(s.cfg.SessionTimeout/4, 3*time.Second),
		SessionTimeout:         s.cfg.SessionTimeout,
		RebalanceTimeout:       30 * time.Second,
		JoinGroupBackoff:       500 * time.Millisecond,
		WatchPartitionChanges:  true, // topic growth ends the generation, and the next one has the new partitions
		PartitionWatchInterval: 2 * time.Second,
		StartOffset:            kafka.FirstOffset,
		Timeout:                s.cfg.Kafka.timeout(),
		ErrorLogger: kafka.LoggerFunc(func(format string, args ...any) {
			s.cfg.Log.Debug("consumer group: " + fmt.Sprintf(format, args...))
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("consumer group %s: %w", s.cfg.Group, err)
	}
	return &Group{source: s, group: g}, nil
}

// Leave leaves the group, so that the others take over at once. The current generation must have been released.
func (g *Group) Leave() error { return g.group.Close() }

// Generation is one assignment of partitions to this process. It ends when the group changes.
type Generation struct {
	topic     string
	gen       *kafka.Generation
	committed map[int]int64
	ctx       context.Context //nolint:containedctx // it is the generation's life
	cancel    context.CancelFunc
	released  chan struct{}
}

// Next waits for the next assignment. The previous generation must have been released.
func (g *Group) Next(ctx context.Context) (grant.Generation, error) {
	var gen *kafka.Generation
	failing := time.Now()
	for gen == nil {
		var err error
		if gen, err = g.group.Next(ctx); err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		kind, retry := Classify(err)
		g.source.cfg.Observer.KafkaError(string(kind))
		if errors.Is(err, kafka.ErrGroupClosed) || !retry || time.Since(failing) > g.source.cfg.RetryFor {
			return nil, fmt.Errorf("joining consumer group %s: %w", g.source.cfg.Group, err)
		}
		g.source.cfg.Log.Warn("joining the consumer group failed, trying again", "group", g.source.cfg.Group, "error", err)
	}
	out := &Generation{topic: g.source.cfg.Topic.Topic, gen: gen, committed: map[int]int64{}, released: make(chan struct{})}
	for _, a := range gen.Assignments[out.topic] {
		out.committed[a.ID] = max(a.Offset, -1)
	}
	out.ctx, out.cancel = context.WithCancel(context.Background())
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

// Committed returns, for each assigned partition, the offset that Kafka has for the group; −1: none.
func (g *Generation) Committed() map[int]int64 { return g.committed }

// Context is cancelled when the group changes. The owner then drains and calls Release.
func (g *Generation) Context() context.Context { return g.ctx }

// Commit tells Kafka how far the group is. It may fail when the group is changing; the ledger's checkpoint is what a
// restart trusts, so nothing is lost by that.
func (g *Generation) Commit(next map[int]int64) error {
	return g.gen.CommitOffsets(map[string]map[int]int64{g.topic: next})
}

// Release ends this process's work on the generation. Call it once.
func (g *Generation) Release() {
	close(g.released)
	g.cancel()
}
