package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// Acts are what people do about single users. A call is made for one command or request: it has a lease as a run has,
// because an act may be the first thing that happens to a campaign.
type Acts struct {
	*Store
	grants *Grants
	reader *Reader
}

const (
	// actChunks is how many chunks are worked on at once.
	actChunks = 8
	// actUsers is how many users one call of the act script changes at most: about 4 ms of Redis.
	actUsers = 1024
	// actSpins is how often a call that finds other users than it was made for is made again: each time somebody else did
	// something about the same users, or the reply to the call before was lost.
	actSpins = 100
)

// NewActs makes what somebody does about users of a store's campaign. The run names the lease.
func NewActs(s *Store, run grant.RunID) *Acts {
	l := &Acts{Store: s, grants: NewGrants(s, run), reader: NewReader(s)}
	l.grants.surveyed.Store(true) // a few users are no reason to search all keys, unless they are the first
	return l
}

// UserAct is an act about one user.
type UserAct struct {
	User grant.UserID
	Act  grant.Act
	// AfterEnd lets the user be granted by hand after ends_at.
	AfterEnd bool
	// Seen is User.Seen as whoever decided on the act saw it: if somebody else did something since, it is refused. Empty: it
	// does not matter.
	Seen string
}

// ActResult is what became of an act about one user.
type ActResult struct {
	Before User // as it was found
	Again  bool // it had been done before, by an act with the same ID
	// Err is nil when the act was done, now or by an earlier attempt with the same ID; else it is grant.ErrUnchanged or
	// grant.ErrRefused, which say why it was not.
	Err error
}

// Do does the acts, and returns what became of each, in their order; of a user who is named twice, the second act finds what
// the first one made. An error means that Redis, the time or the spec refused, and that some were done, perhaps: it is safe
// to do the same again, for an act with the same ID is done to a user once. With dry, nothing is written.
func (l *Acts) Do(ctx context.Context, acts []UserAct, dry bool) ([]ActResult, error) {
	results := make([]ActResult, len(acts))
	control, now, err := l.control(ctx)
	if err != nil {
		return results, err
	}
	hands := slices.ContainsFunc(acts, func(a UserAct) bool { return anew(&a.Act) })
	if hands && control.AbortedBy != nil {
		return results, fmt.Errorf("%w: the campaign is aborted, and nobody is granted anything until granter resume",
			grant.ErrRefused)
	}
	if control.StartsAt != nil {
		l.grants.NotBefore(*control.StartsAt)
	}
	if err := l.timely(acts, now); err != nil {
		return results, err
	}
	if err := l.listed(ctx, hands); err != nil {
		return results, err
	}
	if !dry {
		if err := l.begin(ctx); err != nil {
			return results, err
		}
		defer l.end(ctx)
	}
	byChunk := map[uint64][]int{}
	for i := range acts {
		acts[i].Act.At = now
		if err := acts[i].Act.Validate(); err != nil {
			return results, &grant.UserError{User: acts[i].User, Err: err}
		}
		group, err := l.group(acts[i].User)
		if err != nil {
			return results, err
		}
		byChunk[group] = append(byChunk[group], i)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(actChunks)
	for chunk, indices := range byChunk {
		work.Go(func() error {
			c := chunkActs{Acts: l, chunk: chunk, acts: acts, results: results}
			for _, some := range apart(acts, indices) {
				if err := c.do(ctx, some, dry); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return results, work.Wait()
}

// timely refuses to grant anybody anew outside of the campaign's time. It is said before anything is done, and of a dry run, too;
// the script has the last word.
func (l *Acts) timely(acts []UserAct, now time.Time) error {
	fence := l.grants.fence()
	for i := range acts {
		switch {
		case !anew(&acts[i].Act):
		case now.UnixMilli() < fence.notBefore:
			early := &grant.EarlyError{Now: now, Start: time.UnixMilli(fence.notBefore).UTC()}
			return fmt.Errorf("%w: %w", grant.ErrRefused, early)
		case fence.ends > 0 && now.UnixMilli() >= fence.ends && !acts[i].AfterEnd:
			return fmt.Errorf("%w: %w", grant.ErrRefused, grant.ErrEnded)
		}
	}
	return nil
}

// listed refuses to grant anybody by hand before those on the lists of the spec are excluded: it might be one of them.
func (l *Acts) listed(ctx context.Context, hands bool) error {
	if !hands || len(l.campaign.Exclude) == 0 {
		return nil
	}
	listed, err := l.grants.coordination.Listed(ctx)
	if err == nil && listed == nil {
		err = fmt.Errorf("%w: nobody has read yet whom the spec excludes: granter exclude -f SPEC --listed does, and so does "+
			"the first run", grant.ErrRefused)
	}
	return err
}

// control is what operators ordered, and the time by the clock that everybody goes by.
func (l *Acts) control(ctx context.Context) (control grant.Control, now time.Time, err error) {
	err = l.retry(ctx, "reading the operators' orders", func() error {
		control, _, now, err = l.grants.coordination.control(ctx)
		return err
	})
	return control, now.UTC().Truncate(time.Millisecond), err
}

// begin stores the spec, as the first run does, and takes the lease that lets chunks be changed.
func (l *Acts) begin(ctx context.Context) error {
	if err := l.retry(ctx, "loading scripts", func() error { return l.loadScripts(ctx) }); err != nil {
		return err
	}
	return l.grants.EnsureSpec(ctx, l.campaign)
}

// end gives the lease back. If it cannot, that lapses by itself.
func (l *Acts) end(ctx context.Context) {
	_ = l.grants.releaseLease(context.WithoutCancel(ctx))
}

// anew reports whether an act grants somebody something that nobody had: that is bound to the campaign's time.
func anew(a *grant.Act) bool { return a.Kind == grant.ActHand && a.From == nil }

// apart splits acts about a chunk into lists that name nobody twice and are of a size for one call, in their order.
func apart(acts []UserAct, indices []int) [][]int {
	var lists [][]int
	seen := map[grant.UserID]bool{}
	for _, i := range indices {
		if len(lists) == 0 || seen[acts[i].User] || len(lists[len(lists)-1]) == actUsers {
			lists = append(lists, nil)
			clear(seen)
		}
		seen[acts[i].User] = true
		lists[len(lists)-1] = append(lists[len(lists)-1], i)
	}
	return lists
}

// chunkActs are the acts about users of one chunk, or bucket.
type chunkActs struct {
	*Acts
	chunk   uint64
	seen    int64 // entries of the bucket
	acts    []UserAct
	results []ActResult
}

// actCalled is one call of the act script: the same act, about users who have the same place.
type actCalled struct {
	before, after grant.Place
	act           []byte
	kind          EntryKind
	anew          bool
	afterEnd      bool
	users         []actedOn
}

type actedOn struct {
	index         int // of the act
	low           uint16
	before, after string // states; empty: none
}

// do looks at the users, and changes those who can be; what is not as it was looked at is looked at again.
func (c *chunkActs) do(ctx context.Context, indices []int, dry bool) error {
	if c.acts[indices[0]].Act.Kind == grant.ActErase {
		return c.eraseAll(ctx, indices, dry)
	}
	for range actSpins {
		calls, err := c.plan(ctx, indices)
		if err != nil || dry {
			return err
		}
		indices = indices[:0:0]
		for i := range calls {
			done, err := c.call(ctx, &calls[i])
			if err != nil {
				return err
			}
			if !done {
				for _, u := range calls[i].users {
					indices = append(indices, u.index)
				}
			}
		}
		if len(indices) == 0 {
			return nil
		}
	}
	return fmt.Errorf("chunk %d: somebody else does something about the same users all the time", c.chunk)
}

// plan finds out who can be changed, and how, and fills in the results of all of them.
func (c *chunkActs) plan(ctx context.Context, indices []int) ([]actCalled, error) {
	asked := make([]*User, len(indices))
	for n, i := range indices {
		c.results[i] = ActResult{Before: User{User: c.acts[i].User}}
		asked[n] = &c.results[i].Before
	}
	err := c.retry(ctx, fmt.Sprintf("looking up users of chunk %d", c.chunk), func() error {
		if c.campaign.Input.Opaque() {
			return c.lookInBucket(ctx, asked)
		}
		left, err := c.reader.lookUp(ctx, c.chunk, asked)
		if err == nil && len(left) > 0 {
			err = notInJournal(left[0], c.chunk)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var calls []actCalled
	for _, i := range indices {
		u, act := &c.results[i].Before, &c.acts[i].Act
		if u.did(act.ID) {
			c.results[i].Again = true
			continue // by an attempt whose reply was lost, or by a command that was killed
		}
		after, state, err := u.State.After(u.Place, act)
		if changed := u.StillAs(c.acts[i].Seen); changed != nil {
			err = changed
		}
		if err != nil {
			c.results[i].Err = err
			continue
		}
		if err := add(&calls, i, u, &c.acts[i], after, &state); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

// did reports whether an act has been done to the user.
func (u *User) did(id string) bool {
	return u.State.Done(id) || u.Settled != nil && u.Settled.Act != nil && u.Settled.Act.ID == id
}

// add adds a user to the call that does the same to others of the same place, or to a new one.
func add(calls *[]actCalled, index int, u *User, wanted *UserAct, place grant.Place, state *grant.UserState) error {
	act := &wanted.Act
	text, err := json.Marshal(act)
	if err != nil {
		return err
	}
	if len(text) > maxActBytes {
		return fmt.Errorf("an act of %d bytes: %d at most", len(text), maxActBytes)
	}
	user := actedOn{index: index, low: u.low()}
	if act.Keeps() {
		after, err := json.Marshal(state)
		if err != nil {
			return err
		}
		user.before, user.after = u.stored, string(after)
	}
	for i := range *calls {
		if c := &(*calls)[i]; c.before == u.Place && c.after == place && c.afterEnd == wanted.AfterEnd &&
			bytes.Equal(c.act, text) {
			c.users = append(c.users, user)
			return nil
		}
	}
	*calls = append(*calls, actCalled{u.Place, place, text, entryKinds[act.Kind], anew(act), wanted.AfterEnd, []actedOn{user}})
	return nil
}

// placeDigits are what the act script calls places.
var placeDigits = map[grant.Place]string{grant.PlaceNone: "0", grant.PlaceGranted: "1", grant.PlaceExcluded: "2"}

// actFence is what the script judges a call by.
func (c *chunkActs) actFence(a *actCalled) fence {
	f := c.grants.fence()
	if !a.anew {
		f.notBefore, f.ends = 0, 0
	} else if a.afterEnd {
		f.ends = 0
	}
	return f
}

// call makes one call, and reports whether it was carried out: it is not where users are not as they were looked at.
func (c *chunkActs) call(ctx context.Context, a *actCalled) (done bool, err error) {
	if c.campaign.Input.Opaque() {
		return c.callBucket(ctx, a)
	}
	slices.SortFunc(a.users, func(x, y actedOn) int { return int(x.low) - int(y.low) })
	members := new(dense.Bitmap)
	for _, u := range a.users {
		members.Set(u.low)
	}
	entry := appendAct(nil, a.kind, a.act, members)
	offsets := appendOffsets(nil, members, len(a.users))
	before, after := placeDigits[a.before], placeDigits[a.after]
	if a.kind == EntryNote {
		before, after = "", "" // a note does not care who gets granted meanwhile
	}
	keys := c.keys.chunk(c.chunk, "")
	what := fmt.Sprintf("doing acts about users of chunk %d", c.chunk)
	err = c.grants.deliver(ctx, what, func() error {
		fence := c.actFence(a)
		args := []any{fence.spec, fence.notBefore, fence.notAfter(), entry, offsets, before, after}
		for _, u := range a.users {
			if u.after != "" {
				args = append(args, u.before, u.after)
			}
		}
		// Before anything that the index must cover. Should Redis lose it, the next run completes the index.
		if err := c.client.SAdd(ctx, c.keys.chunks, c.chunk).Err(); err != nil {
			return fmt.Errorf("%s: %w", c.keys.chunks, err)
		}
		pipe := c.client.Pipeline()
		cmd := actCall.command(ctx, keys.act(), args...)
		if err := pipe.Process(ctx, cmd); err != nil {
			return err
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fence.refused(err)
		}
		reply, err := cmd.Int64()
		done = reply == 1
		return err
	})
	if err != nil && !errors.Is(err, grant.ErrEnded) {
		c.grants.inDoubt.Store(true)
	}
	return done, err
}
