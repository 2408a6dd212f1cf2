package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// placeBytes is the length of a place of an entry in the list of takes, big-endian.
const placeBytes = 4

// places reads where the entries of many users are.
func places(key, text string) ([]int64, error) {
	if len(text)%placeBytes != 0 {
		return nil, fmt.Errorf("%w: %s has %d bytes: want %d for each call", ErrInconsistent, key, len(text), placeBytes)
	}
	var out []int64
	for b := []byte(text); len(b) > 0; b = b[placeBytes:] {
		out = append(out, int64(binary.BigEndian.Uint32(b)))
	}
	return out, nil
}

// eachMany visits the entries of the calls by which many users of a chunk took an item, from the n-th of them on, and returns
// how many there are.
func (l *Reader) eachMany(ctx context.Context, k takeKeys, item int, n int64, visit func(*TakeEntry)) (int64, error) {
	text, err := l.client.Get(ctx, k.many()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return n, fmt.Errorf("%s: %w", k.many(), err)
	}
	found, err := places(k.many(), text)
	if err != nil {
		return n, err
	}
	var e TakeEntry
	for ; n < int64(len(found)); n++ {
		entry, err := l.client.LIndex(ctx, k.list, found[n]).Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return n, fmt.Errorf("%s: %w", k.list, err)
		}
		if err := e.UnmarshalBinary(entry); err != nil || e.Item != item {
			return n, fmt.Errorf("%w: %s[%d], an entry of many users who took item %d: it is of item %d (%w)", ErrInconsistent,
				k.list, found[n], item, e.Item, err)
		}
		visit(&e)
	}
	return n, nil
}

// ExtendTakes reads when users of a chunk took an item in calls of many, beyond what the times know.
func (l *Reader) ExtendTakes(ctx context.Context, chunk uint64, item int, t *Times) (err error) {
	var lows []uint16
	t.entries, err = l.eachMany(ctx, l.keys.take(chunk, item, false), item, t.entries, func(e *TakeEntry) {
		lows = e.Members.Lows(lows[:0])
		t.add(&e.Entry, lows)
	})
	return err
}

// amongMany fills in when those took an item who have no time of their own, because they took it in a call of many.
func (l *Reader) amongMany(ctx context.Context, c *grant.Campaign, asked []Take, out []time.Time) error {
	var bits []*redis.IntCmd
	var own []*redis.StringCmd
	var open []int
	for i, a := range asked {
		if out[i].IsZero() && c.Items[a.Item].First == 0 {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil
	}
	err := l.retry(ctx, "asking who took items", func() error {
		pipe := l.client.Pipeline()
		bits, own = bits[:0], own[:0]
		for _, i := range open {
			chunk, low := dense.Split(asked[i].User.Number())
			k := l.takeKeys(c, chunk, asked[i].Item)
			key, at := k.segment(low)
			bits = append(bits, pipe.GetBit(ctx, k.taken, int64(low)))
			own = append(own, pipe.GetRange(ctx, key, at, at+stampedBytes-1)) // behind the bit, which may be new
		}
		_, err := pipe.Exec(ctx)
		return named(bits, err)
	})
	if err != nil {
		return err
	}
	type place struct {
		chunk uint64
		item  int
	}
	users := map[place][]int{}
	for n, i := range open {
		if out[i] = takenTime(own[n].Val()); out[i].IsZero() && bits[n].Val() == 1 {
			chunk, _ := dense.Split(asked[i].User.Number())
			at := place{chunk, asked[i].Item}
			users[at] = append(users[at], i)
		}
	}
	for at, wanted := range users {
		k := l.takeKeys(c, at.chunk, at.item)
		err := l.retry(ctx, "reading when many took an item", func() error {
			_, err := l.eachMany(ctx, k, at.item, 0, func(e *TakeEntry) {
				for _, i := range wanted {
					if _, low := dense.Split(asked[i].User.Number()); e.Members.Has(low) {
						out[i] = e.At
					}
				}
			})
			return err
		})
		if err != nil {
			return err
		}
		for _, i := range wanted {
			if out[i].IsZero() {
				return fmt.Errorf("%w: %s: user %s took the item, and nothing says when", ErrInconsistent, k.taken, asked[i].User)
			}
		}
	}
	return nil
}
