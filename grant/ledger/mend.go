package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// Mended says what became of a user whose bits and entries contradict each other.
type Mended struct {
	User grant.UserID
	// What was done, or would be; empty: nothing, because nothing contradicts.
	What string
	// Err says why it was not: an error that is grant.ErrRefused. A person has to decide.
	Err error
}

// What Mend does.
const (
	MendedBit    = "bit_set"        // an entry had the user: the bit is set again
	MendedEntry  = "entry_added"    // the bit was set: an entry by hand, with the reason, says so from now on
	MendedRepeat = "repeat_removed" // several entries had the user: the first one stays
)

// Mend repairs users of whom the bitmap and the journal of a chunk say different things, each to what the ledger can still say
// of it: a bit that an entry vouches for is set, a bit without an entry gets one by hand, and of several entries that settle a
// user the first one stays. Nobody's place is taken away, and nobody gets one who had neither a bit nor an entry. What is done
// is judged by the script that does it, and said in the journal with the act's reason. It may be repeated. With dry, nothing is
// written.
func (l *Acts) Mend(ctx context.Context, users []grant.UserID, act grant.Act, dry bool) ([]Mended, error) {
	out := make([]Mended, len(users))
	byChunk := map[uint64][]*Mended{}
	for i, user := range users {
		out[i].User = user
		group, err := l.group(user)
		if err != nil {
			return out, err
		}
		byChunk[group] = append(byChunk[group], &out[i])
	}
	_, now, err := l.control(ctx)
	if err != nil {
		return out, err
	}
	act.At = now
	if !dry {
		if err := l.begin(ctx); err != nil {
			return out, err
		}
		defer l.end(ctx)
	}
	for _, chunk := range slices.Sorted(maps.Keys(byChunk)) {
		if err := l.mendChunk(ctx, chunk, byChunk[chunk], act, dry); err != nil {
			return out, err
		}
	}
	if dry {
		return out, nil
	}
	return out, l.noteMended(ctx, out, act)
}

// noteMended notes about each user what was done, where no entry of its own says so. Should it be killed before that, the audit
// trail has the command alone.
func (l *Acts) noteMended(ctx context.Context, all []Mended, act grant.Act) error {
	var notes []UserAct
	for i := range all {
		if m := &all[i]; m.What == MendedBit || m.What == MendedRepeat {
			note := act
			note.Kind, note.Reason = grant.ActNote, m.What+": "+act.Reason
			notes = append(notes, UserAct{User: m.User, Act: note})
		}
	}
	if len(notes) == 0 {
		return nil
	}
	results, err := l.Do(ctx, notes, false)
	for i := range results {
		err = errors.Join(err, results[i].Err)
	}
	return err
}

// mending is what one call changes of a chunk.
type mending struct {
	length   int64          // of the journal, as it was read
	set, out *dense.Bitmap  // bits to set: of who is settled, and of who is excluded
	hand     *dense.Bitmap  // who gets an entry
	excluded *dense.Bitmap  // the same, of who is excluded
	replaced map[int]string // entries of the journal that lose members; empty: all of them
	was      map[int]string
	rest     bool // there is more to do than one call does
}

func (l *Acts) mendChunk(ctx context.Context, chunk uint64, users []*Mended, act grant.Act, dry bool) error {
	plan := l.planMend
	if l.campaign.Input.Opaque() {
		plan = l.planMendBucket
	}
	for range actSpins {
		m, err := plan(ctx, chunk, users)
		if err != nil || dry {
			return err
		}
		done, err := l.callMend(ctx, chunk, m, act)
		if err != nil || done && !m.rest {
			return err
		}
	}
	return fmt.Errorf("chunk %d: a run appends to its journal all the time: pause it, and do this again", chunk)
}

// planMend reads a chunk, and decides what is to be done about some users.
func (l *Acts) planMend(ctx context.Context, chunk uint64, users []*Mended) (*mending, error) {
	var texts []string
	stored, err := l.reader.Stored(ctx, chunk, func(at int64, text string) {
		if at == 0 {
			texts = texts[:0]
		}
		texts = append(texts, text)
	})
	if err != nil {
		return nil, err
	}
	m := &mending{
		length: int64(len(texts)), set: new(dense.Bitmap), out: new(dense.Bitmap), hand: new(dense.Bitmap),
		excluded: new(dense.Bitmap), replaced: map[int]string{}, was: map[int]string{},
	}
	if len(stored.Misused) > 0 {
		return nil, fmt.Errorf("chunk %d: %s: restore it from a backup or an export", chunk, stored.Misused[0])
	}
	entries, err := settling(texts)
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w: restore it from a backup or an export", chunk, err)
	}
	taken := map[int]*dense.Bitmap{} // of which entries who goes
	for _, u := range users {
		_, low := dense.Split(u.User.Number())
		u.Err = nil // what an attempt whose reply was lost has done stays said
		var in []*numberedEntry
		for i := range entries {
			if entries[i].Members.Has(low) {
				in = append(in, &entries[i])
			}
		}
		bit, excluded := bitOf(stored.Granted, low), bitOf(stored.Excluded, low)
		m.decide(u, low, in, bit, excluded, taken)
	}
	for number, gone := range taken {
		m.was[number] = texts[number]
		m.replaced[number] = entryWithout(texts[number], gone)
	}
	if len(taken) > 0 && (m.hand.Any() || m.excluded.Any()) {
		m.hand, m.excluded, m.rest = new(dense.Bitmap), new(dense.Bitmap), true
	}
	return m, nil
}

type numberedEntry struct {
	Entry

	number int
}

// settling decodes the entries that settle users.
func settling(texts []string) (out []numberedEntry, err error) {
	for i, text := range texts {
		e := numberedEntry{number: i}
		if err := e.UnmarshalBinary([]byte(text)); err != nil {
			return nil, fmt.Errorf("entry %d of the journal: %w", i, err)
		}
		if e.Kind.Settles() {
			out = append(out, e)
		}
	}
	return out, nil
}

// decide adds what is to be done about one user.
func (m *mending) decide(u *Mended, low uint16, in []*numberedEntry, bit, excluded bool, taken map[int]*dense.Bitmap) {
	switch {
	case len(in) == 0 && bit:
		u.What = MendedEntry
		if excluded {
			m.excluded.Set(low)
		} else {
			m.hand.Set(low)
		}
	case len(in) == 0:
		u.Err = fmt.Errorf("%w: neither bitmap nor journal has the user", grant.ErrRefused)
	case len(in) > 1:
		for _, e := range in {
			if e.Kind == EntryExclude || e.Kind == EntryHand && e.Act.From != nil {
				u.Err = fmt.Errorf("%w: one of the entries excludes the user, or moved the grant here: "+
					"restore the chunk from a backup or an export", grant.ErrRefused)
				return
			}
		}
		u.What = MendedRepeat
		for _, e := range in[1:] {
			if taken[e.number] == nil {
				taken[e.number] = new(dense.Bitmap)
			}
			taken[e.number].Set(low)
		}
		fallthrough
	default:
		if bit {
			return
		}
		u.What = cmp.Or(u.What, MendedBit)
		m.set.Set(low)
		if in[0].Kind == EntryExclude {
			m.out.Set(low)
		}
	}
}

func bitOf(bitmap string, low uint16) bool {
	at := int(low >> 3)
	return at < len(bitmap) && bitmap[at]&(0x80>>(low&7)) != 0
}

// entryWithout returns an entry without some members; empty: none is left.
func entryWithout(text string, gone *dense.Bitmap) string {
	var e Entry
	if err := e.UnmarshalBinary([]byte(text)); err != nil {
		return text // it was decoded before
	}
	left := new(dense.Bitmap)
	for _, low := range e.Members.Lows(nil) {
		if !gone.Has(low) {
			left.Set(low)
		}
	}
	if !left.Any() {
		return ""
	}
	stamp := append([]byte{entryVersion}, text[1:stampBytes]...)
	if e.Kind != EntryGrant {
		return string(appendAct(stamp, e.Kind, e.act, left))
	}
	ranges, err := appendRanges(nil, e.Ranges)
	if err != nil {
		return text
	}
	out, _ := appendTail(stamp, appendHead(nil, e.Run, e.Shard, e.Flush), ranges, left)
	return string(out)
}

// callMend makes the call, and reports whether the chunk was as it was read.
func (l *Acts) callMend(ctx context.Context, chunk uint64, m *mending, act grant.Act) (done bool, err error) {
	k := l.keys.chunk(chunk, "")
	list := func(b *dense.Bitmap) []byte { return appendOffsets(nil, b, b.Count()) }
	args := []any{m.length, list(m.set), list(m.out)}
	for kind, who := range map[grant.ActKind]*dense.Bitmap{grant.ActHand: m.hand, grant.ActExclude: m.excluded} {
		entry := []byte{}
		if who.Count() > 0 {
			of := act
			of.Kind = kind
			text, err := json.Marshal(&of)
			if err != nil {
				return false, err
			}
			entry = appendAct(nil, entryKinds[kind], text, who)
		}
		args = append(args, entry)
	}
	for number, text := range m.replaced {
		args = append(args, number, m.was[number], text)
	}
	err = l.grants.deliver(ctx, fmt.Sprintf("repairing chunk %d", chunk), func() error {
		reply := mendCall.command(ctx, []string{k.granted, k.excluded, k.journal}, args...)
		if err := l.client.Process(ctx, reply); err != nil {
			return err
		}
		n, err := reply.Int64()
		done = n == 1
		return err
	})
	return done, err
}

// mendScript changes a chunk, if its journal is as it was read: all of it or nothing.
//
//	KEYS  granted excluded journal
//	ARGV  length of the journal; users to be settled and to be excluded (2 bytes each, big-endian); two entries to append
//	      without their first 7 bytes, or empty; (number, entry as it was, as it is to be or empty)…
//
// A call appends entries or replaces some, not both: what cannot be taken back is its last command. When a write fails, those
// before it are taken back by the commands that made them.
const mendScript = `
local call, try, byte, floor = redis.call, redis.pcall, string.byte, math.floor
if call('LLEN', KEYS[3]) ~= tonumber(ARGV[1]) then
  return 0
end
for i = 6, #ARGV, 3 do
  if call('LINDEX', KEYS[3], ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end
local time = call('TIME')
local ms, stamp = time[1] * 1000 + floor(time[2] / 1000), ''
for _ = 1, 6 do
  stamp, ms = string.char(ms % 256) .. stamp, floor(ms / 256)
end
` + writeLua + `for k = 1, 2 do
  for i = 1, #ARGV[k + 1], 2 do
    local hi, lo = byte(ARGV[k + 1], i, i + 1)
    local user = hi * 256 + lo
    local failed = write({'SETBIT', KEYS[k], user, 0}, 'SETBIT', KEYS[k], user, 1)
    if failed then
      return failed
    end
  end
end
local push = {'RPUSH', KEYS[3]}
for i = 4, 5 do
  if ARGV[i] ~= '' then
    push[#push + 1] = string.char(2) .. stamp .. ARGV[i]
  end
end
if #push > 2 then
  return write({}, unpack(push)) or 1
end
for i = 6, #ARGV, 3 do
  local failed = write({'LSET', KEYS[3], ARGV[i], ARGV[i + 1]}, 'LSET', KEYS[3], ARGV[i], ARGV[i + 2])
  if failed then
    return failed
  end
end
return #ARGV > 5 and write({}, 'LREM', KEYS[3], 0, '') or 1`

var mendCall = newScript(mendScript)

// ListChunks completes the index of chunks.
func (l *Acts) ListChunks(ctx context.Context, chunks []uint64) error {
	return l.retry(ctx, "completing the index of chunks", func() error {
		for _, chunk := range chunks {
			if err := l.client.SAdd(ctx, l.keys.chunks, chunk).Err(); err != nil {
				return err
			}
		}
		return nil
	})
}
