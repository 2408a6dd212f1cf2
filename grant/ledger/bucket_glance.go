package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

// A check of a user who is in a bucket costs Redis a look at one entry. Fingerprints (BucketIndex) say which bytes of which entry
// the user would have; those bytes are read, and decide. Where they are somebody else's, or no entry can have the user, it is
// made sure that the bucket is the one that was indexed: as many entries, and the last one the same. So an index that is old, or
// is of a Redis that has lost writes since, is noticed at each look.

// bucketLookScript shows some members of a bucket.
//
//	KEYS  journal
//	ARGV  the number of the entry whose head is to be shown, −1: none; then (entry, first byte, last byte)…
//
// The reply is how many entries there are, the head, and what was asked for, each with the head of its entry in front, and empty
// where there is no such entry. An entry comes into Lua once, if those who are in it are asked about one after the other.
var bucketLookScript = fmt.Sprintf(`
local call, sub = redis.call, string.sub
local out = {call('LLEN', KEYS[1]), ''}
if ARGV[1] ~= '-1' then
  out[2] = sub(call('LINDEX', KEYS[1], ARGV[1]) or '', 1, %[1]d)
end
local at, text
for i = 2, #ARGV, 3 do
  if ARGV[i] ~= at then
    at, text = ARGV[i], call('LINDEX', KEYS[1], ARGV[i]) or ''
  end
  out[#out + 1] = sub(text, 1, %[1]d) .. sub(text, tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
end
return out`, entryHead)

var bucketLookCall = newScript(bucketLookScript)

// Seat is where a user would be.
type Seat struct {
	User   grant.UserID
	Bucket uint64

	member []byte
	hash   uint64
}

// Seat returns where a user would be, in the one form in which the ledger has the ID, and whether the campaign has IDs of that
// form. Its IDs must not be dense.
func (l *Reader) Seat(user grant.UserID) (Seat, bool) {
	member, fault := l.form.Member(nil, user.Append(nil))
	if fault != "" {
		return Seat{}, false
	}
	hash := opaque.Hash(member)
	return Seat{l.form.ID(member), l.layout.Bucket(hash), member, hash}, true
}

// BucketGlance is what is seen of some users of one bucket.
type BucketGlance struct {
	Seats []Seat
	Known *BucketIndex

	asked  []candidate // in the order of the call
	sure   bool        // the head of the last entry was asked for
	looked *redis.Cmd
	states *redis.SliceCmd

	found   []string // what candidates are
	current bool     // the bucket is the one that is known
}

// GlanceAt adds some users of one bucket to a batch, by what is known of the bucket. sure asks besides whether the bucket is
// still that one; so does any user who is in no entry that is known.
func (l *Reader) GlanceAt(g *Glances, seats []Seat, known *BucketIndex, sure bool) BucketGlance {
	out := BucketGlance{Seats: seats, Known: known, sure: sure}
	fields := make([]string, len(seats))
	for i := range seats {
		before := len(out.asked)
		out.asked = known.candidates(out.asked, i, l.layout.Print(seats[i].hash), l.layout.Width)
		out.sure = out.sure || len(out.asked) == before
		fields[i] = seats[i].User.String()
	}
	if len(seats) > 1 {
		slices.SortStableFunc(out.asked, func(a, b candidate) int { return cmp.Compare(a.number, b.number) })
	}
	args := make([]any, 1, 1+3*len(out.asked))
	args[0] = int64(-1)
	if out.sure {
		args[0] = known.entries - 1 // −1 where nothing is known
	}
	for i := range out.asked {
		c := &out.asked[i]
		args = append(args, c.number, c.begin+1, c.begin+int64(len(seats[c.seat].member)))
	}
	bucket := seats[0].Bucket
	out.looked = bucketLookCall.command(g.ctx, []string{l.keys.of(bucket, "journal")}, args...)
	_ = g.pipe.Process(g.ctx, out.looked)                                   // it is only queued
	out.states = g.pipe.HMGet(g.ctx, l.keys.of(bucket, "state"), fields...) // behind the look: acts come after grants
	return out
}

// Err is what kept the users from being looked at. It reads the reply, and so is to be called first.
func (g *BucketGlance) Err() error {
	if err := cmp.Or(g.looked.Err(), g.states.Err()); err != nil {
		return err
	}
	reply, err := g.looked.Slice()
	if err != nil || len(reply) != 2+len(g.asked) {
		return fmt.Errorf("%w: a look at a bucket has %d answers to %d questions", ErrInconsistent, len(reply), len(g.asked))
	}
	g.found = make([]string, len(g.asked))
	for i := range g.found {
		g.found[i], _ = reply[2+i].(string)
	}
	entries, _ := reply[0].(int64)
	last, _ := reply[1].(string)
	g.current = g.sure && entries == g.Known.entries && last == g.Known.last
	return nil
}

// Sight is what a glance shows of a user.
type Sight int

// The sights.
const (
	SightStale   Sight = iota // the index is old, or the glance was not sure: look again
	SightNone                 // the user has no place, or is excluded
	SightGranted              // by a run, and no act made anything of it
	SightActs                 // a lookup has to say
)

// See returns what each user is seen as, and when those who are granted were.
func (g *BucketGlance) See(say func(seat int, s Sight, at time.Time)) error {
	sights, times := make([]Sight, len(g.Seats)), make([]time.Time, len(g.Seats))
	for i := range g.asked {
		c := &g.asked[i]
		head := g.Known.heads[c.entry]
		switch text := g.found[i]; {
		case len(text) < entryHead || text[:entryHead] != head: // that entry is not there any more
		case EntryKind(head[stampBytes]) == EntryHand: // who erases why also moves the members in it
			sights[c.seat] = SightActs
		case text[entryHead:] == string(g.Seats[c.seat].member):
			at, err := Stamp([]byte(head))
			if err != nil {
				return fmt.Errorf("%w: bucket %d, entry %d: %w", ErrInconsistent, g.Seats[c.seat].Bucket, c.number, err)
			}
			sights[c.seat], times[c.seat] = SightGranted, at
		}
	}
	for i, state := range g.states.Val() {
		if text, _ := state.(string); text != "" {
			sights[i] = SightActs
		}
		if sights[i] == SightStale && g.current {
			sights[i] = SightNone
		}
		say(i, sights[i], times[i])
	}
	return nil
}

// Relearn makes Redis know the scripts that a glance needs, if an error says that it has forgotten them, and reports whether it
// was that.
func (l *Reader) Relearn(ctx context.Context, err error) (bool, error) {
	if err == nil || Kind(err) != KindNoScript {
		return false, err
	}
	return true, l.loadScripts(ctx)
}
