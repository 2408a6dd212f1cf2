package engine

import (
	"context"
	"errors"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// punctual is the ledger as the shards see it: what comes before the start waits for it, unless the run is stopped. A run
// begins by one clock of the ledger, and a ledger may have several; or the start was postponed while users were in hand.
type punctual struct {
	dense.Sink

	drain    *drain
	steering *steering
}

// Grant implements dense.Sink.
func (p punctual) Grant(ctx context.Context, f *dense.Flush) error {
	return p.wait(ctx, func() error { return p.Sink.Grant(ctx, f) })
}

// wait grants when the start has come.
func (p punctual) wait(ctx context.Context, grantNow func() error) error {
	for {
		err := grantNow()
		early, ok := errors.AsType[*grant.EarlyError](err)
		if !ok {
			return err
		}
		left := early.Start.Sub(early.Now)
		p.steering.tooEarly(left, early)
		select {
		case <-time.After(max(min(left, time.Second), time.Millisecond)): // it may be postponed again
		case <-p.drain.asked.Done():
			return p.drain.reason()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
