package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// StoredMemberTakes is what Redis has of the takes of one item in one bucket, of one moment, as StoredTakes is of a chunk.
type StoredMemberTakes struct {
	Key     string            // of the hash, to name it by
	List    string            // key of the entries
	Taken   map[string]string // when each member took it
	Entries int64             // of the list, in which other items of the bucket have theirs, too
	Misused []string          // keys of a wrong type; they count as empty
}

// StoredMemberTakes reads the takes of an item in a bucket, as StoredTakes does those of a chunk.
func (l *Reader) StoredMemberTakes(ctx context.Context, c *grant.Campaign, bucket uint64, item int,
	begin func(*StoredMemberTakes), entry func(at int64, text string),
) error {
	k := l.takeKeys(c, bucket, item)
	return l.retry(ctx, fmt.Sprintf("reading the takes of bucket %d", bucket), func() error {
		stored, err := l.storedMembers(ctx, &k)
		if err != nil {
			return err
		}
		begin(&stored)
		return l.eachStored(ctx, k.list, stored.Entries, journalPage, entry)
	})
}

// storedMembers reads all but the entries. A take sets both keys in one script, and the list only grows: while it has not, they
// are of one moment.
func (l *Reader) storedMembers(ctx context.Context, k *takeKeys) (StoredMemberTakes, error) {
	for {
		out := StoredMemberTakes{Key: k.taken, List: k.list}
		pipe := l.client.Pipeline()
		before, taken, after := pipe.LLen(ctx, k.list), pipe.HGetAll(ctx, k.taken), pipe.LLen(ctx, k.list)
		cmds, err := pipe.Exec(ctx)
		if err = named(cmds, err); err != nil && !misused(err) {
			return out, err
		}
		if before.Val() != after.Val() {
			continue
		}
		for _, cmd := range []redis.Cmder{after, taken} {
			switch err := cmd.Err(); {
			case err == nil || errors.Is(err, redis.Nil):
			case misused(err):
				out.Misused = append(out.Misused, fmt.Sprintf("%v: %v", cmd.Args()[1], err))
			default:
				return out, fmt.Errorf("%v: %w", cmd.Args()[1], err)
			}
		}
		out.Taken, out.Entries = taken.Val(), after.Val()
		return out, nil
	}
}

// eachStored hands the first entries of a list to entry. One that was cut meanwhile ends early.
func (l *Reader) eachStored(ctx context.Context, list string, entries, size int64, entry func(at int64, text string)) error {
	for at := int64(0); at < entries; {
		page, err := l.client.LRange(ctx, list, at, min(at+size, entries)-1).Result()
		if err != nil {
			return fmt.Errorf("%s: %w", list, err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, text := range page {
			entry(at, text)
			at++
		}
	}
	return nil
}
