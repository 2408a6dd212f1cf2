package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Control returns which orders of operators are in force, and the time by Redis's clock. It is asked several times a second,
// so it makes one attempt only.
func (l *Coordination) Control(ctx context.Context) (grant.Control, time.Time, error) {
	c, _, now, err := l.control(ctx)
	if err != nil && !errors.Is(err, ErrInconsistent) {
		err = &UnavailableError{What: "reading the operators' orders", Kind: Kind(err), Since: time.Now(), Attempts: 1, Err: err}
	}
	return c.InForce(now), now, err
}

// Expire records which orders have come to their end, unless somebody has. It makes one attempt, of which nothing or a part is
// left when it fails, and may be called at any time.
func (l *Coordination) Expire(ctx context.Context) error {
	for {
		c, text, now, err := l.control(ctx)
		if err != nil {
			return err
		}
		if entry := c.Expired(now); entry == nil {
			return nil
		} else if _, err = l.store(ctx, text, entry); err != nil {
			return err
		}
	}
}

// control is what is stored, of which some may have come to its end. It returns the text that it was read from; empty: nobody has
// ordered anything.
func (l *Coordination) control(ctx context.Context) (c grant.Control, text string, now time.Time, err error) {
	node, err := l.home(ctx)
	if err != nil {
		return c, "", now, err
	}
	pipe := node.Pipeline()
	found, format, at := pipe.Get(ctx, l.keys.control), l.askFormat(ctx, pipe), pipe.Time(ctx)
	_, err = pipe.Exec(ctx)
	if err = named([]redis.Cmder{found, format, at}, err); err == nil {
		err = l.checkFormat(format)
	}
	if err != nil {
		l.reload(ctx, Kind(err))
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

// Order carries out an order: it changes the control and adds to the audit trail, both or neither. The entry that it
// returns has before and after. Errors are grant.ErrRefused, which is in the audit trail too, what is wrong with the
// order, and those of Redis.
func (l *Coordination) Order(ctx context.Context, o grant.Order) (grant.HistoryEntry, error) {
	if err := o.Validate(); err != nil {
		return grant.HistoryEntry{}, err
	}
	var entry grant.HistoryEntry
	var refused error
	var inDoubt []grant.HistoryEntry // of attempts that failed: they may have been carried out all the same
	err := l.retry(ctx, "ordering "+string(o.Action), func() error {
		for {
			before, text, now, err := l.control(ctx)
			if err != nil {
				return err
			}
			if ended := before.Expired(now); ended != nil { // before this order came
				if _, err := l.store(ctx, text, ended); err != nil {
					return err
				}
				continue
			}
			// Look after reading the control: an attempt that is carried out later than this look changes the control,
			// so the coming attempt is not, and looks again.
			if done, err := l.findEntry(ctx, inDoubt); done != nil || err != nil {
				if done != nil {
					entry, refused = *done, nil
				}
				return err
			}
			entry = grant.HistoryEntry{At: now.UTC(), Action: o.Action, Who: o.Who, Via: o.Via, Why: o.Why, Before: &before}
			var after grant.Control
			if after, refused = before.Apply(&o, l.campaign, now); refused != nil {
				entry.Refused = refused.Error()
				return nil //nolint:nilerr // that it is refused is the answer: another attempt gets no other
			}
			entry.After = &after
			done, err := l.store(ctx, text, &entry)
			if err != nil {
				inDoubt = append(inDoubt, entry)
			}
			if err != nil || done {
				return err
			}
			// Somebody else ordered something meanwhile: see what the order means now.
		}
	})
	switch {
	case err != nil:
		return entry, err
	case refused != nil:
		return entry, errors.Join(refused, l.Refuse(ctx, entry))
	}
	return entry, nil
}

// store stores an entry, and the control after it, unless there is another control than the expected one.
func (l *Coordination) store(ctx context.Context, expected string, entry *grant.HistoryEntry) (bool, error) {
	text, err := json.Marshal(entry)
	if err != nil {
		return false, err
	}
	control := []byte{}
	if entry.After.Version != entry.Before.Version {
		if control, err = json.Marshal(entry.After); err != nil {
			return false, err
		}
	}
	reply, err := l.call(ctx, &controlCall, []string{l.keys.control, l.keys.history}, expected, control, text)
	return reply == 1, err
}

// findEntry returns the one of some entries that is in the audit trail; nil: none is.
func (l *Coordination) findEntry(ctx context.Context, entries []grant.HistoryEntry) (*grant.HistoryEntry, error) {
	for i := range entries {
		text, err := json.Marshal(&entries[i])
		if err != nil {
			return nil, err
		}
		node, err := l.home(ctx)
		if err != nil {
			return nil, err
		}
		switch err := node.LPos(ctx, l.keys.history, string(text), redis.LPosArgs{Rank: -1}).Err(); {
		case err == nil:
			return &entries[i], nil
		case !errors.Is(err, redis.Nil):
			return nil, err
		}
	}
	return nil, nil
}

// call runs a script on the control's master whose reply is a number. It makes one attempt, and another one where the script
// was not known.
func (l *Coordination) call(ctx context.Context, s *script, keys []string, args ...any) (int64, error) {
	cmd, err := l.callAny(ctx, s, keys, args...)
	if err != nil {
		return 0, err
	}
	return cmd.Int64()
}

// callAny is call for any reply.
func (l *Coordination) callAny(ctx context.Context, s *script, keys []string, args ...any) (*redis.Cmd, error) {
	for again := false; ; again = true {
		node, err := l.home(ctx)
		if err != nil {
			return nil, err
		}
		cmd := s.command(ctx, keys, args...)
		if err := node.Process(ctx, cmd); err != nil {
			if Kind(err) == KindNoScript && !again {
				if err := l.loadScripts(ctx); err != nil {
					return nil, err
				}
				continue
			}
			l.reload(ctx, Kind(err))
			return nil, err
		}
		return cmd, nil
	}
}
