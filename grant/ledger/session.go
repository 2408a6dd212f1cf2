package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// tipLife is how long the tips of a dead session stay. A living one refreshes them at every checkpoint.
const tipLife = 7 * 24 * time.Hour

// session is what a ledger knows between one Begin and the next.
type session struct {
	id    string        // run and nonce, in the name of the tip keys
	nonce string        // 16 hex digits
	topic grant.TopicID // what offsets count in

	mu       sync.Mutex
	shards   map[int]*shard
	expected grant.Offsets // the checkpoint as last read or written: no anchor may have less
}

// shard is the state of one shard of the pool in this session.
type shard struct {
	acked atomic.Uint64 // tip of the last acknowledged pipeline; Checkpoint reads it
	tip   uint64        // of the last pipeline sent
	known map[uint64]struct{}
	flight
}

func (s *session) shard(index int) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shards[index]
	if sh == nil {
		sh = &shard{known: map[uint64]struct{}{}}
		s.shards[index] = sh
	}
	return sh
}

// Begin starts a session that reads a topic, and returns the checkpoint to start from. One that does not say what it counts
// in is taken for one of this topic; one of another topic is a *grant.OtherTopicError.
//
// Each session needs a new shard pool, and each pool a new session: pools count their flushes from 1, and what an old one
// remembers as granted may be what was lost. No Grant or Checkpoint may be under way.
func (l *Grants) Begin(ctx context.Context, topic grant.TopicID) (grant.Checkpoint, error) {
	var found grant.Checkpoint
	err := l.retry(ctx, "beginning a session", func() error {
		if err := l.checkAnchors(ctx); err != nil {
			return err
		}
		if err := l.loadScripts(ctx); err != nil {
			return err
		}
		var topics []grant.TopicID
		var err error
		if found, topics, err = l.checkpoints(ctx, l.keys.version); err != nil {
			return err
		}
		for _, other := range topics {
			if !topic.Continues(other) {
				return l.otherTopic(other, topic)
			}
		}
		return nil
	})
	if err != nil {
		return grant.Checkpoint{}, err
	}
	var nonce [8]byte
	rand.Read(nonce[:])
	s := &session{nonce: hex.EncodeToString(nonce[:]), topic: topic, shards: map[int]*shard{}, expected: found.Next}
	s.id = l.run.String() + "-" + s.nonce
	l.session.Store(s)
	found.Next = maps.Clone(found.Next)
	return found, nil
}

func (l *Store) otherTopic(before, now grant.TopicID) error {
	return &grant.OtherTopicError{Name: l.campaign.Input.Topic, Whose: "the checkpoint", Before: before, Now: now}
}

// BeginAnew makes the checkpoints of the campaign, of every pass, such ones of a topic in which nobody is granted yet,
// unless they are of it already. lost says that they are to begin anew even so, where they are beyond what a partition
// still has. It may be repeated, also by several replicas.
func (l *Grants) BeginAnew(ctx context.Context, topic grant.TopicID, lost *grant.TruncatedError) error {
	args := []any{topic.String()}
	if lost != nil {
		args = append(args, lost.Partition, lost.End)
	}
	return l.retry(ctx, "beginning the checkpoint anew", func() error {
		if err := l.loadScripts(ctx); err != nil {
			return err
		}
		return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			keys := c.Scan(ctx, 0, "granter:{"+l.keys.campaign+"/anchor*}:checkpoint:*", scanPage).Iterator()
			for keys.Next(ctx) {
				if err := c.Process(ctx, anewCall.command(ctx, []string{keys.Val()}, args...)); err != nil {
					return err
				}
			}
			return keys.Err()
		})
	})
}

// scanPage is how many keys a SCAN looks at before it lets others go first.
const scanPage = 1000

// Checkpoint records that everything before the given offsets of the session's topic is settled: granted by flushes that
// were acknowledged, or in need of no grant. Partitions that are left out keep what they have, and none ever goes back.
// epochs are the leader epochs of the last records before the offsets, as far as they are known. Call it only with what
// Grant returned for, from one goroutine; shards may go on granting meanwhile.
//
// ErrRegressed means that a master lost acknowledged writes, a *grant.OtherTopicError that the checkpoint is of another
// topic by now; where either was noticed, nothing is written. Other errors are those of Grant. A call may be repeated.
func (l *Grants) Checkpoint(ctx context.Context, next grant.Offsets, epochs map[int]int32) error {
	s := l.session.Load()
	if s == nil {
		return errNoSession
	}
	args := s.checkpointArgs(next, epochs)
	err := l.retry(ctx, "writing the checkpoint", func() error {
		// A master that joined since Begin may have no anchor: the loss of its writes would go unnoticed.
		if err := l.checkAnchors(ctx); err != nil {
			return err
		}
		pipe := l.client.Pipeline()
		replies := make([]*redis.Cmd, len(l.keys.anchors))
		for i, anchor := range l.keys.anchors {
			replies[i] = checkpointCall.command(ctx, []string{l.keys.checkpoint(anchor, l.keys.version), l.keys.tip(anchor, s.id)}, args...)
		}
		return l.execute(ctx, pipe, replies, func(i int, reply any) error {
			lost, ok := reply.([]any)
			if !ok || len(lost) != 0 && len(lost) != 4 {
				return fmt.Errorf("checkpoint script: unexpected reply %v", reply)
			}
			if len(lost) == 0 {
				return nil
			}
			if lost[0] == "topic" {
				found, err := grant.ParseTopicID(fmt.Sprint(lost[3]))
				if err != nil {
					return fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.checkpoint(l.keys.anchors[i], l.keys.version), err)
				}
				return l.otherTopic(found, s.topic)
			}
			return fmt.Errorf("%w: %s: %v %v: expected %v, found %v",
				ErrRegressed, l.keys.checkpoint(l.keys.anchors[i], l.keys.version), lost[0], lost[1], lost[2], lost[3])
		})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for partition, offset := range next {
		s.expected[partition] = max(offset, s.expected[partition])
	}
	return nil
}

// checkpointArgs lays out the arguments of the checkpoint script. Tips are read before anything is sent: they cover all
// that the caller knows to be acknowledged, and may only grow.
func (s *session) checkpointArgs(next grant.Offsets, epochs map[int]int32) []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := []any{int(tipLife.Seconds()), s.topic.String(), s.topic.Weaker().String(), 0}
	shards := 0
	for _, index := range slices.Sorted(maps.Keys(s.shards)) {
		if acked := s.shards[index].acked.Load(); acked > 0 {
			args = append(args, index, acked)
			shards++
		}
	}
	args[3] = shards
	partitions := slices.Collect(maps.Keys(s.expected))
	for partition := range next {
		if _, ok := s.expected[partition]; !ok {
			partitions = append(partitions, partition)
		}
	}
	slices.Sort(partitions)
	for _, partition := range partitions {
		expected, ok := s.expected[partition]
		if !ok {
			expected = -1
		}
		epoch, known := epochs[partition]
		if !known {
			epoch = -1
		}
		args = append(args, partition, expected, max(expected, next[partition]), epoch)
	}
	return args
}
