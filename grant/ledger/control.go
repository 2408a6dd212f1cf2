package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// controlScript stores what an order makes of the control, and its act, unless somebody else was faster.
//
//	KEYS  control history
//	ARGV  control expected and control to store, as JSON or empty: none; act as JSON
//
// The reply is 1, or 0 when another control is there. An act that cannot be stored takes the control back, by a command
// that has just been allowed: the first DEL finds that out where there is no control.
const controlScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if ARGV[2] ~= '' then
  if ARGV[1] == '' then
    redis.call('DEL', KEYS[1])
  end
  redis.call('SET', KEYS[1], ARGV[2])
end
local done = redis.pcall('RPUSH', KEYS[2], ARGV[3])
if type(done) == 'table' then
  if ARGV[2] ~= '' and ARGV[1] == '' then
    redis.pcall('DEL', KEYS[1])
  elseif ARGV[2] ~= '' then
    redis.pcall('SET', KEYS[1], ARGV[1])
  end
  return done
end
return 1`

// takeScript hands out users to grant from the budget that all replicas share: it fills at a rate, up to half a second's
// worth, so that a replica that was held up can catch up. Where the rate is not that of the call before, the lower one
// counts: replicas that disagree, as they may after Redis lost an order, must not keep each other from granting anybody.
//
//	KEYS  budget
//	ARGV  users wanted, users per second
//
// The reply is how many may be granted now. The first EXPIRE finds out whether it is allowed.
const takeScript = `
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local rate, want = tonumber(ARGV[2]), tonumber(ARGV[1])
local old = redis.call('HMGET', KEYS[1], 'at', 'left', 'rate')
local left = 0
if old[1] then
  local slower = math.min(rate, tonumber(old[3]))
  left = tonumber(old[2]) + (at - tonumber(old[1])) * slower / 1000000
  left = math.max(0, math.min(left, math.max(slower / 2, 1)))
end
local taken = math.min(want, math.floor(left))
redis.call('EXPIRE', KEYS[1], 60)
redis.call('HSET', KEYS[1], 'at', string.format('%.0f', at), 'left', string.format('%.6f', left - taken), 'rate', ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
return taken`

var (
	controlCall = newScript(controlScript)
	takeCall    = newScript(takeScript)
)

// home returns a client of the master that has the control, so that its clock is the one that everybody goes by.
func (l *Ledger) home(ctx context.Context) (*redis.Client, error) {
	if l.cluster == nil {
		return l.client.(*redis.Client), nil
	}
	node, err := l.cluster.MasterForKey(ctx, l.keys.control)
	if err != nil {
		return nil, fmt.Errorf("looking for the master of %s: %w", l.keys.control, err)
	}
	return node, nil
}

// Control returns what operators have ordered, and the time by Redis's clock. It is asked several times a second, so it
// makes one attempt only.
func (l *Ledger) Control(ctx context.Context) (grant.Control, time.Time, error) {
	c, _, now, err := l.control(ctx)
	if err != nil && !errors.Is(err, ErrInconsistent) {
		err = &UnavailableError{What: "reading the operators' orders", Kind: Kind(err), Since: time.Now(), Attempts: 1, Err: err}
	}
	return c, now, err
}

// control also returns the text that the control was read from; empty: nobody has ordered anything.
func (l *Ledger) control(ctx context.Context) (c grant.Control, text string, now time.Time, err error) {
	node, err := l.home(ctx)
	if err != nil {
		return c, "", now, err
	}
	pipe := node.Pipeline()
	found, at := pipe.Get(ctx, l.keys.control), pipe.Time(ctx)
	_, err = pipe.Exec(ctx)
	if errors.Is(err, redis.Nil) {
		err = at.Err()
	}
	if misused(err) {
		err = fmt.Errorf("%s: %w", l.keys.control, err)
	}
	if err != nil {
		l.lookAgain(ctx, err)
		return c, "", now, err
	}
	now = at.Val()
	if text, err = found.Result(); err != nil {
		return c, "", now, nil //nolint:nilerr // it is redis.Nil
	}
	if c, err = grant.ReadControl([]byte(text)); err != nil {
		return grant.Control{}, "", now, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.control, err)
	}
	return c, text, now, nil
}

// lookAgain makes the client of a cluster ask again who has which slots, after an error that says that it is wrong.
func (l *Ledger) lookAgain(ctx context.Context, err error) {
	switch Kind(err) {
	case KindMoved, KindClusterDown, KindReadOnly, KindNetwork, KindTimeout:
		if l.cluster != nil {
			l.cluster.ReloadState(ctx)
		}
	}
}

// Order carries out an order: it changes the control and adds to the audit trail, both or neither. The act that it
// returns has before and after. Errors are grant.ErrRefused, which is in the audit trail too, what is wrong with the
// order, and those of Redis.
func (l *Ledger) Order(ctx context.Context, o grant.Order) (grant.Act, error) {
	if err := o.Validate(); err != nil {
		return grant.Act{}, err
	}
	var act grant.Act
	var refused error
	var unsure []grant.Act // of attempts that failed: they may have been carried out all the same
	err := l.retry(ctx, "ordering "+string(o.Action), func() error {
		for {
			before, text, now, err := l.control(ctx)
			if err != nil {
				return err
			}
			// Look after reading the control: an attempt that is carried out later than this look changes the control,
			// so the coming attempt is not, and looks again.
			if done, err := l.findAct(ctx, unsure); done != nil || err != nil {
				if done != nil {
					act, refused = *done, nil
				}
				return err
			}
			act = grant.Act{At: now.UTC(), Action: o.Action, Who: o.Who, Via: o.Via, Why: o.Why, Before: &before}
			var after grant.Control
			if after, refused = before.Apply(&o, l.campaign, now); refused != nil {
				act.Refused = refused.Error()
				return nil //nolint:nilerr // that it is refused is the answer: another attempt gets no other
			}
			act.After = &after
			done, err := l.store(ctx, text, &act)
			if err != nil {
				unsure = append(unsure, act)
			}
			if err != nil || done {
				return err
			}
			// Somebody else ordered something meanwhile: see what the order means now.
		}
	})
	switch {
	case err != nil:
		return act, err
	case refused != nil:
		return act, errors.Join(refused, l.Refuse(ctx, act))
	}
	return act, nil
}

// store stores an act, and the control after it, unless there is another control than the expected one.
func (l *Ledger) store(ctx context.Context, expected string, act *grant.Act) (bool, error) {
	text, err := json.Marshal(act)
	if err != nil {
		return false, err
	}
	control := []byte{}
	if act.After.Version != act.Before.Version {
		if control, err = json.Marshal(act.After); err != nil {
			return false, err
		}
	}
	reply, err := l.call(ctx, &controlCall, []string{l.keys.control, l.keys.history}, expected, control, text)
	return reply == 1, err
}

// findAct returns the one of some acts that is in the audit trail; nil: none is.
func (l *Ledger) findAct(ctx context.Context, acts []grant.Act) (*grant.Act, error) {
	for i := range acts {
		text, err := json.Marshal(&acts[i])
		if err != nil {
			return nil, err
		}
		node, err := l.home(ctx)
		if err != nil {
			return nil, err
		}
		switch err := node.LPos(ctx, l.keys.history, string(text), redis.LPosArgs{Rank: -1}).Err(); {
		case err == nil:
			return &acts[i], nil
		case !errors.Is(err, redis.Nil):
			return nil, err
		}
	}
	return nil, nil
}

// call runs a script on the control's master. It makes one attempt, and another one where the script was not known.
func (l *Ledger) call(ctx context.Context, s *script, keys []string, args ...any) (int64, error) {
	for again := false; ; again = true {
		node, err := l.home(ctx)
		if err != nil {
			return 0, err
		}
		cmd := s.command(ctx, keys, args...)
		if err := node.Process(ctx, cmd); err != nil {
			if Kind(err) == KindNoScript && !again {
				if err := l.loadScripts(ctx); err != nil {
					return 0, err
				}
				continue
			}
			l.lookAgain(ctx, err)
			return 0, err
		}
		return cmd.Int64()
	}
}

// History returns the audit trail, oldest first: every order that was carried out, and the last ones that were refused.
func (l *Ledger) History(ctx context.Context) ([]grant.Act, error) {
	var lists [2][]string
	err := l.retry(ctx, "reading the audit trail", func() error {
		pipe := l.client.Pipeline()
		done, refused := pipe.LRange(ctx, l.keys.history, 0, -1), pipe.LRange(ctx, l.keys.refusals, 0, -1)
		_, err := pipe.Exec(ctx)
		lists = [2][]string{done.Val(), refused.Val()}
		return named([]redis.Cmder{done, refused}, err)
	})
	if err != nil {
		return nil, err
	}
	acts := make([]grant.Act, 0, len(lists[0])+len(lists[1]))
	var bad []error
	// A refusal is stored twice when the reply to the first attempt was lost.
	for _, text := range slices.Concat(lists[0], slices.Compact(lists[1])) {
		var act grant.Act
		if err := json.Unmarshal([]byte(text), &act); err != nil {
			bad = append(bad, fmt.Errorf("%w: audit trail: %w", ErrInconsistent, err))
			continue
		}
		acts = append(acts, act)
	}
	slices.SortStableFunc(acts, func(a, b grant.Act) int { return a.At.Compare(b.At) })
	return acts, errors.Join(bad...)
}

// Take asks for users to grant out of the budget that all replicas share, and returns how many may be granted now. rate
// is users per second. It makes one attempt only.
func (l *Ledger) Take(ctx context.Context, want, rate int64) (int64, error) {
	n, err := l.call(ctx, &takeCall, []string{l.keys.budget}, want, rate)
	switch {
	case misused(err):
		err = fmt.Errorf("%s is broken: delete it, and it is made again: %w", l.keys.budget, err)
	case err != nil:
		err = fmt.Errorf("%s: %w", l.keys.budget, err)
	}
	return n, err
}
