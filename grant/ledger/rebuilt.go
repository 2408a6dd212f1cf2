package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// BeginRebuild notes that the ledger is being made again: whoever asks it, or audits it, learns that what was known besides is
// not in it. One of the same parts that was cut off goes on.
func (l *Coordination) BeginRebuild(ctx context.Context, mark grant.Rebuilt) error {
	return l.retry(ctx, "noting that the ledger is made again", func() error {
		all, err := l.rebuilds(ctx)
		if err != nil {
			return err
		}
		if n := len(all); n > 0 && all[n-1].Done == nil && all[n-1].Of(mark.Export) { // also by an attempt whose reply was lost
			return nil
		}
		now, err := l.client.Time(ctx).Result()
		if err != nil {
			return err
		}
		mark.At = now.UTC().Truncate(time.Millisecond)
		text, err := json.Marshal(mark)
		if err != nil {
			return err
		}
		return l.client.RPush(ctx, l.keys.rebuilt, text).Err()
	})
}

// EndRebuild notes that the last rebuild has come to its end.
func (l *Coordination) EndRebuild(ctx context.Context) error {
	return l.retry(ctx, "noting that the ledger was made again", func() error {
		all, err := l.rebuilds(ctx)
		if err != nil {
			return err
		}
		now, err := l.client.Time(ctx).Result()
		if err != nil || len(all) == 0 {
			return err
		}
		last := all[len(all)-1]
		done := now.UTC().Truncate(time.Millisecond)
		last.Done = &done
		text, err := json.Marshal(last)
		if err != nil {
			return err
		}
		return l.client.LSet(ctx, l.keys.rebuilt, -1, text).Err()
	})
}

// Rebuilds returns when the ledger was made again, oldest first.
func (l *Coordination) Rebuilds(ctx context.Context) (all []grant.Rebuilt, err error) {
	err = l.retry(ctx, "reading when the ledger was made again", func() error {
		all, err = l.rebuilds(ctx)
		return err
	})
	return all, err
}

func (l *Coordination) rebuilds(ctx context.Context) ([]grant.Rebuilt, error) {
	reply := l.client.LRange(ctx, l.keys.rebuilt, 0, -1)
	if err := named([]redis.Cmder{reply}, reply.Err()); err != nil {
		return nil, err
	}
	return l.parseRebuilds(reply.Val())
}

func (l *Store) parseRebuilds(texts []string) ([]grant.Rebuilt, error) {
	var all []grant.Rebuilt
	if len(texts) > 0 {
		all = make([]grant.Rebuilt, len(texts))
	}
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &all[i]); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.rebuilt, err)
		}
	}
	return all, nil
}
