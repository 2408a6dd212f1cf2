package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/sharding/dense"
)

// Chunks returns every chunk that may have granted users, ascending.
func (l *Reader) Chunks(ctx context.Context) ([]uint64, error) {
	var chunks []uint64
	err := l.retry(ctx, "listing chunks", func() error {
		chunks = chunks[:0]
		for cursor := uint64(0); ; {
			page, next, err := l.client.SScan(ctx, l.keys.chunks, cursor, "", 1000).Result()
			if err != nil {
				return fmt.Errorf("%s: %w", l.keys.chunks, err)
			}
			for _, text := range page {
				chunk, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					return fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.chunks, err)
				}
				chunks = append(chunks, chunk)
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
	slices.Sort(chunks)
	return slices.Compact(chunks), err // SSCAN may return a member twice
}

// readBitmaps asks for the bitmaps of some chunks; a reply is empty where there is none.
func (l *Reader) readBitmaps(ctx context.Context, chunks []uint64) ([]*redis.StringCmd, error) {
	replies := make([]*redis.StringCmd, len(chunks))
	err := l.retry(ctx, "reading granted users", func() error {
		pipe := l.client.Pipeline()
		for i, chunk := range chunks {
			replies[i] = pipe.Get(ctx, l.keys.granted(chunk))
		}
		_, err := pipe.Exec(ctx)
		return named(replies, err)
	})
	return replies, err
}

// Bitmaps returns the granted users of some chunks; nil where there are none.
func (l *Reader) Bitmaps(ctx context.Context, chunks []uint64) ([]*dense.Bitmap, error) {
	if err := l.Dense("comparing users by bitmaps"); err != nil {
		return nil, err
	}
	out := make([]*dense.Bitmap, len(chunks))
	replies, err := l.readBitmaps(ctx, chunks)
	for i, reply := range replies {
		if text := reply.Val(); err == nil && len(text) > 0 {
			out[i] = new(dense.Bitmap)
			copy(out[i][:], text)
		}
	}
	return out, err
}

// Settled returns of some chunks whose place is settled, and which of those users are excluded; nil where there are none. Who is
// excluded is asked first, so who is in it is in the other, too.
func (l *Reader) Settled(ctx context.Context, chunks []uint64) (settled, excluded []*dense.Bitmap, err error) {
	replies := make([]*redis.StringCmd, 0, 2*len(chunks))
	err = l.retry(ctx, "reading who is granted or excluded", func() error {
		pipe := l.client.Pipeline()
		replies = replies[:0]
		for _, chunk := range chunks {
			keys := l.keys.chunk(chunk, "")
			replies = append(replies, pipe.Get(ctx, keys.excluded), pipe.Get(ctx, keys.granted))
		}
		_, err := pipe.Exec(ctx)
		return named(replies, err)
	})
	bitmap := func(i int) *dense.Bitmap {
		text := replies[i].Val()
		if text == "" {
			return nil
		}
		b := new(dense.Bitmap)
		copy(b[:], text)
		return b
	}
	settled, excluded = make([]*dense.Bitmap, len(chunks)), make([]*dense.Bitmap, len(chunks))
	for i := range chunks {
		if err == nil {
			excluded[i], settled[i] = bitmap(2*i), bitmap(2*i+1)
		}
	}
	return settled, excluded, err
}
