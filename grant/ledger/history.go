package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Record adds an entry about what was done about users to the audit trail; its time is that of Redis.
func (l *Coordination) Record(ctx context.Context, entry grant.HistoryEntry) error {
	var inDoubt []grant.HistoryEntry // of attempts that failed: they may be there all the same
	return l.retry(ctx, "adding to the audit trail", func() error {
		done, err := l.findEntry(ctx, inDoubt)
		if done != nil || err != nil {
			return err
		}
		_, _, now, err := l.control(ctx)
		if err != nil {
			return err
		}
		entry.At = now.UTC()
		text, err := json.Marshal(&entry)
		if err != nil {
			return err
		}
		inDoubt = append(inDoubt, entry)
		return l.client.RPush(ctx, l.keys.history, text).Err()
	})
}

// History returns the audit trail, oldest first: every order that was carried out, and the last ones that were refused. Where
// an order has come to its end and nobody was there to record it, the entry is the one that will be recorded.
func (l *Coordination) History(ctx context.Context) ([]grant.HistoryEntry, error) {
	var lists [2][]string
	control, _, now, controlErr := l.control(ctx) // before the lists: an end that is recorded meanwhile is in them
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
	entries := make([]grant.HistoryEntry, 0, len(lists[0])+len(lists[1]))
	var bad []error
	for ended := control.Expired(now); controlErr == nil && ended != nil; ended = ended.After.Expired(now) {
		text, err := json.Marshal(ended)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(lists[0], string(text)) {
			entries = append(entries, *ended)
		}
	}
	// A refusal is stored twice when the reply to the first attempt was lost.
	for _, text := range slices.Concat(lists[0], slices.Compact(lists[1])) {
		var entry grant.HistoryEntry
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			bad = append(bad, fmt.Errorf("%w: audit trail: %w", ErrInconsistent, err))
			continue
		}
		entries = append(entries, entry)
	}
	slices.SortStableFunc(entries, func(a, b grant.HistoryEntry) int { return a.At.Compare(b.At) })
	return entries, errors.Join(bad...)
}
