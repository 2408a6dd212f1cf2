package engine

import (
	"context"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
)

// Source is the topic of a campaign, as a run needs it. Its methods may be called concurrently, and asked again after an error.
type Source interface {
	Identity
	Reader
	// Prepare makes sure that the topic can be read and rejected records can be stored. It may be called again.
	Prepare(ctx context.Context) error
	// Join enters the consumer group.
	Join() (grant.Group, error)
}

// Identity is what makes a topic another one than one before it of the same name.
type Identity interface {
	// Bind returns the topic's identity. The first one that it got the source is bound to: once Kafka has another topic of
	// that name, Bind, Intact and Consume fail with an *OtherTopicError. Other errors may pass.
	Bind(ctx context.Context) (grant.TopicID, error)
}

// Reader hands records to lanes.
type Reader interface {
	// Bounds returns what every partition has now.
	Bounds(ctx context.Context) (grant.Bounds, error)
	// Intact returns a *TruncatedError when Kafka no longer has the records before a position. Consume knows the leader
	// epoch of what it starts from if Intact was asked about that.
	Intact(ctx context.Context, at grant.Checkpoint) error
	// Epoch returns the leader epoch of the last record before an offset that Consume has come to; −1: not known.
	Epoch(partition int, next int64) int32
	// Consume hands the records of a partition from an offset on to a lane, in their order, until it reaches the offset
	// until (never, if that is negative) or the context is cancelled, which is no error. Rejected records are stored
	// durably before the lane is marked beyond them. Each partition is consumed by one call at a time.
	Consume(ctx context.Context, partition int, from, until int64, lane *sharding.Lane) error
}
