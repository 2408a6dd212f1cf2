package ledger

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// A check asks about one user thousands of times a second, so it reads no journal: a bit, and what acts made of the user. When
// somebody was granted, it bounds by the first and the last entry of the chunk (Span): entries stand in the order of time. Only
// where the bounds do not decide, it asks for the moment itself (Times).

// Glances are quick looks at users, of any campaigns of one Redis, that go there together, in one pipeline. Their number should
// be bounded: a pipeline is read and answered as a whole. They are not retried; what they ask may be asked again at any time.
type Glances struct {
	pipe redis.Pipeliner
	ctx  context.Context //nolint:containedctx // of one pipeline, which is built and sent at once
}

// Glances begins a batch, in which users of other campaigns may be, too, if those are in the same Redis.
func (l *Reader) Glances(ctx context.Context) *Glances {
	return &Glances{pipe: l.client.Pipeline(), ctx: ctx}
}

// Send asks Redis. Its error is that of the connection, or of any of the looks: each of them says what it knows (Err).
func (g *Glances) Send() error {
	_, err := g.pipe.Exec(g.ctx)
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// Place returns the chunk of a user, and where in it the user is.
func Place(user grant.UserID) (chunk uint64, low uint16) { return dense.Split(user.Number()) }

// At is the inverse of Place.
func At(chunk uint64, low uint16) grant.UserID { return grant.NumberID(dense.Join(chunk, low)) }

// Glance is what is seen of one user.
type Glance struct {
	Chunk   uint64
	Low     uint16 // the user's place in the chunk
	settled *redis.IntCmd
	except  *redis.IntCmd
	state   *redis.StringCmd
	took    *redis.IntCmd    // nil: was not asked
	taken   *redis.StringCmd // nil: was not asked
	entries *redis.IntCmd    // nil: was not asked
}

// Ask is what else to look at, besides whether the user is granted, and acts.
type Ask struct {
	Entries bool // how many entries the chunk's journal has
	Take    bool // when the user took an item,
	Item    int  // by its place in the spec,
	Quota   bool // of which only the first may
}

// Glance adds one user.
func (l *Reader) Glance(g *Glances, user grant.UserID, ask Ask) Glance {
	chunk, low := dense.Split(user.Number())
	out := Glance{Chunk: chunk, Low: low}
	out.settled = g.pipe.GetBit(g.ctx, l.keys.of(chunk, "granted"), int64(low))
	out.state = g.pipe.HGet(g.ctx, l.keys.of(chunk, "state"), strconv.Itoa(int(low)))
	out.except = g.pipe.GetBit(g.ctx, l.keys.of(chunk, "excluded"), int64(low))
	if ask.Take {
		k := l.keys.take(chunk, ask.Item, ask.Quota)
		key, at := k.segment(low)
		out.took = g.pipe.GetBit(g.ctx, k.taken, int64(low)) // before the time, which comes with it
		out.taken = g.pipe.GetRange(g.ctx, key, at, at+stampedBytes-1)
	}
	if ask.Entries { // behind the bit: they are those that the user can be in, and more
		out.entries = g.pipe.LLen(g.ctx, l.keys.of(chunk, "journal"))
	}
	return out
}

// Err is what kept the user from being looked at.
func (g *Glance) Err() error {
	err := cmp.Or(g.settled.Err(), g.except.Err())
	if err == nil && g.taken != nil {
		err = cmp.Or(g.took.Err(), g.taken.Err())
	}
	if stateErr := g.state.Err(); err == nil && !errors.Is(stateErr, redis.Nil) {
		err = stateErr
	}
	if err == nil && g.entries != nil {
		err = g.entries.Err()
	}
	return err
}

// Granted reports whether the user has or had the campaign: the place is settled, and not by an exclusion.
func (g *Glance) Granted() bool { return g.settled.Val() == 1 && g.except.Val() == 0 }

// AmongMany reports whether the user took the item in a call of many, so that ExtendTakes knows when.
func (g *Glance) AmongMany() bool { return g.took != nil && g.took.Val() == 1 && g.Taken().IsZero() }

// Taken is when the user took the item that was asked about; zero: has not, or AmongMany, or was not asked.
func (g *Glance) Taken() time.Time {
	if g.taken == nil {
		return time.Time{}
	}
	return takenTime(g.taken.Val())
}

// State is what acts made of the user, as it is stored; empty: there was no act.
func (g *Glance) State() string { return g.state.Val() }

// Entries is how many entries the journal had; −1: was not asked.
func (g *Glance) Entries() int64 {
	if g.entries == nil {
		return -1
	}
	return g.entries.Val()
}

// of is the key of a chunk that ends with a name.
func (k *keys) of(chunk uint64, name string) string {
	var buf [160]byte
	b := append(buf[:0], "granter:{"...)
	b = append(b, k.campaign...)
	b = append(b, '/')
	b = strconv.AppendUint(b, chunk, 10)
	b = append(b, "}:"...)
	return string(append(b, name...))
}

// Span bounds when the users of a chunk were settled, whose bits were seen before its journal had more entries than these.
type Span struct {
	Entries     int64 // 0: nobody is settled
	First, Last time.Time
}

// Spans returns those of some chunks, in one pipeline. It is not retried.
func (l *Reader) Spans(ctx context.Context, chunks ...uint64) ([]Span, error) {
	if err := l.Dense("looking at users by bitmaps"); err != nil {
		return nil, err
	}
	pipe := l.client.Pipeline()
	counts := make([]*redis.IntCmd, len(chunks))
	firsts, lasts := make([]*redis.StringCmd, len(chunks)), make([]*redis.StringCmd, len(chunks))
	for i, chunk := range chunks {
		key := l.keys.of(chunk, "journal")
		counts[i] = pipe.LLen(ctx, key) // first: the last entry may be a later one, which widens the bounds
		firsts[i], lasts[i] = pipe.LIndex(ctx, key, 0), pipe.LIndex(ctx, key, -1)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	out := make([]Span, len(chunks))
	for i, chunk := range chunks {
		s := &out[i]
		if s.Entries = counts[i].Val(); s.Entries == 0 {
			continue
		}
		var err error
		if s.First, err = stampOf(firsts[i].Val()); err == nil {
			s.Last, err = stampOf(lasts[i].Val())
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.of(chunk, "journal"), err)
		}
	}
	return out, nil
}

// stampOf reads the time of an entry, whatever its kind.
func stampOf(entry string) (time.Time, error) {
	if len(entry) < stampBytes+kindBytes {
		return time.Time{}, fmt.Errorf("journal entry of %d bytes: too short", len(entry))
	}
	if entry[0] == 0 || entry[0] > entryVersion {
		return time.Time{}, fmt.Errorf("journal entry of version %d: this granter knows up to %d", entry[0], entryVersion)
	}
	var stamp [8]byte
	copy(stamp[2:], entry[1:stampBytes])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(stamp[:]))).UTC(), nil
}

// Times says when each user of a chunk was settled, as far as its journal was read. An entry never changes, so what is known
// stays true, and more is read behind it. It takes 136 KiB and what the distinct times take. It is not safe for concurrent use.
type Times struct {
	entries int64 // that were read
	known   dense.Bitmap
	index   [dense.ChunkSize]uint16 // of times, for users who are known
	times   []int64                 // Unix milliseconds
}

// At returns when a user was settled, and whether that is known.
func (t *Times) At(low uint16) (time.Time, bool) {
	if !t.known.Has(low) {
		return time.Time{}, false
	}
	return time.UnixMilli(t.times[t.index[low]]).UTC(), true
}

// Extend reads what the chunk's journal has beyond what the times know. Pages let others go first in Redis.
func (l *Reader) Extend(ctx context.Context, chunk uint64, t *Times) error {
	key := l.keys.of(chunk, "journal")
	var e Entry
	var text []byte
	var lows []uint16
	for size := int64(journalPage); ; size = min(2*size, lookupPage) {
		page, err := l.client.LRange(ctx, key, t.entries, t.entries+size-1).Result()
		if err != nil {
			return err
		}
		for i, entry := range page {
			text = append(text[:0], entry...)
			if err := e.UnmarshalBinary(text); err != nil {
				return fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, t.entries+int64(i), err)
			}
			if e.Kind.Settles() {
				lows = e.Members.Lows(lows[:0])
				t.add(&e, lows)
			}
		}
		if t.entries += int64(len(page)); int64(len(page)) < size {
			return nil
		}
	}
}

// add takes in an entry. A time is kept only if somebody new has it, so there are no more of them than an index can say.
func (t *Times) add(e *Entry, lows []uint16) {
	at := e.At.UnixMilli()
	for _, low := range lows {
		if !t.known.Set(low) {
			continue
		}
		if n := len(t.times); n == 0 || t.times[n-1] != at {
			t.times = append(t.times, at)
		}
		t.index[low] = uint16(len(t.times) - 1)
	}
}

// Image is all of a chunk that a check of many users needs, as of one moment.
type Image struct {
	Granted *dense.Bitmap // who has or had the campaign; nil: nobody
	Taken   *dense.Bitmap // who took the item that was asked about; nil: nobody
	Acts    *dense.Bitmap // users whom acts made something of; nil: nobody
	Entries int64         // of the journal, or more than then
}

// Images reads those of some chunks, in one pipeline; of takes, it looks at those of what is asked. Each is one to three times
// 8 KiB, and 10 bytes for each user with an act. It is not retried.
func (l *Reader) Images(ctx context.Context, chunks []uint64, ask Ask) ([]Image, error) {
	if err := l.Dense("looking at users by bitmaps"); err != nil {
		return nil, err
	}
	pipe := l.client.Pipeline()
	settled, except := make([]*redis.StringCmd, len(chunks)), make([]*redis.StringCmd, len(chunks))
	taken := make([]*redis.StringCmd, len(chunks))
	acts, entries := make([]*redis.StringSliceCmd, len(chunks)), make([]*redis.IntCmd, len(chunks))
	for i, chunk := range chunks {
		settled[i] = pipe.Get(ctx, l.keys.of(chunk, "granted"))
		except[i] = pipe.Get(ctx, l.keys.of(chunk, "excluded"))
		if ask.Take {
			k := l.keys.take(chunk, ask.Item, ask.Quota)
			taken[i] = pipe.Get(ctx, k.taken)
		}
		acts[i] = pipe.HKeys(ctx, l.keys.of(chunk, "state"))
		entries[i] = pipe.LLen(ctx, l.keys.of(chunk, "journal"))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	out := make([]Image, len(chunks))
	for i := range out {
		if text := settled[i].Val(); text != "" {
			out[i].Granted = new(dense.Bitmap)
			copy(out[i].Granted[:], text)
			for at, b := range []byte(except[i].Val()) {
				out[i].Granted[at] &^= b
			}
		}
		if taken[i] != nil && taken[i].Val() != "" {
			out[i].Taken = new(dense.Bitmap)
			copy(out[i].Taken[:], taken[i].Val())
		}
		for _, field := range acts[i].Val() {
			low, err := strconv.ParseUint(field, 10, dense.ChunkBits)
			if err != nil {
				key := l.keys.of(chunks[i], "state") //nolint:gosec // out has one for each chunk
				return nil, fmt.Errorf("%w: %s: field %q", ErrInconsistent, key, field)
			}
			if out[i].Acts == nil {
				out[i].Acts = new(dense.Bitmap)
			}
			out[i].Acts.Set(uint16(low))
		}
		out[i].Entries = entries[i].Val()
	}
	return out, nil
}
