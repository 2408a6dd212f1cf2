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
//	ARGV  version expected, control as JSON, act as JSON
//
// The reply is 1, or 0 when another version is there.
const controlScript = `
local version = 0
local found = redis.call('GET', KEYS[1])
if found then
  version = cjson.decode(found)['version']
end
if version ~= tonumber(ARGV[1]) then
  return 0
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2])
end
redis.call('RPUSH', KEYS[2], ARGV[3])
return 1`

// takeScript hands out users to grant from the budget that all replicas share: it fills at a rate, up to half a second's
// worth, so that a replica that was held up can catch up.
//
//	KEYS  budget
//	ARGV  users wanted, users per second
//
// The reply is how many may be granted now.
const takeScript = `
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local rate, want = tonumber(ARGV[2]), tonumber(ARGV[1])
local old = redis.call('HMGET', KEYS[1], 'at', 'left', 'rate')
local left = 0
if old[1] and tonumber(old[3]) == rate then
  left = tonumber(old[2]) + (at - tonumber(old[1])) * rate / 1000000
  left = math.max(0, math.min(left, math.max(rate / 2, 1)))
end
local taken = math.min(want, math.floor(left))
redis.call('HSET', KEYS[1], 'at', string.format('%.0f', at), 'left', string.format('%.6f', left - taken), 'rate', ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
return taken`

var (
	controlCall = newScript(controlScript)
	takeCall    = newScript(takeScript)
)

// maxRefusals is how many refused orders are kept. Whoever may not order anything must not be able to fill Redis either.
const maxRefusals = 1000

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
func (l *Ledger) Control(ctx context.Context) (c grant.Control, now time.Time, err error) {
	node, err := l.home(ctx)
	if err != nil {
		return c, now, err
	}
	pipe := node.Pipeline()
	text, at := pipe.Get(ctx, l.keys.control), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		l.lookAgain(ctx, err)
		return c, now, refusedOnce("reading the operators' orders", err)
	}
	if err := at.Err(); err != nil {
		return c, now, refusedOnce("asking Redis for its time", err)
	}
	if found, err := text.Bytes(); err == nil {
		if err := json.Unmarshal(found, &c); err != nil {
			return c, now, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.control, err)
		}
	}
	return c, at.Val(), nil
}

func refusedOnce(what string, err error) error {
	return &UnavailableError{What: what, Kind: Kind(err), Since: time.Now(), Attempts: 1, Err: err}
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
	err := l.retry(ctx, "ordering "+string(o.Action), func() error {
		for {
			before, now, err := l.Control(ctx)
			if err != nil {
				return err
			}
			act = grant.Act{At: now.UTC(), Action: o.Action, Who: o.Who, Via: o.Via, Why: o.Why, Before: &before}
			after, err := before.Apply(&o, l.campaign, now)
			if refused = err; refused != nil {
				act.Refused = refused.Error()
				return nil
			}
			act.After = &after
			if stored, err := l.store(ctx, before.Version, &after, &act); err != nil || stored {
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

func (l *Ledger) store(ctx context.Context, expected int64, after *grant.Control, act *grant.Act) (bool, error) {
	text, err := json.Marshal(act)
	if err != nil {
		return false, err
	}
	control := []byte{}
	if after.Version != expected {
		if control, err = json.Marshal(after); err != nil {
			return false, err
		}
	}
	reply, err := l.call(ctx, &controlCall, []string{l.keys.control, l.keys.history}, expected, control, text)
	return reply == 1, err
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

// Refuse adds an order that was refused to the audit trail.
func (l *Ledger) Refuse(ctx context.Context, act grant.Act) error {
	text, err := json.Marshal(act)
	if err != nil {
		return err
	}
	return l.retry(ctx, "recording a refused order", func() error {
		pipe := l.client.Pipeline()
		pipe.RPush(ctx, l.keys.refusals, text)
		pipe.LTrim(ctx, l.keys.refusals, -maxRefusals, -1)
		_, err := pipe.Exec(ctx)
		return err
	})
}

// History returns the audit trail, oldest first: every order that was carried out, and the last thousand that were
// refused.
func (l *Ledger) History(ctx context.Context) ([]grant.Act, error) {
	var lists [2][]string
	err := l.retry(ctx, "reading the audit trail", func() error {
		pipe := l.client.Pipeline()
		done, refused := pipe.LRange(ctx, l.keys.history, 0, -1), pipe.LRange(ctx, l.keys.refusals, 0, -1)
		_, err := pipe.Exec(ctx)
		lists = [2][]string{done.Val(), refused.Val()}
		return err
	})
	if err != nil {
		return nil, err
	}
	acts := make([]grant.Act, 0, len(lists[0])+len(lists[1]))
	var bad []error
	for _, text := range slices.Concat(lists[0], lists[1]) {
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
	return l.call(ctx, &takeCall, []string{l.keys.budget}, want, rate)
}
