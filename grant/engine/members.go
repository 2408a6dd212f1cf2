package engine

import (
	"context"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// Members is where grants go in a campaign whose IDs are not dense.
type Members struct {
	Sink   opaque.Sink
	Layout opaque.Layout
}

// pool makes the pool of a session, with what is common to both kinds of ID.
func (m *Members) pool(cfg *dense.Config, starts grant.Offsets) *sharding.Pool {
	return opaque.New(opaque.Config{Config: cfg.Config, Layout: m.Layout, Observer: cfg.Observer}, m.Sink, starts)
}

// punctual makes grants wait for the start, as punctual.Grant does.
func (m *Members) punctual(d *drain, s *steering) *Members {
	if m == nil {
		return nil
	}
	return &Members{Sink: punctualMembers{m.Sink, punctual{drain: d, steering: s}}, Layout: m.Layout}
}

type punctualMembers struct {
	opaque.Sink

	start punctual
}

// AddMembers implements opaque.Sink.
func (p punctualMembers) AddMembers(ctx context.Context, f *opaque.Flush) error {
	return p.start.wait(ctx, func() error { return p.Sink.AddMembers(ctx, f) })
}
