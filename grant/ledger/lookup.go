package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// journalPage is how many entries are read at once: 64 × 8 KiB = 512 KiB at most.
const journalPage = 64

// Grant is what the ledger knows about one user who has been granted the campaign.
type Grant struct {
	User   grant.UserID
	At     time.Time // by the clock of Redis, to the millisecond
	Run    grant.RunID
	Shard  int
	Flush  uint64
	Ranges []sharding.Range // the user's record is in one of them
}

// lookupChunks is how many chunks are looked into at once: their journals are read page by page, each in its time.
const lookupChunks = 16

// Lookup returns the grant of one user, and whether there is one. ErrInconsistent means that the user counts as granted
// but no journal entry says since when.
func (l *Reader) Lookup(ctx context.Context, user grant.UserID) (Grant, bool, error) {
	found, err := l.LookupAll(ctx, []grant.UserID{user})
	if err != nil || found[0] == nil {
		return Grant{}, false, err
	}
	return *found[0], true, nil
}

// LookupAll returns the grants of some users, in their order; nil is for whoever has none. The journal of each of their
// chunks is read once, however many they are.
func (l *Reader) LookupAll(ctx context.Context, users []grant.UserID) (_ []*Grant, err error) {
	ctx, span := tracer.Start(ctx, "ledger.lookup") // without the users: traces go to where user IDs do not belong
	defer span.End()
	defer func() { blame(span, err) }()
	found := make([]*Grant, len(users))
	byChunk := map[uint64][]int{} // indices of users
	for i, user := range users {
		chunk, _ := dense.Split(uint64(user))
		byChunk[chunk] = append(byChunk[chunk], i)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(lookupChunks)
	for chunk, asked := range byChunk {
		work.Go(func() error {
			var left []int
			err := l.retry(ctx, fmt.Sprintf("looking up users of chunk %d", chunk), func() (err error) {
				left, err = l.lookUp(ctx, chunk, asked, users, found)
				return err
			})
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("user %d is granted, but is not in the journal of chunk %d: %w", users[left[0]], chunk, ErrInconsistent)
			}
			return err
		})
	}
	return found, work.Wait()
}

// lookUp fills in the grants of those users of a chunk who are asked for, and returns who is granted and in no entry.
func (l *Reader) lookUp(ctx context.Context, chunk uint64, asked []int, users []grant.UserID, found []*Grant) (left []int, err error) {
	low := func(i int) uint16 { _, low := dense.Split(uint64(users[i])); return low }
	pipe := l.client.Pipeline()
	bits := make([]*redis.IntCmd, len(asked))
	for n, i := range asked {
		bits[n] = pipe.GetBit(ctx, l.keys.granted(chunk), int64(low(i)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for n, i := range asked {
		if bits[n].Val() == 1 {
			left = append(left, i)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	err = l.pages(ctx, chunk, func(e *Entry) bool {
		left = slices.DeleteFunc(left, func(i int) bool {
			if !e.Members.Has(low(i)) {
				return false
			}
			found[i] = &Grant{User: users[i], At: e.At, Run: e.Run, Shard: e.Shard, Flush: e.Flush, Ranges: slices.Clone(e.Ranges)}
			return true
		})
		return len(left) > 0
	})
	return left, err
}

// pages hands the entries of a chunk's journal to fn, oldest first, until it returns false. The entry is used again.
func (l *Reader) pages(ctx context.Context, chunk uint64, fn func(*Entry) bool) error {
	key := l.keys.journal(chunk)
	var e Entry
	for from := int64(0); ; from += journalPage {
		page, err := l.client.LRange(ctx, key, from, from+journalPage-1).Result()
		if err != nil {
			return err
		}
		for i, text := range page {
			if err := e.UnmarshalBinary([]byte(text)); err != nil {
				return fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, from+int64(i), err)
			}
			if !fn(&e) {
				return nil
			}
		}
		if len(page) < journalPage {
			return nil
		}
	}
}
