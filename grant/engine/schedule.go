package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/granter/granter/grant"
)

const (
	// missedAfter is how late a start may be.
	missedAfter = time.Minute
	// recheckBefore is when preflight runs again, if there is so much time; recheckEvery, how often while it fails.
	recheckBefore = time.Minute
	recheckEvery  = 10 * time.Second
)

// schedule says when a run begins. The clock is the ledger's, which judges each grant.
type schedule struct {
	campaign *grant.Campaign
	orders   *orderReader
	steering *steering
	ledger   interface {
		Terms
		Checkpoints
	}
	monitor *Monitor
	log     *slog.Logger

	now     bool                            // start before starts_at, if nobody postponed it
	standBy bool                            // wait for resume where an abort or an order to finish would end the run
	recheck func(ctx context.Context) error // preflight; nil: not again
	early   func(ctx context.Context) error // records that it starts early; nil: nobody does
	report  func(ctx context.Context)       // stores that the run waits

	announced time.Time // the start that the log has
	checked   bool      // preflight has passed for this start
	checkAt   time.Time // when it is tried again
}

// wait returns at starts_at, or at what it was postponed to, when preflight passes again; or at once, if the operator of this
// run said so and nobody has postponed it. A run that stands by waits for resume first.
func (s *schedule) wait(ctx context.Context) error {
	for first := true; ; first = false {
		begun, err := s.try(ctx, first)
		if err != nil || begun {
			return err
		}
		s.report(ctx)
		left := s.orders.start().Sub(s.orders.now())
		select {
		case <-time.After(max(min(left, time.Second), 10*time.Millisecond)): // a suspended machine must not start late
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try begins if that may be now. The first time, preflight has just passed.
func (s *schedule) try(ctx context.Context, first bool) (begun bool, err error) {
	start, postponed := s.orders.start(), s.orders.control().StartsAt != nil
	standsBy, err := s.standsBy(ctx)
	if err != nil {
		return false, err
	}
	left := start.Sub(s.orders.now())
	early := s.now && !postponed && left > 0
	soon := early || left <= recheckBefore
	switch {
	case s.recheck == nil, first && soon && !standsBy:
		s.checked = true
	case standsBy:
		s.checked = false // much may have changed by the time it is resumed
	}
	s.monitor.startsAt(start)
	if s.orders.ended() {
		return false, fmt.Errorf("%s, ends_at %s: %w", s.campaign.Name, s.campaign.EndsAt.Format(time.RFC3339), grant.ErrEnded)
	}
	if standsBy {
		return false, nil
	}
	switch {
	case s.checked && early:
		return true, s.beginEarly(ctx, start, left)
	case s.checked && left <= 0:
		s.ledger.NotBefore(start)
		s.steering.begin(true)
		return true, nil
	case left > 0 && !start.Equal(s.announced):
		s.announced = start
		s.log.Info("waiting for the campaign to start", "starts_at", start, "wait", left.Round(time.Second).String(),
			"postponed", postponed)
		s.steering.wait(grant.CauseSchedule, startsAt(start))
	}
	if now := s.orders.now(); !s.checked && soon && !now.Before(s.checkAt) {
		s.checked = s.check(ctx)
		s.checkAt = s.orders.now().Add(recheckEvery)
	}
	return false, nil
}

func (s *schedule) beginEarly(ctx context.Context, start time.Time, left time.Duration) error {
	if s.early != nil {
		if err := s.early(ctx); err != nil {
			return err
		}
	}
	s.log.Warn("STARTING BEFORE THE CAMPAIGN'S DATE, as told by --now", "starts_at", start,
		"early_by", left.Round(time.Second).String())
	s.ledger.NotBefore(time.Time{})
	s.steering.begin(false)
	return nil
}

// standsBy reports whether operators keep the run from beginning, and shows it.
func (s *schedule) standsBy(ctx context.Context) (bool, error) {
	if !s.standBy {
		return false, nil
	}
	control, zone := s.orders.control(), s.campaign.StartsAt.Location()
	aborted, finished := "", ""
	if control.AbortedBy != nil {
		aborted = "aborted " + control.AbortedBy.By(zone)
	}
	if control.Finish != nil {
		checkpoint, err := s.ledger.Checkpoints(ctx)
		if err != nil {
			return false, err
		}
		if control.Finish.Of(checkpoint.Topic) && checkpoint.Next.Reached(control.Finish.Ends) {
			finished = "everything is granted up to where it was ordered to finish " + control.Finish.By(zone)
		}
	}
	s.steering.wait(grant.CauseAborted, aborted)
	s.steering.wait(grant.CauseFinished, finished)
	return aborted != "" || finished != "", nil
}

// check runs preflight again. A run that waits for its date is not ended by a failure: it holds, and tries again.
func (s *schedule) check(ctx context.Context) bool {
	if err := s.recheck(ctx); err != nil {
		s.steering.wait(grant.CausePreflight, err.Error())
		return false
	}
	s.log.Info("preflight passed again")
	s.steering.wait(grant.CausePreflight, "")
	return true
}

// sayIfMissed says that the campaign should have begun long ago, if this run is the first.
func (s *schedule) sayIfMissed(ctx context.Context) error {
	start := s.orders.start()
	late := time.Since(start)
	if late < missedAfter {
		return nil
	}
	checkpoint, err := s.ledger.Checkpoints(ctx)
	if err != nil || len(checkpoint.Next) > 0 {
		return err
	}
	s.log.Warn("THE START WAS MISSED: this is the first run", "starts_at", start, "late_by", late.Round(time.Second).String())
	s.monitor.missedStart(late)
	return nil
}
