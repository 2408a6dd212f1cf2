package source

import (
	"context"
	"log/slog"

	"github.com/granter/granter/grant"
)

// Reader is what reads a topic into a store that remembers how far it is: a Source, or what stands in for one in a test.
type Reader interface {
	Prepare(ctx context.Context) error
	Bind(ctx context.Context) (grant.TopicID, error)
	Bounds(ctx context.Context) (grant.Bounds, error)
	Peek(ctx context.Context) (grant.Bounds, error)
	Intact(ctx context.Context, at grant.Checkpoint) error
	Epoch(partition int, next int64) int32
	Join() (grant.Group, error)
	Follow(ctx context.Context, partition int, from, until int64, to Sink) error
	// Reject returns when records are stored durably; after an error, some may be stored twice.
	Reject(ctx context.Context, partition int, rejects []Reject) error
}

// Resume returns from where on each partition that is assigned is read, and up to where: ends, or −1 where ends is nil, which
// is for good. The store is at known; Kafka's offsets of the group, own, count where it knows nothing. It fails with what
// Pass.Start does, and if the topic is not the one that known counts in.
func Resume(
	ctx context.Context, r Reader, known grant.Checkpoint, own grant.Offsets, pass grant.Pass, ends grant.Offsets,
	log *slog.Logger,
) (from, until grant.Offsets, err error) {
	if err := r.Intact(ctx, known.Only(own)); err != nil {
		return nil, nil, err
	}
	bounds, err := r.Bounds(ctx)
	if err != nil {
		return nil, nil, err
	}
	start := pass.Start(known.Next, own, bounds)
	if err := start.Err(); err != nil {
		return nil, nil, err
	}
	if len(start.Accepted) > 0 {
		log.Warn("continuing behind gaps, as told", "gaps", start.Accepted)
	}
	until = grant.Offsets{}
	for partition, next := range start.From {
		if until[partition] = -1; ends != nil {
			until[partition] = max(next, ends[partition])
		}
	}
	return start.From, until, nil
}
