package ledger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// The journals are an outbox: what became of users is in them, in order, from the moment on at which it was so. Whoever publishes
// it to the world keeps for each subscriber a cursor in each chunk, in a hash of the campaign, and leads by a lease. Where users
// are in buckets, a bucket takes the place of a chunk in all of this.
//
//	granter:{C}:published:<subscriber>  hash    chunk → cursor, a text that is the publisher's; other fields are its own, too
//	granter:{C}:published:subscribers   hash    subscriber → how it is served: grant.Subscriber as JSON
//	granter:{C}:publisher:<subscriber>  string  who leads, until it expires
func (k *keys) published(subscriber string) string {
	return "granter:{" + k.campaign + "}:published:" + subscriber
}

func (k *keys) publisher(subscriber string) string {
	return "granter:{" + k.campaign + "}:publisher:" + subscriber
}

// subscribers is a hash of what publishers say of each subscriber, as JSON: who looks at it needs no publisher.
func (k *keys) subscribers() string { return "granter:{" + k.campaign + "}:published:subscribers" }

// leadScript makes somebody lead, or go on leading, unless another one does.
//
//	KEYS  publisher
//	ARGV  who, milliseconds; 0: somebody leads no longer
//
// The reply is 1, or 0 when another one leads.
const leadScript = `
local leads = redis.call('GET', KEYS[1])
if leads and leads ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1`

// advanceScript moves cursors on, all or none, if who asks leads still, and nobody has moved one meanwhile. It prolongs the lead:
// PEXPIRE comes first, and is harmless alone.
//
//	KEYS  publisher published
//	ARGV  who, milliseconds of the lead, (field, expected or empty, new)…
//
// The reply is 1; 0 when who asks does not lead; −1 when a cursor is not the expected one.
const advanceScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local fields = {}
for i = 3, #ARGV, 3 do
  if (redis.call('HGET', KEYS[2], ARGV[i]) or '') ~= ARGV[i + 1] then
    return -1
  end
  fields[#fields + 1] = ARGV[i]
  fields[#fields + 1] = ARGV[i + 2]
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #fields > 0 then
  redis.call('HSET', KEYS[2], unpack(fields))
end
return 1`

// MaxMoves is how many cursors Advance moves at most.
const MaxMoves = 1000

// Move is what becomes of one cursor.
type Move struct {
	Field    string // the chunk in decimal, or another name
	From, To string // From is empty where there was none
}

// Lead makes somebody lead the publishing to a subscriber for a time, or go on leading. It reports whether nobody else does.
func (l *Coordination) Lead(ctx context.Context, subscriber, who string, lead time.Duration) (bool, error) {
	reply, err := l.call(ctx, &leadCall, []string{l.keys.publisher(subscriber)}, who, lead.Milliseconds())
	return reply == 1, err
}

// Tell notes how a subscriber is served. It makes one attempt: what is not noted is told again soon.
func (l *Coordination) Tell(ctx context.Context, s grant.Subscriber) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return l.client.HSet(ctx, l.keys.subscribers(), s.Name, text).Err()
}

// Subscribers returns what was said last of each subscriber, by name.
func (l *Coordination) Subscribers(ctx context.Context) ([]grant.Subscriber, error) {
	var out []grant.Subscriber
	err := l.retry(ctx, "asking how subscribers are served", func() error {
		texts, err := l.client.HGetAll(ctx, l.keys.subscribers()).Result()
		out = make([]grant.Subscriber, 0, len(texts))
		for name, text := range texts {
			s := grant.Subscriber{Name: name}
			if json.Unmarshal([]byte(text), &s) != nil { // of a version that says it otherwise
				s = grant.Subscriber{Name: name, State: grant.SubscriberWaiting}
			}
			out = append(out, s)
		}
		return err
	})
	slices.SortFunc(out, func(a, b grant.Subscriber) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// Cede ends the lead of somebody.
func (l *Coordination) Cede(ctx context.Context, subscriber, who string) error {
	_, err := l.Lead(ctx, subscriber, who, 0)
	return err
}

// Cursors returns all cursors of a subscriber by field.
func (l *Coordination) Cursors(ctx context.Context, subscriber string) (map[string]string, error) {
	var all map[string]string
	err := l.retry(ctx, "reading the cursors of "+subscriber, func() (err error) {
		all, err = l.client.HGetAll(ctx, l.keys.published(subscriber)).Result()
		return err
	})
	return all, err
}

// Advance moves cursors, all or none. It reports whether who asks leads still; where it does not, or a cursor is not what it
// was expected to be, nothing is moved. It makes one attempt: a failed one may have been carried out.
func (l *Coordination) Advance(ctx context.Context, subscriber, who string, lead time.Duration, moves []Move) (bool, error) {
	args := make([]any, 0, 2+3*len(moves))
	args = append(args, who, lead.Milliseconds())
	for _, m := range moves {
		args = append(args, m.Field, m.From, m.To)
	}
	reply, err := l.call(ctx, &advanceCall, []string{l.keys.publisher(subscriber), l.keys.published(subscriber)}, args...)
	return reply == 1, err
}

// List is one of the lists of a chunk that say what became of its users. Each is in the order of time.
type List string

// The lists of a chunk. Those of takes exist where a campaign offers items: items with a quota have one of their own.
const (
	ListJournal List = ""
	ListTakes   List = "takes"
	ListFirsts  List = "firsts" // takes of items with a quota
)

// Lists are those that the chunks of a campaign may have. An entry is in its list before one of a later list that refers to it.
func Lists(c *grant.Campaign) []List {
	out := []List{ListJournal}
	for _, item := range offers(c) {
		list := ListTakes
		if c.Items[item].First > 0 {
			list = ListFirsts
		}
		if !slices.Contains(out, list) {
			out = append(out, list)
		}
	}
	return out
}

// ListKey is where a list of a chunk is.
func (l *Reader) ListKey(chunk uint64, list List) string {
	if list == ListJournal {
		return l.keys.journal(chunk)
	}
	k := l.keys.take(chunk, 0, list == ListFirsts)
	return k.list
}

// Clock returns the time that no master's clock is behind: whatever happened until then, by whosever clock, is in the ledger.
func (l *Reader) Clock(ctx context.Context) (time.Time, error) {
	var mu sync.Mutex
	var out time.Time
	err := l.retry(ctx, "asking for the time", func() error {
		out = time.Time{}
		return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			at, err := c.Time(ctx).Result()
			mu.Lock()
			defer mu.Unlock()
			if out.IsZero() || at.Before(out) {
				out = at
			}
			return err
		})
	})
	return out.Truncate(time.Millisecond).Add(-time.Millisecond).UTC(), err // more may come in this millisecond
}

// Lengths returns how many entries some lists of some chunks have: by chunk, then by list. The journals are asked last: what
// the others refer to is in them.
func (l *Reader) Lengths(ctx context.Context, chunks []uint64, lists []List) ([][]int64, error) {
	out := make([][]int64, len(chunks))
	for i := range out {
		out[i] = make([]int64, len(lists))
	}
	for n, list := range slices.Backward(lists) {
		err := l.retry(ctx, "asking how long journals are", func() error {
			for begin := 0; begin < len(chunks); begin += surveyPage {
				part := chunks[begin:min(begin+surveyPage, len(chunks))]
				pipe := l.client.Pipeline()
				replies := make([]*redis.IntCmd, len(part))
				for i, chunk := range part {
					replies[i] = pipe.LLen(ctx, l.ListKey(chunk, list))
				}
				if _, err := pipe.Exec(ctx); err != nil {
					return named(replies, err)
				}
				for i, reply := range replies {
					out[begin+i][n] = reply.Val()
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Range is a part of a list of a chunk: entries From up to, and not including, To.
type Range struct {
	Chunk    uint64
	List     List
	From, To int64
}

// Texts returns parts of lists as they are stored, for Entry.UnmarshalBinary and TakeEntry.UnmarshalBinary, or, of buckets,
// for ReadBucket. A part is shorter where the list is.
func (l *Reader) Texts(ctx context.Context, parts []Range) ([][]string, error) {
	out := make([][]string, len(parts))
	err := l.retry(ctx, "reading journals", func() error {
		pipe := l.client.Pipeline()
		replies := make([]*redis.StringSliceCmd, len(parts))
		for i, p := range parts {
			replies[i] = pipe.LRange(ctx, l.ListKey(p.Chunk, p.List), p.From, p.To-1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return named(replies, err)
		}
		for i, reply := range replies {
			out[i] = reply.Val()
		}
		return nil
	})
	return out, err
}

// Acted reports in which chunks somebody did something about single users, beyond granting by hand and excluding.
func (l *Reader) Acted(ctx context.Context, chunks []uint64) (map[uint64]bool, error) {
	out := map[uint64]bool{}
	for part := range slices.Chunk(chunks, surveyPage) {
		err := l.retry(ctx, "asking where somebody acted", func() error {
			pipe := l.client.Pipeline()
			replies := make([]*redis.IntCmd, len(part))
			for i, chunk := range part {
				replies[i] = pipe.Exists(ctx, l.keys.place(chunk)[3])
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return named(replies, err)
			}
			for i, reply := range replies {
				out[part[i]] = reply.Val() > 0
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Now returns the time by Redis's clock.
func (l *Coordination) Now(ctx context.Context) (time.Time, error) {
	node, err := l.home(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return node.Time(ctx).Result()
}

// Users returns the members of an entry of a chunk, ascending.
func (e *Entry) Users(chunk uint64) iter.Seq[grant.UserID] {
	return func(yield func(grant.UserID) bool) {
		for i := range dense.Words {
			for w := e.Members.Word(i); w != 0; {
				lead := bits.LeadingZeros64(w)
				w &^= 1 << (63 - lead)
				if !yield(grant.NumberID(dense.Join(chunk, uint16(i*64+lead)))) {
					return
				}
			}
		}
	}
}

// FirstUser is the first ID of a chunk: the members of its entries, as Roaring has them, count from it.
func FirstUser(chunk uint64) grant.UserID { return grant.NumberID(dense.Join(chunk, 0)) }

// Roaring returns the members of an entry in the portable format of Roaring bitmaps, with one container of key 0.
func (e *Entry) Roaring() []byte {
	out, _ := appendTail(nil, nil, nil, &e.Members)
	return withoutCount(out)
}

// Stamp returns the time of a stored entry without reading the rest.
func Stamp(text []byte) (time.Time, error) {
	if len(text) < stampBytes {
		return time.Time{}, fmt.Errorf("journal entry of %d bytes: %w", len(text), errShort)
	}
	var stamp [8]byte
	copy(stamp[2:], text[1:stampBytes])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(stamp[:]))).UTC(), nil
}
