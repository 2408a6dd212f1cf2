package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	// The entries that settle have no member in common, so a page of 1,024 is no more than 128 KiB and its ranges, and acts.
	lookupPage = 1024
)

// Grant is the entry that settled a user's place: by a run, by hand, or by an exclusion.
type Grant struct {
	User   grant.UserID
	Kind   EntryKind
	At     time.Time // by the clock of Redis, to the millisecond
	Run    grant.RunID
	Shard  int
	Flush  uint64
	Ranges []sharding.Range // of EntryGrant: the user's record is in one of them
	Act    *grant.Act       // of the others
}

// User is what the ledger knows about one user.
type User struct {
	User    grant.UserID
	Place   grant.Place
	Settled *Grant // nil: PlaceNone
	State   grant.UserState
	stored  string // State, as it is in the ledger
}

// GrantedAt is the moment that validity is counted from; zero: the user is not granted.
func (u *User) GrantedAt() time.Time {
	switch {
	case u.Place != grant.PlaceGranted:
		return time.Time{}
	case !u.State.GrantedAt.IsZero():
		return u.State.GrantedAt
	}
	return u.Settled.At
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

// LookupAll returns the grants of some users, in their order; nil is for whoever has none, and never had. What acts made of
// a grant, Users says.
func (l *Reader) LookupAll(ctx context.Context, users []grant.UserID) ([]*Grant, error) {
	found, err := l.Users(ctx, users)
	if err != nil {
		return nil, err
	}
	grants := make([]*Grant, len(users))
	for i := range found {
		if u := &found[i]; u.Place == grant.PlaceGranted {
			u.Settled.At = u.GrantedAt()
			grants[i] = u.Settled
		}
	}
	return grants, nil
}

// Users returns what the ledger knows about some users, in their order. The journal of each of their chunks is read once,
// however many they are.
func (l *Reader) Users(ctx context.Context, users []grant.UserID) (_ []User, err error) {
	ctx, span := tracer.Start(ctx, "ledger.lookup") // without the users: traces go to where user IDs do not belong
	defer span.End()
	defer func() { recordError(span, err) }()
	if l.campaign.Input.Opaque() {
		return l.usersOfBuckets(ctx, users)
	}
	found := make([]User, len(users))
	byChunk := map[uint64][]*User{}
	for i, user := range users {
		chunk, _ := dense.Split(user.Number())
		found[i].User = user
		byChunk[chunk] = append(byChunk[chunk], &found[i])
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(lookupChunks)
	for chunk, asked := range byChunk {
		work.Go(func() error {
			var left []*User
			err := l.retry(ctx, fmt.Sprintf("looking up users of chunk %d", chunk), func() (err error) {
				left, err = l.lookUp(ctx, chunk, asked)
				return err
			})
			if err == nil && len(left) > 0 {
				err = notInJournal(left[0], chunk)
			}
			return err
		})
	}
	return found, work.Wait()
}

// Held returns what the ledger knows about some users, in their order, and what decides what they hold of a campaign: the
// zero value is for whoever is not granted.
func (l *Reader) Held(ctx context.Context, c *grant.Campaign, users []grant.UserID) ([]User, []grant.Holding, error) {
	found, err := l.Users(ctx, users)
	if err != nil {
		return nil, nil, err
	}
	granted := make([]time.Time, len(users))
	for i := range found {
		granted[i] = found[i].GrantedAt()
	}
	held, err := l.Holdings(ctx, c, users, granted)
	if err != nil {
		return nil, nil, err
	}
	for i := range found {
		held[i].Acts = found[i].State
	}
	return found, held, nil
}

// lookUp fills in what is known of some users of a chunk, and returns who is settled and in no entry.
func (l *Reader) lookUp(ctx context.Context, chunk uint64, asked []*User) (left []*User, err error) {
	entries, err := l.places(ctx, chunk, asked)
	if err != nil {
		return nil, err
	}
	for _, u := range asked {
		if u.Place != grant.PlaceNone {
			left = append(left, u)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	err = l.newestFirst(ctx, chunk, entries, func(e *Entry, members memberSet) (bool, error) {
		if !e.Kind.Settles() {
			return true, nil
		}
		var bad error
		left = slices.DeleteFunc(left, func(u *User) bool {
			if bad != nil || !members.has(u.low()) {
				return false
			}
			bad = e.readAct()
			u.Settled = &Grant{
				User: u.User, Kind: e.Kind, At: e.At, Run: e.Run, Shard: e.Shard, Flush: e.Flush, Ranges: slices.Clone(e.Ranges),
				Act: u.State.Told(e.Act),
			}
			return true
		})
		return len(left) > 0, bad
	})
	return left, err
}

func notInJournal(u *User, chunk uint64) error {
	return &grant.UserError{User: u.User, Err: fmt.Errorf("settled, but not in the journal of chunk %d: %w", chunk, ErrInconsistent)}
}

func (u *User) low() uint16 { _, low := dense.Split(u.User.Number()); return low }

// places fills in the places and states of some users of a chunk, and returns how many entries its journal has, which cover
// whoever is settled. Where no act was done, which is nearly everywhere, it asks for no state.
func (l *Reader) places(ctx context.Context, chunk uint64, asked []*User) (int64, error) {
	keys := l.keys.chunk(chunk, "")
	pipe := l.client.Pipeline()
	bits := make([]*redis.IntCmd, len(asked))
	for i, u := range asked {
		bits[i] = pipe.GetBit(ctx, keys.granted, int64(u.low()))
		*u = User{User: u.User, Place: grant.PlaceNone}
	}
	entries := pipe.LLen(ctx, keys.journal) // behind the bits: it covers those who have one
	acts := pipe.Exists(ctx, keys.excluded, keys.state)
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	for i, u := range asked {
		if bits[i].Val() == 1 {
			u.Place = grant.PlaceGranted
		}
	}
	if acts.Val() == 0 {
		return entries.Val(), nil
	}
	states := make([]*redis.StringCmd, len(asked))
	for i, u := range asked {
		bits[i] = pipe.GetBit(ctx, keys.excluded, int64(u.low()))
		states[i] = pipe.HGet(ctx, keys.state, strconv.Itoa(int(u.low())))
	}
	entries = pipe.LLen(ctx, keys.journal) // of those who were excluded meanwhile, too
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return 0, err
	}
	for i, u := range asked {
		if err := bits[i].Err(); err != nil {
			return 0, err
		}
		if bits[i].Val() == 1 {
			u.Place = grant.PlaceExcluded
		}
		text, err := states[i].Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return 0, fmt.Errorf("%s: %w", keys.state, err)
		}
		if err := u.readState(text); err != nil {
			return 0, fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, keys.state, u.low(), err)
		}
	}
	return entries.Val(), nil
}

// readState reads what acts made of a user, as it is stored; empty: nothing.
func (u *User) readState(text string) error {
	if u.stored = text; text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), &u.State)
}

// newestFirst hands the first entries of a chunk's journal to fn, the last of them first, until it returns false: most who
// ask do so about a recent grant. Acts and members are not decoded. A journal grows at its end only, so its pages do not move.
func (l *Reader) newestFirst(ctx context.Context, chunk uint64, entries int64, fn func(*Entry, memberSet) (bool, error)) error {
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
			more := true
			if err == nil {
				more, err = fn(&e, members)
			}
			if err != nil {
				return fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, from+int64(i), err)
			}
			if !more {
				return nil
			}
		}
		to = from
	}
	return nil
}
