package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
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

// Lookup returns the grant of one user, and whether there is one. ErrInconsistent means that the user counts as granted
// but no journal entry says since when.
func (l *Ledger) Lookup(ctx context.Context, user grant.UserID) (_ Grant, _ bool, err error) {
	chunk, low := sharding.Split(uint64(user))
	ctx, span := tracer.Start(ctx, "ledger.lookup") // without the user: traces go to where user IDs do not belong
	defer span.End()
	defer func() { blame(span, err) }()
	var g Grant
	var found bool
	err = l.retry(ctx, fmt.Sprintf("looking up user %d", user), func() error {
		bit, err := l.client.GetBit(ctx, l.keys.granted(chunk), int64(low)).Result()
		if found = bit == 1; err != nil || !found {
			return err
		}
		return l.pages(ctx, chunk, func(e *Entry) bool {
			if !e.Members.Has(low) {
				return true
			}
			g = Grant{User: user, At: e.At, Run: e.Run, Shard: e.Shard, Flush: e.Flush, Ranges: slices.Clone(e.Ranges)}
			return false
		})
	})
	switch {
	case err != nil:
		return Grant{}, false, err
	case found && g.At.IsZero():
		return Grant{}, false, fmt.Errorf("user %d is granted, but is not in the journal of chunk %d: %w", user, chunk, ErrInconsistent)
	}
	return g, found, nil
}

// pages hands the entries of a chunk's journal to fn, oldest first, until it returns false. The entry is used again.
func (l *Ledger) pages(ctx context.Context, chunk uint64, fn func(*Entry) bool) error {
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
