package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// takenPage is how many users are asked about in one pipeline.
const takenPage = 4096

// TakenAt returns when users took items, in their order; the zero time is for who has not. It costs up to
// three commands each.
func (l *Reader) TakenAt(ctx context.Context, c *grant.Campaign, asked []Take) ([]time.Time, error) {
	out := make([]time.Time, 0, len(asked))
	for page := range slices.Chunk(asked, takenPage) {
		if c.Input.Opaque() {
			times, err := l.takenAtMembers(ctx, c, page)
			if err != nil {
				return nil, err
			}
			out = append(out, times...)
			continue
		}
		replies := make([]*redis.StringCmd, len(page))
		err := l.retry(ctx, "asking when items were taken", func() error {
			pipe := l.client.Pipeline()
			for i, a := range page {
				chunk, low := dense.Split(a.User.Number())
				k := l.takeKeys(c, chunk, a.Item)
				key, at := k.segment(low)
				replies[i] = pipe.GetRange(ctx, key, at, at+stampedBytes-1)
			}
			_, err := pipe.Exec(ctx)
			return named(replies, err)
		})
		if err != nil {
			return nil, err
		}
		for _, reply := range replies {
			out = append(out, takenTime(reply.Val()))
		}
		if err := l.amongMany(ctx, c, page, out[len(out)-len(page):]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// takenTime reads one of the times of a segment; the zero time: there is none.
func takenTime(text string) time.Time {
	var b [8]byte
	if len(text) != stampedBytes {
		return time.Time{}
	}
	copy(b[8-stampedBytes:], text)
	ms := binary.BigEndian.Uint64(b[:])
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// Holdings returns what decides what users hold of a campaign, given when each was granted, in their order: what they took,
// and which items are used up. Where a campaign offers nothing it asks Redis nothing.
func (l *Reader) Holdings(
	ctx context.Context, c *grant.Campaign, users []grant.UserID, grantedAt []time.Time,
) ([]grant.Holding, error) {
	out := make([]grant.Holding, len(users))
	items := offers(c)
	var asked []Take
	for i, user := range users {
		out[i].GrantedAt = grantedAt[i]
		for _, item := range items {
			if !grantedAt[i].IsZero() {
				asked = append(asked, Take{user, item})
			}
		}
	}
	if len(asked) == 0 {
		return out, nil
	}
	full, err := l.FullAt(ctx, c)
	if err != nil {
		return nil, err
	}
	times, err := l.TakenAt(ctx, c, asked)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].FullAt = full
		if out[i].GrantedAt.IsZero() {
			continue
		}
		out[i].TakenAt = make([]time.Time, len(c.Items))
		for _, item := range items {
			out[i].TakenAt[item], times = times[0], times[1:]
		}
	}
	return out, nil
}

// FullAt returns, by item, when the last of its quota was taken; zero: there is some left, or it has no quota.
func (l *Reader) FullAt(ctx context.Context, c *grant.Campaign) ([]time.Time, error) {
	quotas, err := l.quotas(ctx, c)
	out := make([]time.Time, len(c.Items))
	for i, q := range quotas {
		out[i] = q.fullAt
	}
	return out, err
}

// quota is how many of the first users took an item.
type quota struct {
	taken  int64
	fullAt time.Time
}

// quotas reads the counters of the items that have a quota, by item.
func (l *Reader) quotas(ctx context.Context, c *grant.Campaign) (map[int]quota, error) {
	replies := map[int]*redis.SliceCmd{}
	for _, item := range offers(c) {
		if c.Items[item].First > 0 {
			replies[item] = nil
		}
	}
	if len(replies) == 0 {
		return nil, nil
	}
	err := l.retry(ctx, "reading quotas", func() error {
		pipe := l.client.Pipeline()
		for item := range replies {
			replies[item] = pipe.HMGet(ctx, l.takeKeys(c, 0, item).first, "taken", "full_at")
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[int]quota{}
	for item, reply := range replies {
		var n [2]int64
		for i, v := range reply.Val() {
			text, ok := v.(string)
			if !ok {
				continue
			}
			if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.takeKeys(c, 0, item).first, err)
			}
		}
		q := quota{taken: n[0]}
		if n[1] > 0 {
			q.fullAt = time.UnixMilli(n[1]).UTC()
		}
		out[item] = q
	}
	return out, nil
}

// ItemTaken is how many users took an item.
type ItemTaken struct {
	Item  string `json:"item"`
	Taken int64  `json:"taken"`
	First int64  `json:"first,omitempty"` // how many can; 0: all who are granted
}

// Taken counts who took what, of the items that users take. It costs about 10 µs of Redis for each chunk and item.
func (l *Reader) Taken(ctx context.Context, c *grant.Campaign) ([]ItemTaken, error) {
	items := offers(c)
	out := make([]ItemTaken, len(items))
	for n, item := range items {
		out[n] = ItemTaken{Item: c.Items[item].ID, First: c.Items[item].First}
	}
	if len(items) == 0 {
		return out, nil
	}
	quotas, err := l.quotas(ctx, c)
	if err != nil {
		return nil, err
	}
	chunks, err := l.Chunks(ctx)
	if err != nil {
		return nil, err
	}
	for page := range slices.Chunk(chunks, countPage/len(items)+1) {
		counts := make([]*redis.IntCmd, 0, len(page)*len(items))
		err := l.retry(ctx, "counting takes", func() error {
			pipe := l.client.Pipeline()
			counts = counts[:0]
			for _, item := range items {
				if _, counted := quotas[item]; counted {
					continue
				}
				for _, chunk := range page {
					if taken := l.takeKeys(c, chunk, item).taken; c.Input.Opaque() {
						counts = append(counts, pipe.HLen(ctx, taken))
					} else {
						counts = append(counts, pipe.BitCount(ctx, taken, nil))
					}
				}
			}
			_, err := pipe.Exec(ctx)
			return named(counts, err)
		})
		if err != nil {
			return nil, err
		}
		for n, item := range items {
			if _, counted := quotas[item]; counted {
				continue
			}
			for range page {
				out[n].Taken += counts[0].Val()
				counts = counts[1:]
			}
		}
	}
	for n, item := range items {
		if q, counted := quotas[item]; counted {
			out[n].Taken = q.taken
		}
	}
	return out, nil
}
