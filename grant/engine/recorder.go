package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/granter/granter/grant"
)

// recorder stores the run's record. A failure is logged, not returned: the record is a report, and what matters has errors of
// its own. It is safe for concurrent use.
type recorder struct {
	records RunRecords
	monitor *Monitor
	log     *slog.Logger
	record  grant.RunRecord // what does not change but its Error, which the end sets

	saving chan struct{} // holds a token while a record is stored: they come in their order
	due    chan struct{} // asks for one
}

func newRecorder(records RunRecords, monitor *Monitor, record grant.RunRecord, log *slog.Logger) *recorder {
	return &recorder{
		records: records, monitor: monitor, record: record, log: log, saving: make(chan struct{}, 1), due: make(chan struct{}, 1),
	}
}

// enter records that the run is in a state.
func (r *recorder) enter(ctx context.Context, state grant.RunState) {
	r.monitor.State(state)
	r.save(ctx)
}

// save stores the record as it is.
func (r *recorder) save(ctx context.Context) {
	select {
	case r.saving <- struct{}{}:
		defer func() { <-r.saving }()
	case <-ctx.Done():
		return
	}
	record := r.monitor.record(r.record)
	record.UpdatedAt = time.Now()
	if err := r.records.SaveRun(ctx, record); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		r.log.Warn("storing the run's record failed", "error", err)
	}
}

// request asks for the record to be stored soon, and does not wait for that: it may take as long as Redis refuses.
func (r *recorder) request() {
	select {
	case r.due <- struct{}{}:
	default:
	}
}

// run stores the record whenever it is requested, until the context ends.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case <-r.due:
			r.save(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// end records how the run ended, with a context of its own: the run's may be cancelled.
func (r *recorder) end(err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	state := grant.RunFinished
	switch {
	case errors.Is(err, ErrDrained), errors.Is(err, context.Canceled):
		state = grant.RunStopped
	case errors.Is(err, ErrAborted):
		state = grant.RunAborted
		r.record.Error = err.Error()
	case err != nil:
		state = grant.RunFailed
		r.record.Error = err.Error()
	}
	r.monitor.ended()
	r.enter(ctx, state)
}
