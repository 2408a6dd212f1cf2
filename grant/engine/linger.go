package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/granter/granter/grant"
)

// Linger keeps the metrics current for whoever scrapes them after Do, which returned outcome, until the context ends. An
// outcome of nil promised that everything is granted; if the ledger loses some of that meanwhile, Linger says so at once,
// with ErrRegressed. Otherwise it returns the outcome.
func (r *Run) Linger(ctx context.Context, outcome error) error {
	counted := time.Time{}
	for {
		if outcome == nil && r.hasLost(ctx) {
			err := fmt.Errorf("%w after everything had been granted: start it again, it grants what is missing and nobody twice",
				grant.ErrRegressed)
			r.Monitor.regressed()
			r.recorder.end(err)
			return err
		}
		r.survey.ask(ctx)
		if now := time.Now(); r.Count != nil && now.Sub(counted) >= countEvery {
			counted = now
			r.survey.countOnce(ctx)
		}
		select {
		case <-time.After(surveyEvery):
		case <-ctx.Done():
			return outcome
		}
	}
}

// hasLost reports whether the ledger is no longer where this run left it. A ledger that does not answer has not lost
// anything yet.
func (r *Run) hasLost(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, surveyFor)
	defer cancel()
	checkpoint, err := r.Ledger.Checkpoints(ctx)
	return err == nil && !checkpoint.Of(r.topic).Next.Reached(r.target.ends)
}
