package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

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

// groupNumbers is group of chunks: neighbours share what the script writes.
func (t *Takes) groupNumbers(c *grant.Campaign, wishes []Take) (out []taking) {
	type place struct {
		chunk uint64
		item  int
	}
	var order []place
	all := map[place][]uint64{}
	for i, w := range wishes {
		chunk, low := dense.Split(w.User.Number())
		at := place{chunk, w.Item}
		if all[at] == nil {
			order = append(order, at)
		}
		all[at] = append(all[at], uint64(low)<<32|uint64(i))
	}
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
	return out
}

// of hands the indices of a user's wishes to fn, ascending.
func (g *takeGroup) of(low uint16, fn func(n, wish int)) {
	at, _ := slices.BinarySearch(g.pairs, uint64(low)<<32)
	for n := 0; at+n < len(g.pairs) && g.pairs[at+n]>>32 == uint64(low); n++ {
		fn(n, int(uint32(g.pairs[at+n])))
	}
}

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

// call implements taking.
func (g *takeGroup) call(ctx context.Context, t *Takes, pipe redis.Pipeliner) *redis.Cmd {
	if g.tail == nil {
		g.tail = t.entry(g)
	}
	spec, until := g.campaign.Hash, until(g.campaign, g.item)
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

// settle implements taking.
func (g *takeGroup) settle(ctx context.Context, t *Takes, reply any, out []Taken) ([]taking, error) {
	if g.many {
		return g.settleMany(reply, out)
	}
	more, err := g.settleFew(reply, out)
	if err == nil && len(g.unjudged) > 0 {
		err = t.judgeStates(ctx, g, out)
		more = len(g.lows) > 0
	}
	if err != nil || !more {
		return nil, err
	}
	return []taking{g}, nil
}

// settleFew looks at the reply to a call that looked at each user, and reports whether another is needed.
func (g *takeGroup) settleFew(reply any, out []Taken) (more bool, err error) {
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
