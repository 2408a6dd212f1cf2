package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Checkpoints returns the checkpoint that a new session would start from, without starting one.
func (l *Grants) Checkpoints(ctx context.Context) (grant.Checkpoint, error) {
	return l.reader.Checkpoints(ctx, l.campaign)
}

// Checkpoints returns the checkpoint that a run under a spec of the campaign would start from: each version of the spec has
// its own.
func (l *Reader) Checkpoints(ctx context.Context, spec *grant.Campaign) (grant.Checkpoint, error) {
	var found grant.Checkpoint
	err := l.retry(ctx, "reading the checkpoint", func() (err error) {
		found, _, err = l.checkpoints(ctx, specVersion(spec.Hash))
		return err
	})
	return found, err
}

// checkpoints takes the minimum over the anchors: what one master lost, none has. A partition that is missing at one is
// missing. It also returns which topics the anchors count in, without those that do not say: they are several when a
// process died while it began anew, and then nothing counts.
func (l *Store) checkpoints(ctx context.Context, version string) (grant.Checkpoint, []grant.TopicID, error) {
	pipe := l.client.Pipeline()
	replies := make([]*redis.MapStringStringCmd, len(l.keys.anchors))
	for i, anchor := range l.keys.anchors {
		replies[i] = pipe.HGetAll(ctx, l.keys.checkpoint(anchor, version))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return grant.Checkpoint{}, nil, named(replies, err)
	}
	lowest := grant.Checkpoint{Next: grant.Offsets{}, Epochs: map[int]int32{}}
	var topics []grant.TopicID
	seen := map[int]int{}
	for i, reply := range replies {
		one, err := parseCheckpoint(reply.Val())
		if err != nil {
			return grant.Checkpoint{}, nil, fmt.Errorf("checkpoint at %s: %w: %w", l.keys.checkpoint(l.keys.anchors[i], version), ErrInconsistent, err)
		}
		if one.Topic != (grant.TopicID{}) && !slices.Contains(topics, one.Topic) {
			topics = append(topics, one.Topic)
			lowest.Topic = one.Topic
		}
		for partition, next := range one.Next {
			if old, ok := lowest.Next[partition]; !ok || next < old {
				lowest.Next[partition], lowest.Epochs[partition] = next, one.Epoch(partition)
			}
			seen[partition]++
		}
	}
	for partition := range seen {
		if seen[partition] < len(replies) || len(topics) > 1 {
			delete(lowest.Next, partition)
		}
		if _, ok := lowest.Next[partition]; !ok || lowest.Epochs[partition] < 0 {
			delete(lowest.Epochs, partition)
		}
	}
	return lowest, topics, nil
}

// parseCheckpoint reads the checkpoint of one anchor.
func parseCheckpoint(fields map[string]string) (grant.Checkpoint, error) {
	c := grant.Checkpoint{Next: grant.Offsets{}, Epochs: map[int]int32{}}
	for field, value := range fields {
		var err error
		number, epoch := strings.CutPrefix(field, "e")
		switch {
		case field == "topic":
			c.Topic, err = grant.ParseTopicID(value)
		case epoch:
			err = parsePair(c.Epochs, number, value, 32)
		default:
			err = parsePair(c.Next, number, value, 64)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

func parsePair[T int32 | int64](into map[int]T, partition, value string, bits int) error {
	p, err := strconv.ParseInt(partition, 10, 32)
	v, err2 := strconv.ParseInt(value, 10, bits)
	into[int(p)] = T(v)
	return errors.Join(err, err2)
}
