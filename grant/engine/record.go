package engine

import (
	"context"
	"errors"
	"time"

	"github.com/granter/granter/grant"
)

// save stores the run's record. A failure is logged, not returned: the record is a report, and what matters has its
// own errors.
func (r *Run) save(ctx context.Context, state grant.RunState) {
	r.Monitor.State(state)
	r.report(ctx)
}

// report stores the run's record as it is. It may be called by any goroutine.
func (r *Run) report(ctx context.Context) {
	select {
	case r.saving <- struct{}{}:
		defer func() { <-r.saving }()
	case <-ctx.Done():
		return
	}
	record := r.Monitor.record(r.Record)
	record.Spec, record.UpdatedAt = r.Campaign.Hash, time.Now()
	if err := r.Ledger.SaveRun(ctx, record); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		r.Log.Warn("storing the run's record failed", "error", err)
	}
}

// saveFinal stores how the run ended, with a context of its own: the run's may be cancelled.
func (r *Run) saveFinal(err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	state := grant.RunFinished
	switch {
	case errors.Is(err, ErrDrained), errors.Is(err, context.Canceled):
		state = grant.RunStopped
	case errors.Is(err, ErrAborted):
		state = grant.RunAborted
		r.Record.Error = err.Error()
	case err != nil:
		state = grant.RunFailed
		r.Record.Error = err.Error()
	}
	r.Monitor.ended()
	r.save(ctx, state)
}
