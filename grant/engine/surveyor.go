package engine

import (
	"context"
	"time"

	"github.com/granter/granter/grant"
)

const (
	countEvery  = 5 * time.Second
	surveyEvery = 2 * time.Second
	surveyFor   = 2 * time.Second // how long each server may take to answer
)

// surveyor asks Kafka and the ledger about the whole topic. Each question is asked once; what it cannot learn stays as it was.
type surveyor struct {
	peek        func(ctx context.Context) (grant.Bounds, error) // nil: not asked
	checkpoints func(ctx context.Context) (grant.Checkpoint, error)
	lost        func(ctx context.Context) (int, error)                         // nil: not asked
	count       func(ctx context.Context) (granted, excluded int64, err error) // of the whole ledger; nil: not asked
	pass        grant.Pass                                                     // whose checkpoint it is
	monitor     *Monitor
}

// run asks regularly, from before the start of the campaign until the context ends.
func (s *surveyor) run(ctx context.Context) {
	tick := time.NewTicker(surveyEvery)
	defer tick.Stop()
	for {
		s.ask(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks every question once.
func (s *surveyor) ask(ctx context.Context) {
	within := func(question func(context.Context)) {
		ctx, cancel := context.WithTimeout(ctx, surveyFor)
		defer cancel()
		question(ctx)
	}
	if s.peek != nil {
		within(func(asking context.Context) {
			began := time.Now()
			bounds, err := s.peek(asking)
			if ctx.Err() == nil {
				s.monitor.peeked(bounds, began, err)
			}
		})
	}
	within(func(ctx context.Context) {
		if checkpoint, err := s.checkpoints(ctx); err == nil { // if not, the hold says so
			s.monitor.foundCheckpoint(checkpoint, s.pass.Private)
		}
	})
	if s.lost != nil {
		within(func(ctx context.Context) {
			if n, err := s.lost(ctx); err == nil {
				s.monitor.metrics.Lost.Set(float64(n))
			}
		})
	}
}

// runCount counts the granted users regularly, until the context ends.
func (s *surveyor) runCount(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		s.countOnce(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// countOnce counts the granted users, and the excluded ones.
func (s *surveyor) countOnce(ctx context.Context) {
	if granted, excluded, err := s.count(ctx); err == nil { // if not, others say so
		s.monitor.metrics.LedgerGranted.Set(float64(granted))
		s.monitor.metrics.LedgerExcluded.Set(float64(excluded))
	}
}
