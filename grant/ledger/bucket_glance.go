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

// A check of a user who is in a bucket costs Redis a look at one entry. Fingerprints (bucketIndex) say which bytes of which entry
// the user would have; those bytes are read, and decide. Where they are somebody else's, or no entry can have the user, it is
// made sure that the bucket is the one that was indexed: as many entries, the last one the same, and the one that was looked at
// as long as it was. So an index that is old, or is of a Redis that has lost writes since, or of a bucket that was repaired, is
// noticed at each look.

// bucketLookScript shows some members of a bucket.
//
//	KEYS  journal
//	ARGV  the number of the entry whose head is to be shown, −1: none; then (entry, first byte, last byte, both from its end)…
//
// The reply is how many entries there are, the head, and what was asked for, each with the length of its entry (8 hexadecimal
// digits) and the entry's head in front, which is empty where there is no such entry. An entry comes into Lua once, if those who
// are in it are asked about one after the other.
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
  out[#out + 1] = string.format('%%08x', #text) .. sub(text, 1, %[1]d) .. sub(text, tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
end
return out`, entryHead)

// lookSize is how many digits the length of an entry has.
const lookSize = 8

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

// stored is the member as an entry has it: a string with its length in front, since one may be the beginning of another one.
func (s *Seat) stored(width opaque.Width) []byte {
	if width > 0 {
		return s.member
	}
	return width.Append(make([]byte, 0, width.Size(s.member)), s.member)
}

// BucketGlance is what is seen of some users of one bucket.
type BucketGlance struct {
	Seats []Seat

	width  opaque.Width
	known  *bucketIndex
	asked  []candidate // in the order of the call
	sure   bool        // the head of the last entry was asked for
	looked *redis.Cmd
	states *redis.SliceCmd
	taken  *redis.SliceCmd // nil: was not asked

	entries int64    // that the bucket had
	found   []string // what candidates are
	current bool     // the bucket is the one that is known
	other   bool     // it is not, and no later one either
}

// GlanceAt adds some users of one bucket to a batch, by what is known of the bucket. sure asks besides whether the bucket is
// still that one; so does any user who is in no entry that is known. Of what ask says, takes count.
func (l *Reader) GlanceAt(g *Glances, seats []Seat, ask Ask, sure bool) BucketGlance {
	known := l.indexes.of(l.indexKey(seats[0].Bucket)).now.Load()
	out := BucketGlance{Seats: seats, width: l.layout.Width, known: known, sure: sure}
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
		args = append(args, c.number, -c.back, int64(len(seats[c.seat].stored(l.layout.Width)))-c.back-1)
	}
	bucket := seats[0].Bucket
	out.looked = bucketLookCall.command(g.ctx, []string{l.keys.of(bucket, "journal")}, args...)
	_ = g.pipe.Process(g.ctx, out.looked)                                   // it is only queued
	out.states = g.pipe.HMGet(g.ctx, l.keys.of(bucket, "state"), fields...) // behind the look: acts come after grants
	if ask.Take {
		members := make([]string, len(seats))
		for i := range seats {
			members[i] = string(seats[i].member)
		}
		out.taken = g.pipe.HMGet(g.ctx, l.keys.take(bucket, ask.Item, ask.Quota).taken, members...)
	}
	return out
}

// Err is what kept the users from being looked at. It reads the reply, and so is to be called first.
func (g *BucketGlance) Err() error {
	err := cmp.Or(g.looked.Err(), g.states.Err())
	if g.taken != nil {
		err = cmp.Or(err, g.taken.Err())
	}
	if err != nil {
		return err
	}
	reply, err := g.looked.Slice()
	if err != nil || len(reply) != 2+len(g.asked) {
		return fmt.Errorf("%w: a look at a bucket has %d answers to %d questions", ErrInconsistent, len(reply), len(g.asked))
	}
	g.found = make([]string, len(g.asked))
	for i := range g.found {
		if g.found[i], _ = reply[2+i].(string); len(g.found[i]) < lookSize {
			return fmt.Errorf("%w: a look at a bucket has the answer %q", ErrInconsistent, g.found[i])
		}
	}
	g.entries, _ = reply[0].(int64)
	last, _ := reply[1].(string)
	g.current = g.sure && g.entries == g.known.entries && last == g.known.last
	return nil
}

// Taken is when a user took the item that was asked about; zero: has not.
func (g *BucketGlance) Taken(seat int) time.Time {
	text, _ := g.taken.Val()[seat].(string)
	return takenTime(text)
}

// Sight is what a glance shows of a user.
type Sight int

// The sights.
const (
	SightStale    Sight = iota // the index is old, or the glance was not sure: look again
	SightNone                  // the user has no place
	SightExcluded              // and no act made anything else of it
	SightGranted               // and no act made anything else of it
	SightActs                  // a lookup has to say
)

// See returns what each user is seen as, and when those who are granted were.
func (g *BucketGlance) See(say func(seat int, s Sight, at time.Time)) error {
	sights, times := make([]Sight, len(g.Seats)), make([]time.Time, len(g.Seats))
	for i := range g.asked {
		c := &g.asked[i]
		head := g.known.heads[c.entry]
		size, text := g.found[i][:lookSize], g.found[i][lookSize:]
		switch {
		case len(text) < entryHead || text[:entryHead] != head: // that entry is not there any more
			g.current, g.other = false, true
		case text[entryHead:] == string(g.Seats[c.seat].stored(g.width)):
			if EntryKind(head[stampBytes]) == EntryExclude {
				sights[c.seat] = SightExcluded
				continue
			}
			at, err := Stamp([]byte(head))
			if err != nil {
				return fmt.Errorf("%w: bucket %d, entry %d: %w", ErrInconsistent, g.Seats[c.seat].Bucket, c.number, err)
			}
			sights[c.seat], times[c.seat] = SightGranted, at
		case size != fmt.Sprintf("%08x", g.known.sizes[c.entry]): // others of the entry were taken out, or why
			g.current, g.other = false, true
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
