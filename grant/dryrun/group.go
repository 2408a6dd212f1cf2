package dryrun

import (
	"context"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/engine"
)

// Source joins no group: the dry run has all partitions to itself, and Kafka learns nothing of it.
type Source struct{ engine.Source }

// Prepare implements engine.Source: it makes no dead-letter topic, and Bounds fails if the topic cannot be read.
func (s Source) Prepare(context.Context) error { return nil }

// Join implements engine.Source.
func (s Source) Join() (grant.Group, error) { return group{s}, nil }

type group struct{ source Source }

// Next implements grant.Group.
func (g group) Next(ctx context.Context) (grant.Generation, error) {
	bounds, err := g.source.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	none := make(grant.Offsets, len(bounds.Ends))
	for partition := range bounds.Ends {
		none[partition] = -1
	}
	gen := &generation{none: none}
	gen.ctx, gen.cancel = context.WithCancel(context.Background())
	return gen, nil
}

// Leave implements grant.Group.
func (group) Leave() error { return nil }

type generation struct {
	none   grant.Offsets
	ctx    context.Context //nolint:containedctx // it is the generation's life
	cancel context.CancelFunc
}

func (g *generation) Context() context.Context   { return g.ctx }
func (g *generation) Committed() grant.Offsets   { return g.none }
func (g *generation) Commit(grant.Offsets) error { return nil }
func (g *generation) Release()                   { g.cancel() }
