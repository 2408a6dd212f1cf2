package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

const (
	// takeMembers is how many users take an item in one call at most: about 2 ms of Redis.
	takeMembers = 2048
	// takePipeline is how many microseconds of Redis a pipeline takes, so that others wait no longer behind it.
	takePipeline = 2500
	// judgedFor is how long a user who was found to be one who may take an item with a quota may do so, by the clocks of two
	// masters. Whoever sleeps longer in between is judged again.
	judgedFor = 10 * time.Second
	maxSlept  = 5
)

// Takes is how users take what they were offered. It is safe for concurrent use.
type Takes struct {
	*Store
	reader *Reader
	run    grant.RunID
	calls  atomic.Uint64
}

// NewTakes makes the takes of a store, of which a process has one: run says in the entries which.
func NewTakes(s *Store, run grant.RunID) *Takes {
	return &Takes{Store: s, reader: NewReader(s), run: run}
}

// Take is one user's wish to have an item.
type Take struct {
	User grant.UserID
	Item int // its index in the spec
}

// Taken is what became of it.
type Taken struct {
	Outcome grant.Outcome
	At      time.Time // when the user took the item, by the clock of Redis, to the millisecond; zero: the user has not
}

// Take has users take items of a campaign, and returns what became of each, in their order. It is idempotent: whoever has an
// item is told since when. All is judged by Redis, in the call that writes: whether the user is granted, and not excluded or
// revoked; the
// item's take_until; and how many of its first are left. After an error it is unknown what was taken; ask again.
//
// The campaign is that by which users are granted: ErrSpecChanged means that it is not.
func (t *Takes) Take(ctx context.Context, c *grant.Campaign, wishes []Take) ([]Taken, error) {
	out, err := t.take(ctx, c, wishes, 2, execute) // while Redis works on one pipeline, the next is made
	if err != nil {
		return nil, err
	}
	return out, t.since(ctx, c, wishes, out)
}

// sender runs a pipeline.
type sender func(context.Context, redis.Pipeliner) error

func execute(ctx context.Context, pipe redis.Pipeliner) error {
	_, err := pipe.Exec(ctx)
	return err
}

// take is Take without the moments of those who had an item before.
func (t *Takes) take(
	ctx context.Context, c *grant.Campaign, wishes []Take, atOnce int, send sender,
) (_ []Taken, err error) {
	if err := t.Dense("taking items"); err != nil {
		return nil, err
	}
	ctx, span := tracer.Start(ctx, "ledger.take")
	defer span.End()
	defer func() { recordError(span, err) }()
	out := make([]Taken, len(wishes))
	groups, err := t.group(c, wishes)
	if err != nil {
		return nil, err
	}
	if len(groups) < atOnce {
		atOnce = 1
	}
	all, going := errgroup.WithContext(ctx)
	for i := range atOnce {
		part := groups[i*len(groups)/atOnce : (i+1)*len(groups)/atOnce]
		all.Go(func() error { return t.rounds(going, slices.Clone(part), out, send) })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// rounds makes calls for some groups, one pipeline after the other, until none needs another.
func (t *Takes) rounds(ctx context.Context, groups []*takeGroup, out []Taken, send sender) error {
	for len(groups) > 0 {
		n, cost := 0, 0
		for n < len(groups) && (n == 0 || cost+groups[n].cost() <= takePipeline) {
			cost += groups[n].cost()
			n++
		}
		again, err := t.round(ctx, groups[:n], out, send)
		if err != nil {
			return err
		}
		groups = append(again, groups[n:]...)
	}
	return nil
}

// takeGroup is the users of one chunk who want one item.
type takeGroup struct {
	campaign *grant.Campaign
	keys     takeKeys
	chunk    uint64
	item     int
	lows     []uint16          // ascending
	pairs    []uint64          // user and index of a wish, of every wish, ascending: see of
	states   map[uint16]string // of users whom acts do not stand in the way of
	unjudged []uint16          // users about whom it is not known whether they do
	slept    int               // how often it was judged too long ago
	judged   time.Time         // of an item with a quota: until when the users count as judged; zero: they are not
	tail     []byte            // the entry of the call under way, which is the same when it is sent again
	number   uint64            // of that call
	many     bool              // the call works on bitmaps
	members  *dense.Bitmap     // of the call, if it does
}

// group puts wishes together that one call can fulfil: of neighbours, because those share what the script writes.
func (t *Takes) group(c *grant.Campaign, wishes []Take) ([]*takeGroup, error) {
	type place struct {
		chunk uint64
		item  int
	}
	var order []place
	all := map[place][]uint64{}
	for i, w := range wishes {
		if w.Item < 0 || w.Item >= len(c.Items) || !c.Items[w.Item].Offered() {
			return nil, fmt.Errorf("item %d of %s is none that users take", w.Item, c.Name)
		}
		chunk, low := dense.Split(w.User.Number())
		at := place{chunk, w.Item}
		if all[at] == nil {
			order = append(order, at)
		}
		all[at] = append(all[at], uint64(low)<<32|uint64(i))
	}
	var out []*takeGroup
	for _, at := range order {
		pairs := all[at]
		slices.Sort(pairs)
		for len(pairs) > 0 {
			g := &takeGroup{campaign: c, keys: t.takeKeys(c, at.chunk, at.item), chunk: at.chunk, item: at.item}
			n, most := 0, takeMembers
			if g.keys.first == "" {
				most = dense.ChunkSize
			}
			for ; n < len(pairs); n++ {
				low := uint16(pairs[n] >> 32)
				if last := len(g.lows) - 1; last >= 0 && g.lows[last] == low {
					continue
				}
				if len(g.lows) == most {
					break
				}
				g.lows = append(g.lows, low)
			}
			g.pairs, pairs = pairs[:n], pairs[n:]
			g.many = g.keys.first == "" && len(g.lows) >= manyFrom
			out = append(out, g)
		}
	}
	return out, nil
}

// of hands the indices of a user's wishes to fn, ascending.
func (g *takeGroup) of(low uint16, fn func(n, wish int)) {
	at, _ := slices.BinarySearch(g.pairs, uint64(low)<<32)
	for n := 0; at+n < len(g.pairs) && g.pairs[at+n]>>32 == uint64(low); n++ {
		fn(n, int(uint32(g.pairs[at+n])))
	}
}

// round makes one call for each group, and returns those groups that need another.
func (t *Takes) round(ctx context.Context, groups []*takeGroup, out []Taken, send sender) (again []*takeGroup, err error) {
	for _, g := range groups {
		if g.tail == nil {
			g.tail = t.entry(g)
		}
	}
	calls := make([]*redis.Cmd, len(groups))
	err = t.retry(ctx, "taking items", func() error {
		pipe := t.client.Pipeline()
		for i, g := range groups {
			calls[i] = t.call(ctx, pipe, g)
			if err := pipe.Process(ctx, calls[i]); err != nil {
				return err
			}
		}
		return send(ctx, pipe)
	})
	if Kind(err) == KindFenced {
		return nil, fmt.Errorf("%w (%w)", ErrSpecChanged, err)
	}
	if err != nil {
		return nil, err
	}
	for i, g := range groups {
		if g.many {
			rest, err := g.settleMany(calls[i].Val(), out)
			if err != nil {
				return nil, err
			}
			again = append(again, rest...)
			continue
		}
		more, err := g.settle(calls[i].Val(), out)
		if err != nil {
			return nil, err
		}
		if len(g.unjudged) > 0 {
			if err := t.judgeStates(ctx, g, out); err != nil {
				return nil, err
			}
			more = len(g.lows) > 0
		}
		if more {
			again = append(again, g)
		}
	}
	return again, nil
}

// ErrSpecChanged means that users were granted by another spec than the one that was asked by.
var ErrSpecChanged = errors.New("users were granted by another spec")

// entry is the entry of a call, without its first 7 bytes. The number of the call tells it from all others of this process.
func (t *Takes) entry(g *takeGroup) []byte {
	g.number = t.calls.Add(1)
	head := appendHead(nil, t.run, 0, g.number)
	head[0] = byte(EntryTake)
	ranges := appendTake([]byte{0}, g.item)
	if !g.many {
		return appendTailOf(nil, head, ranges, g.lows)
	}
	g.members = bitmapOf(g.lows)
	tail, _ := appendTail(nil, head, ranges, g.members)
	return tail
}

// call is the call that a group needs next. What it has to find there is in the pipeline before it.
func (t *Takes) call(ctx context.Context, pipe redis.Pipeliner, g *takeGroup) *redis.Cmd {
	spec, until := g.campaign.Hash, g.until()
	if g.many {
		return t.callMany(ctx, pipe, g, until)
	}
	offsets, place, states := g.offsets(), t.keys.place(g.chunk), []any(nil)
	for _, low := range g.lows {
		if len(g.states) > 0 {
			states = append(states, g.states[low])
		}
	}
	keys := append([]string{g.keys.taken, g.keys.list}, g.keys.segments(g.lows)...)
	switch {
	case g.keys.first == "":
		return takeCall.command(ctx, append(place, keys...), append([]any{spec, offsets, until, g.tail}, states...)...)
	case g.judged.IsZero():
		return judgeCall.command(ctx, place, append([]any{spec, offsets}, states...)...)
	}
	keys = append([]string{t.keys.spec, g.keys.first}, keys...)
	return quotaCall.command(ctx, keys, spec, offsets, until, g.tail, g.campaign.Items[g.item].First, g.judged.UnixMilli())
}

// offsets are the users as scripts want them.
func (g *takeGroup) offsets() []byte {
	out := make([]byte, 0, 2*len(g.lows))
	for _, low := range g.lows {
		out = append(out, byte(low>>8), byte(low))
	}
	return out
}

// letters are what the scripts say of a user, and what became of the wish. A dot is for those whom nothing stands in the way
// of, an s for those whom acts made something of that was not judged.
var letters = map[byte]grant.Outcome{
	't': grant.OutcomeAlready, 'n': grant.OutcomeNotGranted, 'x': grant.OutcomeExcluded, 'l': grant.OutcomeLapsed,
	'q': grant.OutcomeExhausted,
}

// settle looks at the reply to a group, and reports whether it needs another call.
func (g *takeGroup) settle(reply any, out []Taken) (more bool, err error) {
	switch reply := reply.(type) {
	case int64:
		if reply == 0 {
			g.judged, g.slept = time.Time{}, g.slept+1
			if g.slept > maxSlept {
				return false, fmt.Errorf("users of chunk %d are judged too long ago each time: compare the clocks of the masters",
					g.chunk)
			}
			return true, nil
		}
		g.took(time.UnixMilli(reply).UTC(), out)
		return false, nil
	case string:
		g.tail = nil
		return g.reduce(reply, out)
	case []any: // of the judge: its time, and letters
		if len(reply) == 2 {
			at, _ := reply[0].(string)
			says, _ := reply[1].(string)
			ms, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				return false, fmt.Errorf("judge script: unexpected reply %v: %w", reply, err)
			}
			g.judged = time.UnixMilli(ms).Add(judgedFor)
			return g.reduce(says, out)
		}
	}
	return false, fmt.Errorf("take script: unexpected reply %v", reply)
}

// took says that all users of a group have the item.
func (g *takeGroup) took(at time.Time, out []Taken) {
	for _, low := range g.lows {
		g.of(low, func(n, wish int) {
			out[wish] = Taken{grant.OutcomeTaken, at}
			if n > 0 {
				out[wish].Outcome = grant.OutcomeAlready
			}
		})
	}
}

// reduce leaves out those whom something stands in the way of, and reports whether anybody is left.
func (g *takeGroup) reduce(says string, out []Taken) (more bool, err error) {
	if len(says) != len(g.lows) {
		return false, fmt.Errorf("take script: %d letters for %d users", len(says), len(g.lows))
	}
	kept := make([]uint16, 0, len(g.lows))
	for i, low := range g.lows {
		outcome, stands := letters[says[i]]
		if says[i] == 's' {
			g.unjudged = append(g.unjudged, low)
		}
		if !stands {
			kept = append(kept, low)
			continue
		}
		g.of(low, func(_, wish int) { out[wish].Outcome = outcome })
	}
	g.lows = kept
	return len(kept) > 0, nil
}

// judgeStates looks at what acts made of users, and leaves out those who may not take the item. For the others the next call
// says what it saw: the script refuses when that has changed. A revocation that is to come is held against the clock of this
// process.
func (t *Takes) judgeStates(ctx context.Context, g *takeGroup, out []Taken) error {
	key, fields := t.keys.place(g.chunk)[3], make([]string, len(g.unjudged))
	for i, low := range g.unjudged {
		fields[i] = strconv.Itoa(int(low))
	}
	var texts []any
	err := t.retry(ctx, "reading what acts made of users", func() (err error) {
		texts, err = t.client.HMGet(ctx, key, fields...).Result()
		return err
	})
	if err != nil {
		return err
	}
	if g.states == nil {
		g.states = map[uint16]string{}
	}
	for i, low := range g.unjudged {
		text, _ := texts[i].(string)
		var state grant.UserState
		if text != "" {
			if err := json.Unmarshal([]byte(text), &state); err != nil {
				return fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, low, err)
			}
		}
		outcome := state.Stands(g.campaign.Items[g.item].ID, time.Now())
		if outcome == "" {
			g.states[low] = text
			continue
		}
		g.lows = slices.DeleteFunc(g.lows, func(other uint16) bool { return other == low })
		g.of(low, func(_, wish int) { out[wish].Outcome = outcome })
	}
	g.unjudged, g.judged = nil, time.Time{}
	return nil
}

// since fills in when those users took an item who had taken it before.
func (t *Takes) since(ctx context.Context, c *grant.Campaign, wishes []Take, out []Taken) error {
	var asked []Take
	var at []int
	for i := range out {
		if out[i].Outcome == grant.OutcomeAlready && out[i].At.IsZero() {
			asked, at = append(asked, wishes[i]), append(at, i)
		}
	}
	times, err := t.reader.TakenAt(ctx, c, asked)
	if err != nil {
		return err
	}
	for n, i := range at {
		out[i].At = times[n]
	}
	return nil
}
