package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// chunkProof is what is found out about one chunk.
type chunkProof struct {
	members                                     dense.Bitmap // granted
	granted, excluded, entries, acts, journaled int64
	violations                                  []string
}

func (p *chunkProof) violated(format string, args ...any) {
	p.violations = append(p.violations, fmt.Sprintf(format, args...))
}

// state is what one look at a chunk finds.
type state struct {
	bitmap, excluded, calls string
	page                    []string
	entries                 int64
	users                   map[string]string // what acts made of them
}

// look reads bitmap and journal of a chunk at one moment: the bitmap belongs to the journal when that is as long after
// reading as before, because each call that changes the one makes the other longer. (Redis allows no MULTI when it is out of
// memory, and that is a good time for a proof.) A key of a wrong type is a violation, and counts as empty.
func (l *Reader) look(ctx context.Context, keys *chunkKeys, p *chunkProof) (s state, err error) {
	for {
		pipe := l.client.Pipeline()
		before := pipe.LLen(ctx, keys.journal)
		bitmap, page := pipe.Get(ctx, keys.granted), pipe.LRange(ctx, keys.journal, 0, journalPage-1)
		excluded, users := pipe.Get(ctx, keys.excluded), pipe.HGetAll(ctx, keys.state)
		after := pipe.LLen(ctx, keys.journal)
		calls := pipe.HGet(ctx, keys.calls, "spec")
		exists := pipe.Exists(ctx, keys.calls)
		pipe.Exec(ctx) //nolint:errcheck // each command has its own
		p.violations = nil
		for _, cmd := range []redis.Cmder{bitmap, before, calls, excluded, users} {
			if err := cmd.Err(); misused(err) {
				p.violated("%s: %v", cmd.Args()[1], err)
			}
		}
		for _, cmd := range []redis.Cmder{before, bitmap, page, after, calls, exists, excluded, users} {
			if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) && !misused(err) {
				return s, fmt.Errorf("%v: %w", cmd.Args()[1], err)
			}
		}
		if before.Val() != after.Val() {
			continue
		}
		s = state{
			bitmap: bitmap.Val(), excluded: excluded.Val(), users: users.Val(),
			calls: calls.Val(), page: page.Val(), entries: after.Val(),
		}
		if exists.Val() > 0 && s.bitmap == "" && s.entries == 0 && len(p.violations) == 0 {
			p.violated("calls have been applied (%s), and bitmap and journal are gone", keys.calls)
		}
		return s, nil
	}
}

func (l *Reader) proveChunk(ctx context.Context, chunk uint64) (p chunkProof, err error) {
	keys := l.keys.chunk(chunk, "")
	s, err := l.look(ctx, &keys, &p)
	if err != nil {
		return p, err
	}
	p.entries = s.entries
	var settled, excluded dense.Bitmap
	for _, b := range []struct {
		to   *dense.Bitmap
		text string
	}{{&settled, s.bitmap}, {&excluded, s.excluded}} {
		if copy(b.to[:], b.text) < len(b.text) {
			p.violated("the bitmap has %d bytes, more than %d", len(b.text), len(b.to))
		}
	}
	p.excluded = int64(excluded.Count())
	p.members = settled
	p.members.Subtract(&excluded)
	p.granted = int64(p.members.Count())

	told := story{chunk: chunk}
	var e Entry
	texts := s.page
	for at := int64(0); at < p.entries; {
		if len(texts) == 0 {
			p.violated("%s became shorter", keys.journal)
			return p, nil
		}
		for _, text := range texts[:min(int64(len(texts)), p.entries-at)] {
			if err := e.UnmarshalBinary([]byte(text)); err != nil {
				p.violated("entry %d: %v", at, err)
			} else {
				told.add(&p, &e, at)
			}
			at++
		}
		if at < p.entries {
			if texts, err = l.client.LRange(ctx, keys.journal, at, at+journalPage-1).Result(); err != nil {
				return p, fmt.Errorf("%s: %w", keys.journal, err)
			}
		}
	}
	p.journaled = int64(told.settled.Count() - told.excluded.Count())
	p.compare(chunk, &settled, &told.settled, "granted")
	p.compare(chunk, &excluded, &told.excluded, "excluded")
	p.compareStates(s.users, told.states)
	return p, nil
}

// compare names the first user whom only the bitmap, or only the journal, has.
func (p *chunkProof) compare(chunk uint64, bitmap, journal *dense.Bitmap, what string) {
	if n, first := without(bitmap, journal); n > 0 {
		p.violated("%d users are %s but in no entry, the first is %d", n, what, dense.Join(chunk, first))
	}
	if n, first := without(journal, bitmap); n > 0 {
		p.violated("%d users are in an entry but not %s, the first is %d", n, what, dense.Join(chunk, first))
	}
}

// compareStates looks whether what is stored about users is what the journal makes of them.
func (p *chunkProof) compareStates(stored map[string]string, told map[uint16]grant.UserState) {
	for _, low := range slices.Sorted(maps.Keys(told)) {
		state := told[low]
		p.compareState(stored, strconv.Itoa(int(low)), &state)
	}
	for _, field := range slices.Sorted(maps.Keys(stored)) {
		p.violated("state[%s] is %q, and the journal has no act about that user", field, stored[field])
	}
}

// compareState looks at what is stored about one user, and takes it out.
func (p *chunkProof) compareState(stored map[string]string, field string, told *grant.UserState) {
	want, err := json.Marshal(told)
	if err != nil || stored[field] != string(want) {
		p.violated("state[%s] is %q, and the journal makes it %q", field, stored[field], want)
	}
	delete(stored, field)
}

// story is what the entries of a journal make of a chunk's users, one after the other.
type story struct {
	chunk             uint64
	settled, excluded dense.Bitmap
	states            map[uint16]grant.UserState // of users about whom somebody did something that leaves a state
}

// add adds the next entry.
func (s *story) add(p *chunkProof, e *Entry, at int64) {
	if e.Kind.Settles() {
		p.disjoint(&s.settled, e, s.chunk, at)
		if e.Kind == EntryExclude {
			s.excluded.Or(&e.Members)
		}
		s.settled.Or(&e.Members)
	}
	if e.Act == nil {
		return
	}
	p.acts++
	if !e.Act.Keeps() {
		return
	}
	if s.states == nil {
		s.states = map[uint16]grant.UserState{}
	}
	for _, low := range e.Members.Lows(nil) {
		place := grant.PlaceNone
		switch {
		case s.excluded.Has(low):
			place = grant.PlaceExcluded
		case s.settled.Has(low) && e.Kind != EntryHand:
			place = grant.PlaceGranted
		}
		before := s.states[low]
		place, after, err := before.After(place, e.Act)
		if err != nil {
			p.violated("entry %d: %s of user %d: %v", at, e.Act.Kind, dense.Join(s.chunk, low), err)
			continue
		}
		if place != grant.PlaceExcluded {
			s.excluded.Clear(low)
		}
		s.states[low] = after
	}
}

// disjoint looks whether an entry that settles has nobody whom an entry before it has.
func (p *chunkProof) disjoint(before *dense.Bitmap, e *Entry, chunk uint64, at int64) {
	twice, first := 0, uint16(0)
	for i := range dense.Words {
		if both := before.Word(i) & e.Members.Word(i); both != 0 {
			if twice == 0 {
				first = uint16(i*64 + bits.LeadingZeros64(both))
			}
			twice += bits.OnesCount64(both)
		}
	}
	if twice > 0 {
		p.violated("entry %d: %d users are in an earlier entry too, the first is %d", at, twice, dense.Join(chunk, first))
	}
}

// without counts the bits of a that b has not, and returns the first of them.
func without(a, b *dense.Bitmap) (n int, first uint16) {
	for i := range dense.Words {
		if only := a.Word(i) &^ b.Word(i); only != 0 {
			if n == 0 {
				first = uint16(i*64 + bits.LeadingZeros64(only))
			}
			n += bits.OnesCount64(only)
		}
	}
	return n, first
}
