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

const (
	// journalPage is how many entries are read at once by who decodes them: 64 × 8 KiB = 512 KiB at most.
	journalPage = 64
	// lookupPage is how many entries a lookup reads at most at once. It begins with 64, and reads twice as many each time.
	// The entries of a chunk have no member in common, so a page of 1,024 is no more than 128 KiB and its ranges.
	lookupPage = 1024
)

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
	defer func() { recordError(span, err) }()
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
	entries := pipe.LLen(ctx, l.keys.journal(chunk)) // behind the bits: it covers those who have one
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
	err = l.newestFirst(ctx, chunk, entries.Val(), func(e *Entry, members memberSet) bool {
		left = slices.DeleteFunc(left, func(i int) bool {
			if !members.has(low(i)) {
				return false
			}
			found[i] = &Grant{User: users[i], At: e.At, Run: e.Run, Shard: e.Shard, Flush: e.Flush, Ranges: slices.Clone(e.Ranges)}
			return true
		})
		return len(left) > 0
	})
	return left, err
}

// newestFirst hands the first entries of a chunk's journal to fn, the last of them first, until it returns false: most who
// ask do so about a recent grant. Members are not decoded. A journal grows at its end only, so its pages do not move.
func (l *Reader) newestFirst(ctx context.Context, chunk uint64, entries int64, fn func(*Entry, memberSet) bool) error {
	key := l.keys.journal(chunk)
	var e Entry
	var text []byte
	for to, size := entries, int64(journalPage); to > 0; size = min(2*size, lookupPage) {
		from := max(0, to-size)
		page, err := l.client.LRange(ctx, key, from, to-1).Result()
		if err != nil {
			return err
		}
		for i, entry := range slices.Backward(page) {
			text = append(text[:0], entry...)
			members, err := e.unmarshalHead(text)
			if err != nil {
				return fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, from+int64(i), err)
			}
			if !fn(&e, members) {
				return nil
			}
		}
		to = from
	}
	return nil
}
