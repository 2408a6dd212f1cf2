package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// manyFrom is from how many users of a chunk on a call works on bitmaps: it is about 80 µs of Redis and 8 KiB of append-only
// file, and one user of a smaller call 1 µs and 85 bytes.
const manyFrom = 256

// plain makes groups of some of the users of a group, for calls that look at each user.
func (g *takeGroup) plain(lows []uint16) (out []taking) {
	for part := range slices.Chunk(lows, takeMembers) {
		one := *g
		one.many, one.lows, one.tail, one.members = false, part, nil, nil
		out = append(out, &one)
	}
	return out
}

// again makes a group, or groups, of some of the users of a group.
func (g *takeGroup) again(lows []uint16) []taking {
	if len(lows) < manyFrom {
		return g.plain(lows)
	}
	one := *g
	one.lows, one.tail, one.members = lows, nil, nil
	return []taking{&one}
}

// cost is about how many microseconds of Redis a group's call takes.
func (g *takeGroup) cost() int {
	if g.many {
		return 100
	}
	return 20 + len(g.lows)
}

// callMany stages the users of a group, and makes its call.
func (t *Takes) callMany(ctx context.Context, pipe redis.Pipeliner, g *takeGroup, until int64) *redis.Cmd {
	k := t.keys.chunk(g.chunk, "take-"+t.run.String()+"-"+strconv.FormatUint(g.number, 10))
	pipe.Set(ctx, k.delta, g.members[:], stagedLife)
	keys := append(t.keys.place(g.chunk), g.keys.taken, g.keys.list, g.keys.many(), k.delta, k.scratch)
	return manyCall.command(ctx, keys, g.campaign.Hash, len(g.lows), until, g.tail)
}

// settleMany looks at the reply to a group of many, and returns the groups of those who need another call.
func (g *takeGroup) settleMany(reply any, out []Taken) ([]taking, error) {
	switch reply := reply.(type) {
	case int64:
		_, err := g.settleFew(reply, out)
		return nil, err
	case string:
		if reply == "crowded" {
			return g.plain(g.lows), nil
		}
	case []any:
		if len(reply) == 5 {
			return g.reduceMany(reply, out)
		}
	}
	return nil, fmt.Errorf("script of many takes: unexpected reply %v", reply)
}

// reduceMany leaves out those whom something stands in the way of, as the letters of the other scripts do.
func (g *takeGroup) reduceMany(reply []any, out []Taken) ([]taking, error) {
	var maps [3]dense.Bitmap // granted, taken, excluded
	for i := range maps {
		text, ok := reply[i].(string)
		if !ok || copy(maps[i][:], text) < len(text) {
			return nil, fmt.Errorf("%w: chunk %d has no bitmap of its users", ErrInconsistent, g.chunk)
		}
	}
	fields, _ := reply[3].([]any)
	late, _ := reply[4].(int64)
	var acts dense.Bitmap
	for _, f := range fields {
		text, _ := f.(string)
		low, err := strconv.ParseUint(text, 10, dense.ChunkBits)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: field %q", ErrInconsistent, g.keys.base+"state", text)
		}
		acts.Set(uint16(low))
	}
	var kept, judged []uint16
	for _, low := range g.lows {
		var outcome grant.Outcome
		switch {
		case maps[1].Has(low):
			outcome = grant.OutcomeAlready
		case !maps[0].Has(low):
			outcome = grant.OutcomeNotGranted
		case maps[2].Has(low):
			outcome = grant.OutcomeExcluded
		case acts.Has(low):
			judged = append(judged, low)
			continue
		case late == 1:
			outcome = grant.OutcomeLapsed
		default:
			kept = append(kept, low)
			continue
		}
		g.of(low, func(_, wish int) { out[wish].Outcome = outcome })
	}
	return append(g.again(kept), g.plain(judged)...), nil
}
