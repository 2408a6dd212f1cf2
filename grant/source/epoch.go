package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// epochs remembers in which leader epochs the records were written that a source has read.
type epochs struct {
	mu    sync.Mutex
	parts map[int][]epochStart // ascending
}

// epochStart says that records from an offset on were written in a leader epoch.
type epochStart struct {
	offset int64
	epoch  int32
}

// begin forgets what is known of a partition, but for the epoch of the record before an offset, and returns that; −1: it
// is not known.
func (e *epochs) begin(partition int, next int64) int32 {
	epoch := e.at(partition, next)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parts[partition] = nil
	if epoch >= 0 {
		e.parts[partition] = []epochStart{{next - 1, epoch}}
	}
	return epoch
}

func (e *epochs) set(partition int, offset int64, epoch int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parts[partition] = append(e.parts[partition], epochStart{offset, epoch})
}

// at returns the epoch of the last record before an offset, and forgets those before it.
func (e *epochs) at(partition int, next int64) int32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	starts := e.parts[partition]
	last := -1
	for i := range starts {
		if starts[i].offset < next {
			last = i
		}
	}
	if last < 0 {
		return -1
	}
	e.parts[partition] = slices.Delete(starts, 0, last)
	return e.parts[partition][0].epoch
}

// Epoch implements engine.Source.
func (s *Source) Epoch(partition int, next int64) int32 { return s.epochs.at(partition, next) }

// epochNewest is the version of OffsetForLeaderEpoch, the last before the flexible ones, which say the same; version 2 is
// the first by which a stale leader says so.
const (
	epochNewest = 3
	epochOldest = 2
)

// Intact implements engine.Source.
func (s *Source) Intact(ctx context.Context, at grant.Checkpoint) error {
	if len(at.Next) == 0 {
		return nil
	}
	err := s.retry(ctx, "looking whether the topic still has what was read", func() error { return s.intact(ctx, at) })
	if err != nil {
		return err
	}
	for partition, next := range at.Next {
		s.epochs.mu.Lock()
		s.epochs.parts[partition] = nil
		s.epochs.mu.Unlock()
		if epoch := at.Epoch(partition); epoch >= 0 {
			s.epochs.set(partition, next-1, epoch)
		}
	}
	return nil
}

func (s *Source) intact(ctx context.Context, at grant.Checkpoint) error {
	d, err := s.look(ctx)
	if err != nil {
		return err
	}
	byLeader := map[string][]int{}
	var numbers []int
	for partition, next := range at.Next {
		l, ok := d.leaders[partition]
		switch {
		case !ok:
			return fmt.Errorf("partition %d: %w", partition, kafka.UnknownTopicOrPartition)
		case l.err != nil:
			return fmt.Errorf("partition %d: %w", partition, l.err)
		}
		numbers = append(numbers, partition)
		if at.Epoch(partition) >= 0 && next > 0 {
			byLeader[l.address] = append(byLeader[l.address], partition)
		}
	}
	bounds, err := s.listBounds(ctx, numbers...)
	if err != nil {
		return err
	}
	for _, partition := range numbers {
		if next, end := at.Next[partition], bounds.Ends[partition]; next > end {
			return &grant.TruncatedError{Partition: partition, Offset: next, Epoch: at.Epoch(partition), End: end, EndEpoch: -1}
		}
	}
	for address, partitions := range byLeader {
		if err := s.askEpochs(ctx, address, partitions, at, d.leaders); err != nil {
			return err
		}
	}
	return nil
}

// askEpochs asks a broker where the epochs of the checkpoint end in the partitions that it leads.
func (s *Source) askEpochs(ctx context.Context, address string, partitions []int, at grant.Checkpoint,
	leaders map[int]leader) error {
	q := kmsg.NewPtrOffsetForLeaderEpochRequest()
	q.ReplicaID = -1
	topic := kmsg.NewOffsetForLeaderEpochRequestTopic()
	topic.Topic = s.cfg.Topic.Topic
	for _, partition := range partitions {
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = int32(partition), leaders[partition].epoch, at.Epoch(partition)
		topic.Partitions = append(topic.Partitions, p)
	}
	q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{topic}
	answer, err := s.peer(address).ask(ctx, q, epochNewest)
	if errors.Is(err, kafka.UnsupportedVersion) || err == nil && q.Version < epochOldest {
		return nil // it does not know
	}
	if err != nil {
		return fmt.Errorf("asking %s for leader epochs: %w", address, err)
	}
	return judgeEpochs(answer.(*kmsg.OffsetForLeaderEpochResponse), len(partitions), at)
}

// judgeEpochs compares where epochs end with a checkpoint.
func judgeEpochs(answer *kmsg.OffsetForLeaderEpochResponse, asked int, at grant.Checkpoint) error {
	for i := range answer.Topics {
		for _, p := range answer.Topics[i].Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("asking for the leader epochs of partition %d: %w", p.Partition, kafka.Error(p.ErrorCode))
			}
			partition := int(p.Partition)
			if err := (epochEnd{p.LeaderEpoch, p.EndOffset}).judge(partition, at.Next[partition],
				at.Epoch(partition)); err != nil {
				return err
			}
			asked--
		}
	}
	if asked != 0 {
		return fmt.Errorf("asking for leader epochs: %w", errResponse)
	}
	return nil
}

// judge returns an error if what was read up to an offset, the last record of it in a leader epoch, is not what the
// partition has: the epoch, or the last one that the broker has up to it, ends before that.
func (e epochEnd) judge(partition int, next int64, epoch int32) error {
	if e.epoch == epoch && e.end >= next {
		return nil
	}
	return &grant.TruncatedError{Partition: partition, Offset: next, Epoch: epoch, End: e.end, EndEpoch: e.epoch}
}
