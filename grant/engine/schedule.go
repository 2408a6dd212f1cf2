package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// missedAfter is how late a start may be.
const missedAfter = time.Minute

// sayIfMissed says that the campaign should have begun long ago, if this run is the first.
func (r *Run) sayIfMissed(ctx context.Context) error {
	start := r.steering.control.Load().Start(r.Campaign)
	late := time.Since(start)
	if late < missedAfter || r.Partial {
		return nil
	}
	checkpoint, err := r.Ledger.Checkpoints(ctx)
	if err != nil || len(checkpoint.Next) > 0 {
		return err
	}
	r.Log.Warn("THE START WAS MISSED: this is the first run", "starts_at", start, "late_by", late.Round(time.Second).String())
	r.Monitor.missedStart(late)
	return nil
}

// recheckBefore is when preflight runs again, if there is so much time; recheckEvery, how often while it fails.
const (
	recheckBefore = time.Minute
	recheckEvery  = 10 * time.Second
)

// waitForStart returns at starts_at, or at what it was postponed to, when preflight passes again; or at once, if the
// operator of this run said so and nobody has postponed it. A run that stands by waits for resume first. The clock is the
// ledger's, which judges each grant.
func (r *Run) waitForStart(ctx context.Context) error {
	c := r.Campaign
	var told time.Time // the start that the log knows
	var checked bool   // preflight passed again
	var checkAt time.Time
	for first := true; ; first = false {
		now := r.steering.now()
		control := r.steering.control.Load()
		start := control.Start(c)
		stands, err := r.standBy(ctx, control)
		if err != nil {
			return err
		}
		if stands {
			first, checked = false, r.Recheck == nil // much may have changed by then
		}
		left := start.Sub(now)
		early := r.Now && control.StartsAt == nil && left > 0
		soon := early || left <= recheckBefore
		if first && soon || r.Recheck == nil {
			checked = true // it has passed just now
		}
		r.Monitor.startsAt(start)
		switch {
		case r.ended(now):
			return fmt.Errorf("%s, ends_at %s: %w", c.Name, c.EndsAt.Format(time.RFC3339), grant.ErrEnded)
		case stands:
		case early && checked:
			if r.Early != nil {
				if err := r.Early(ctx); err != nil {
					return err
				}
			}
			r.Log.Warn("STARTING BEFORE THE CAMPAIGN'S DATE, as told by --now", "starts_at", start, "early_by", left.Round(time.Second).String())
			r.Ledger.NotBefore(time.Time{})
			r.steering.block(grant.CauseSchedule, "")
			r.steering.begun.Store(true)
			return nil
		case left <= 0 && checked:
			r.Ledger.NotBefore(start)
			r.steering.scheduled.Store(true)
			r.steering.begun.Store(true)
			r.steering.block(grant.CauseSchedule, "")
			return nil
		case left > 0 && !start.Equal(told):
			told = start
			r.Log.Info("waiting for the campaign to start", "starts_at", start, "wait", left.Round(time.Second).String(), "postponed", control.StartsAt != nil)
			r.steering.block(grant.CauseSchedule, "the campaign starts at "+start.Format(time.RFC3339))
		}
		if !stands && !checked && soon && !now.Before(checkAt) {
			checked = r.recheck(ctx)
			checkAt = r.steering.now().Add(recheckEvery)
		}
		r.save(ctx, grant.RunWaiting)
		select {
		case <-time.After(max(min(start.Sub(r.steering.now()), time.Second), 10*time.Millisecond)): // a suspended machine must not start late
		case <-r.draining.Done():
			return context.Cause(r.draining)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// standBy reports whether a run stands by, and holds it while it does.
func (r *Run) standBy(ctx context.Context, control *grant.Control) (bool, error) {
	if !r.StandBy {
		return false, nil
	}
	zone := r.Campaign.StartsAt.Location()
	aborted, finished := "", ""
	if control.AbortedBy != nil {
		aborted = "aborted " + control.AbortedBy.By(zone)
	}
	if control.Finish != nil {
		checkpoint, err := r.Ledger.Checkpoints(ctx)
		if err != nil {
			return false, err
		}
		if control.Finish.Of(checkpoint.Topic) && checkpoint.Next.Reached(control.Finish.Ends) {
			finished = "everything is granted up to where it was ordered to finish " + control.Finish.By(zone)
		}
	}
	r.steering.block(grant.CauseAborted, aborted)
	r.steering.block(grant.CauseFinished, finished)
	return aborted != "" || finished != "", nil
}

// recheck runs preflight again. A run that waits for its date is not ended by a failure: it holds, and tries again.
func (r *Run) recheck(ctx context.Context) bool {
	if err := r.Recheck(ctx); err != nil {
		r.steering.block(grant.CausePreflight, err.Error())
		return false
	}
	r.Log.Info("preflight passed again")
	r.steering.block(grant.CausePreflight, "")
	return true
}

// ended reports whether nobody may be granted anything any more.
func (r *Run) ended(now time.Time) bool {
	end := r.Campaign.EndsAt
	return !end.IsZero() && !now.Before(end)
}

// punctual is the ledger as the shards see it: what comes before the start waits for it, unless the run ends. A run starts
// by one clock of the ledger, and a ledger may have several; or the start was postponed while users were in hand.
type punctual struct{ *Run }

// Grant implements dense.Sink.
func (p punctual) Grant(ctx context.Context, f *dense.Flush) error {
	for {
		err := p.Ledger.Grant(ctx, f)
		early, ok := errors.AsType[*grant.EarlyError](err)
		if !ok {
			return err
		}
		left := early.Start.Sub(early.Now)
		p.steering.tooEarly(left, early)
		select {
		case <-time.After(max(min(left, time.Second), time.Millisecond)): // it may be postponed again
		case <-p.draining.Done():
			return context.Cause(p.draining)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
