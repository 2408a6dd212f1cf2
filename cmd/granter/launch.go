package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/grant/ledger"
)

// viaLaunch is how orders come that are flags of a run.
const viaLaunch = "run"

// reasoned refuses flags that go into the audit trail without a reason for it.
func (flags *runFlags) reasoned() error {
	var need []string
	for name, on := range map[string]bool{
		"--now": flags.now, "--force": flags.force, "--throttle": flags.throttle.given, "--resume": flags.resume,
		"--new-topic": flags.newTopic,
	} {
		if on {
			need = append(need, name)
		}
	}
	if flags.dryRun || len(need) == 0 {
		return nil
	}
	slices.Sort(need)
	o := grant.Order{Action: grant.ActionForce, Who: "anybody", Why: flags.why}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("%s: %w (--why TEXT)", strings.Join(need, ", "), err)
	}
	return nil
}

// order gives an order of the flags of a run.
func (j *job) order(ctx context.Context, c *ledger.Coordination, o grant.Order) (err error) {
	if o.Who, err = whoami(j.flags.who); err != nil {
		return err
	}
	o.Via, o.Why = viaLaunch, j.flags.why
	_, err = c.Order(ctx, o)
	return err
}

// obeyAbort ends a process that starts into an abort before it does anything else. What cannot be read now the run reads
// before it grants anybody.
func (j *job) obeyAbort(ctx context.Context, c *ledger.Coordination) error {
	if j.flags.resume || j.flags.standBy {
		return nil
	}
	control, _, err := c.Control(ctx)
	if err != nil || control.AbortedBy == nil {
		return nil //nolint:nilerr // it is not lost
	}
	return &engine.AbortedError{Order: *control.AbortedBy, Zone: j.campaign.StartsAt.Location()}
}

// recordLaunch puts what the operator of this run orders by its flags into the audit trail.
func (j *job) recordLaunch(ctx context.Context, c *ledger.Coordination) error {
	acts, err := j.trail(ctx, c)
	if err != nil {
		return err
	}
	if resume, err := j.launchResume(ctx, c, acts); err != nil {
		return err
	} else if resume {
		if err := j.order(ctx, c, grant.Order{Action: grant.ActionResume}); err != nil {
			return err
		}
	}
	if j.launchesLimit(acts) {
		if err := j.order(ctx, c, grant.Order{Action: grant.ActionThrottle, Throttle: j.flags.throttle.n}); err != nil {
			return err
		}
	}
	if j.forced {
		return j.order(ctx, c, grant.Order{Action: grant.ActionForce})
	}
	return nil
}

// trail returns the orders that were carried out, if flags need to know them.
func (j *job) trail(ctx context.Context, c *ledger.Coordination) ([]grant.HistoryEntry, error) {
	if !j.flags.resume && !j.flags.throttle.given {
		return nil, nil
	}
	acts, err := c.History(ctx)
	return slices.DeleteFunc(acts, func(a grant.HistoryEntry) bool { return a.Refused != "" }), err
}

var errSpentResume = errors.New("--resume with this reason has been given before")

// launchResume reports whether --resume is to be ordered. It lifts what was ordered before it, and not what comes after:
// otherwise a replica that is started again with the same flags would undo an abort.
func (j *job) launchResume(ctx context.Context, c *ledger.Coordination, acts []grant.HistoryEntry) (bool, error) {
	if !j.flags.resume {
		return false, nil
	}
	control, _, err := c.Control(ctx)
	if err != nil {
		return false, err
	}
	if control.AbortedBy == nil && !control.Paused && control.Finish == nil {
		j.log.Info("--resume: there is nothing to resume")
		return false, nil
	}
	given := func(a grant.HistoryEntry) bool {
		return a.Action == grant.ActionResume && a.Via == viaLaunch && a.Why == j.flags.why
	}
	if !slices.ContainsFunc(acts, given) {
		return true, nil
	}
	standing := control.Standing(j.campaign.StartsAt.Location())
	if control.AbortedBy != nil && !j.flags.standBy {
		return false, fmt.Errorf("%w, and lifts no later order: say another --why (%w)",
			errSpentResume, &engine.AbortedError{Order: *control.AbortedBy, Zone: j.campaign.StartsAt.Location()})
	}
	j.log.Warn(errSpentResume.Error()+", and lifts no later order: say another --why, or order granter resume",
		"standing", standing)
	return false, nil
}

// launchesLimit reports whether --throttle is to be ordered. A replica that is started again with the flags of the night
// must not undo what an operator has ordered since.
func (j *job) launchesLimit(acts []grant.HistoryEntry) bool {
	limit := j.flags.throttle
	if !limit.given {
		return false
	}
	for _, a := range slices.Backward(acts) {
		if a.Action != grant.ActionThrottle {
			continue
		}
		if a.Via != viaLaunch {
			j.log.Warn("--throttle is not ordered, because an operator has ordered a limit: use granter throttle",
				"throttle", limit.n, "ordered", a.After.Throttle, "who", a.Who, "at", a.At)
			return false
		}
		return a.After.Throttle != limit.n // another replica with the same flags did
	}
	return limit.n > 0 // nobody has ever ordered one that could be lifted
}

// recordNewTopic puts into the audit trail that this run begins anew in a topic, and what that replaces.
func (j *job) recordNewTopic(ctx context.Context, c *ledger.Coordination, why error) (err error) {
	var what string
	if other, ok := errors.AsType[*grant.OtherTopicError](why); ok {
		what = fmt.Sprintf("topic ID was %s, is %s", other.Before, other.Now)
	}
	if lost, ok := errors.AsType[*grant.TruncatedError](why); ok {
		what = fmt.Sprintf("partition %d was read to %d and lost what was behind %d", lost.Partition, lost.Offset, lost.End)
	}
	o := grant.Order{Action: grant.ActionNewTopic, Via: viaLaunch}
	if o.Who, err = whoami(j.flags.who); err != nil {
		return err
	}
	o.Why = fmt.Sprintf("%s (%s)", strings.ToValidUTF8(j.flags.why[:min(len(j.flags.why), 300)], ""), what)
	_, err = c.Order(ctx, o)
	return err
}
