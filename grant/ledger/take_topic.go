package ledger

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// TopicTakes are takes that are read from a topic. How far that is read is in Redis, and vouched for as it is for grants (see
// the package comment): a Redis that loses takes loses the checkpoint of them, too, and they are read again.
type TopicTakes struct {
	*Takes
	grants *Grants // its sessions and checkpoints, which are those of the topic of takes
}

// NewTopicTakes makes the takes of a store that come from a topic. Each of its lanes sends one call at a time.
func NewTopicTakes(s *Store, topic string, run grant.RunID) *TopicTakes {
	own := *s
	own.keys.progress, own.keys.pass = "takepoint", topic
	return &TopicTakes{Takes: NewTakes(&own, run), grants: NewGrants(&own, run)}
}

// Begin starts a session, as Grants.Begin does; nobody may take anything meanwhile.
func (t *TopicTakes) Begin(ctx context.Context, topic grant.TopicID) (grant.Checkpoint, error) {
	return t.grants.Begin(ctx, topic)
}

// Restart forgets how far the topic is read, so that the next session reads it from its first record. One that is under way
// notices, and begins again there.
func (t *TopicTakes) Restart(ctx context.Context) error {
	k := &t.grants.keys
	return t.retry(ctx, "forgetting how far takes are read", func() error {
		pipe := t.client.Pipeline()
		for _, anchor := range k.anchors {
			pipe.Del(ctx, k.checkpoint(anchor, k.version))
		}
		_, err := pipe.Exec(ctx)
		return err
	})
}

// TakeFrom is Take for the wishes of one lane, of which one call may be under way; it does not say since when users have what
// they had before. ErrRegressed means that the ledger lost
// writes: call Begin, and read again from what it returns.
func (t *TopicTakes) TakeFrom(ctx context.Context, lane int, c *grant.Campaign, wishes []Take) ([]Taken, error) {
	s := t.grants.session.Load()
	if s == nil {
		return nil, errNoSession
	}
	sh := s.shard(lane)
	return t.take(ctx, c, wishes, 1, func(ctx context.Context, pipe redis.Pipeliner) error {
		err := t.grants.vouch(ctx, pipe, s, sh, lane)
		if err == nil {
			sh.acked.Store(sh.tip)
		}
		return err
	})
}

// Checkpoint records that everything before the given offsets is settled, as Grants.Checkpoint does.
func (t *TopicTakes) Checkpoint(ctx context.Context, next grant.Offsets, epochs map[int]int32) error {
	return t.grants.Checkpoint(ctx, next, epochs)
}

// Checkpoints returns how far the topic is read.
func (t *TopicTakes) Checkpoints(ctx context.Context) (grant.Checkpoint, error) {
	return t.grants.Checkpoints(ctx)
}
