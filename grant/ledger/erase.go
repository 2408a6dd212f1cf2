package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// An erasure takes away why anything was done about one user: the reasons and the kinds of revocation in the entries that are
// about this user alone, in those of the other account of a move, and in the state. Bits, members, times and who acted stay, and
// no entry comes or goes but that of the erasure itself: so proof, audit, exports and the cursors of subscribers agree as before.
// An entry that is about others, too, stays as it is, and nobody shows its reason of this user (grant.UserState.Told): whoever
// reads a user's state has that, and whoever reads entries asks for the Erasures of their members.

// WithoutWhy returns a stored entry as an erasure leaves it. It is what identifies the entry, so that an erased one is known
// again. A grant, and what is no entry, stays.
func WithoutWhy(text string) string {
	if OfBucket(text) {
		return memberWithoutWhy(text)
	}
	if len(text) <= stampBytes || text[0] != entryVersion {
		return text
	}
	if kind := EntryKind(text[stampBytes]); kind == EntryGrant || kind == EntryErase || !kind.known() {
		return text
	}
	var e Entry
	if err := e.UnmarshalBinary([]byte(text)); err != nil {
		return text
	}
	act, err := json.Marshal(e.Act.WithoutWhy())
	if err != nil {
		return text
	}
	return string(appendAct([]byte(text[:stampBytes]), e.Kind, act, &e.Members))
}

// Erasures says of users of a chunk, by their low 16 bits, when why anything was done about them was erased last.
type Erasures map[uint16]*grant.Remark

// Told is an act of an entry as it may be told of one of its members.
func (e Erasures) Told(low uint16, a *grant.Act) *grant.Act {
	s := grant.UserState{Erased: e[low]}
	return s.Told(a)
}

// ErasuresIn finds the erasures in a whole journal, as it is stored.
func ErasuresIn(journal []string) (Erasures, error) {
	var out Erasures
	var e Entry
	for i, text := range journal {
		if len(text) <= stampBytes || text[0] != entryVersion || EntryKind(text[stampBytes]) != EntryErase {
			continue
		}
		if err := e.UnmarshalBinary([]byte(text)); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if out == nil {
			out = Erasures{}
		}
		for _, low := range e.Members.Lows(nil) {
			out[low] = &grant.Remark{At: e.Act.At, Who: e.Act.Who, Reason: e.Act.Reason}
		}
	}
	return out, nil
}

// Erasures asks for those of some users of a chunk.
func (l *Reader) Erasures(ctx context.Context, chunk uint64, of *dense.Bitmap) (Erasures, error) {
	if err := l.Dense("asking what was erased"); err != nil {
		return nil, err
	}
	out, key := Erasures{}, l.keys.place(chunk)[3]
	for lows := range slices.Chunk(of.Lows(nil), surveyPage) {
		fields := make([]string, len(lows))
		for i, low := range lows {
			fields[i] = strconv.Itoa(int(low))
		}
		err := l.erased(ctx, key, fields, func(i int, was *grant.Remark) { out[lows[i]] = was })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// erased asks a hash of users' states for some fields, and says which of them tell of an erasure.
func (l *Reader) erased(ctx context.Context, key string, fields []string, found func(i int, was *grant.Remark)) error {
	var states []any
	err := l.retry(ctx, "asking what was erased", func() (err error) {
		states, err = l.client.HMGet(ctx, key, fields...).Result()
		return err
	})
	if err != nil {
		return err
	}
	for i, text := range states {
		text, there := text.(string)
		if !there {
			continue
		}
		var state grant.UserState
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			return fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, key, fields[i], err)
		}
		if state.Erased != nil {
			found(i, state.Erased)
		}
	}
	return nil
}

// rewrite is what becomes of one entry of a journal.
type rewrite struct {
	index   int64
	was, is string
}

// told is what a journal says of one user by acts.
type told struct {
	alone    []rewrite // entries about this user alone that say why
	others   bool      // since the last erasure there is an entry about others, too
	accounts []grant.UserID
	ids      []string
	entries  int64 // that were read, all of them
}

// told reads the journal of a user's chunk, or bucket. With from, only what ties the user to that account by a move counts.
func (l *Reader) told(ctx context.Context, user grant.UserID, from *grant.UserID) (t told, err error) {
	chunk, err := l.group(user)
	if err != nil {
		return t, err
	}
	acts, err := l.actsOn(user)
	if err != nil {
		return t, err
	}
	key := l.keys.journal(chunk)
	var e Entry
	for at := int64(0); ; {
		var page []string
		err := l.retry(ctx, fmt.Sprintf("reading the journal of chunk %d", chunk), func() (err error) {
			page, err = l.client.LRange(ctx, key, at, at+journalPage-1).Result()
			return err
		})
		if err != nil {
			return t, err
		}
		for _, text := range page {
			acts, err := acts(&e, text)
			if err == nil && acts {
				if err = e.readAct(); err == nil {
					t.add(&e, at, text, from)
				}
			}
			if err != nil {
				return t, fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, at, err)
			}
			at++
		}
		if t.entries = at; len(page) < journalPage {
			return t, nil
		}
	}
}

// actsOn returns what reads an entry up to its members, and reports whether it is an act about a user.
func (l *Store) actsOn(user grant.UserID) (func(e *Entry, text string) (bool, error), error) {
	if l.campaign.Input.Opaque() {
		return l.actsOnMember(user)
	}
	_, low := dense.Split(user.Number())
	return func(e *Entry, text string) (bool, error) {
		members, err := e.unmarshalHead([]byte(text))
		return err == nil && e.Kind != EntryGrant && members.has(low), err
	}, nil
}

func (t *told) add(e *Entry, index int64, text string, from *grant.UserID) {
	a := e.Act
	is := func(account *grant.UserID) bool { return account != nil && *account == *from }
	if from != nil && !is(a.From) && !is(a.To) {
		return
	}
	t.ids = append(t.ids, a.ID)
	for _, account := range []*grant.UserID{a.From, a.To} {
		if account != nil {
			t.accounts = append(t.accounts, *account)
		}
	}
	switch {
	case a.Kind == grant.ActErase:
		t.others = false
	case e.Count > 1:
		t.others = true
	default:
		if left := WithoutWhy(text); left != text {
			t.alone = append(t.alone, rewrite{index, text, left})
		}
	}
}

// ActsAbout returns the IDs of the acts that the journal has about a user, oldest first; some may be there twice.
func (l *Acts) ActsAbout(ctx context.Context, user grant.UserID) ([]string, error) {
	t, err := l.reader.told(ctx, user, nil)
	return t.ids, err
}

// eraseAll erases users one after the other.
func (c *chunkActs) eraseAll(ctx context.Context, indices []int, dry bool) error {
	for _, i := range indices {
		if err := c.erase(ctx, i, dry); err != nil {
			return err
		}
	}
	return nil
}

func (c *chunkActs) erase(ctx context.Context, i int, dry bool) error {
	u, act := &c.results[i].Before, &c.acts[i].Act
	for range actSpins {
		found, err := c.reader.Users(ctx, []grant.UserID{c.acts[i].User})
		if err != nil {
			return err
		}
		if *u = found[0]; u.did(act.ID) {
			c.results[i].Again = true
			return nil
		}
		t, err := c.reader.told(ctx, u.User, nil)
		if err != nil {
			return err
		}
		if c.results[i].Err = u.StillAs(c.acts[i].Seen); c.results[i].Err == nil && len(t.alone) == 0 && !t.others {
			c.results[i].Err = grant.Coded(grant.WhyNothing,
				fmt.Errorf("%w: no reason and no note is left that could be erased", grant.ErrUnchanged))
		}
		if c.results[i].Err != nil || dry {
			return nil //nolint:nilerr // it is the result of this user
		}
		if done, err := c.carryErasure(ctx, u, act, &t); err != nil || done {
			return err
		}
	}
	return &grant.UserError{User: u.User, Err: errors.New("somebody else does something about it all the time")}
}

// carryErasure erases with the other accounts first: when it is cut off, the user's own entries still name them.
func (c *chunkActs) carryErasure(ctx context.Context, u *User, act *grant.Act, t *told) (done bool, err error) {
	for _, account := range t.accounts {
		other, err := c.reader.told(ctx, account, &u.User)
		if err != nil {
			return false, err
		}
		if len(other.alone) > 0 {
			if done, err := c.callErase(ctx, &erasure{user: account, rewrites: other.alone}); err != nil || !done {
				return false, err
			}
		}
	}
	_, state, err := u.State.After(u.Place, act)
	if err != nil {
		return false, err
	}
	entry, err := json.Marshal(act)
	if err != nil {
		return false, err
	}
	after, err := json.Marshal(&state)
	if err != nil {
		return false, err
	}
	out := &erasure{user: u.User, rewrites: t.alone, place: placeDigits[u.Place], before: u.stored, after: string(after)}
	if c.campaign.Input.Opaque() {
		member, err := c.memberOf(u.User)
		if err != nil {
			return false, err
		}
		out.place = strconv.FormatInt(t.entries, 10)
		out.entry = appendBucketAct(nil, EntryErase, entry, c.layout.Width, [][]byte{member})
	} else {
		members := new(dense.Bitmap)
		members.Set(u.low())
		out.entry = appendAct(nil, EntryErase, entry, members)
	}
	return c.callErase(ctx, out)
}

// erasure is one call of the script.
type erasure struct {
	user          grant.UserID
	rewrites      []rewrite
	place         string // or, in a bucket, how many entries it has; empty: it does not matter
	before, after string // after: empty where the state stays
	entry         []byte // empty: none
}

// callErase makes the call, and reports whether everything was as it was read.
func (c *chunkActs) callErase(ctx context.Context, e *erasure) (done bool, err error) {
	chunk, err := c.group(e.user)
	if err != nil {
		return false, err
	}
	keys, call, field := c.keys.chunk(chunk, ""), &eraseCall, e.user.String()
	if c.campaign.Input.Opaque() {
		call = &bucketEraseCall
	} else {
		_, low := dense.Split(e.user.Number())
		field = strconv.Itoa(int(low))
	}
	err = c.grants.deliver(ctx, fmt.Sprintf("erasing reasons in chunk %d", chunk), func() error {
		fence := c.grants.fence()
		fence.notBefore, fence.ends = 0, 0
		args := append(make([]any, 0, 7+3*len(e.rewrites)),
			fence.spec, fence.notAfter(), field, e.place, e.before, e.after, e.entry)
		for _, r := range e.rewrites {
			args = append(args, r.index, r.was, r.is)
		}
		cmd := call.command(ctx, keys.act(), args...)
		if err := c.client.Process(ctx, cmd); err != nil {
			return fence.refused(err)
		}
		reply, err := cmd.Int64()
		done = reply == 1
		return err
	})
	return done, err
}

// eraseScript rewrites entries about one user, and the user's state, and appends the entry of the erasure: all of it or nothing.
//
//	KEYS  granted excluded journal state calls
//	ARGV  hash of the spec, not from then on (Unix milliseconds, by the clock of this Redis), the user's field of the state,
//	      place, as the act script has it (in a bucket: entries read), or empty: it does not matter;
//	      state before and after, the latter empty: it stays;
//	      entry without its first 7 bytes, or empty; (number, entry as it was, as it is to be)…
//
// The reply is 1, or 0 when something is not as it was before. When a write fails, those before it are taken back by the commands
// that made them; the first HDEL finds out whether that is allowed.
const eraseScript = eraseFence + `
if ARGV[4] ~= '' and tostring(call('GETBIT', KEYS[1], user) + call('GETBIT', KEYS[2], user)) ~= ARGV[4] then
  return 0
end
local version = string.char(2)
` + eraseLua

// bucketEraseScript is eraseScript of a bucket.
const bucketEraseScript = eraseFence + `
if ARGV[4] ~= '' and call('LLEN', journal) ~= tonumber(ARGV[4]) then
  return 0
end
local version = string.char(3)
` + eraseLua

const eraseFence = `
local call, try, floor = redis.call, redis.pcall, math.floor
local journal, state, user, after = KEYS[3], KEYS[4], ARGV[3], ARGV[6]
local spec = call('HGET', KEYS[5], 'spec')
if spec and spec ~= ARGV[1] then
  return {err = 'FENCED spec ' .. spec}
end
local time = call('TIME')
local ms = time[1] * 1000 + floor(time[2] / 1000)
if ms >= tonumber(ARGV[2]) then
  return {err = string.format('FENCED time %.0f', ms)}
end
`

const eraseLua = `
if after ~= '' and (call('HGET', state, user) or '') ~= ARGV[5] then
  return 0
end
for i = 8, #ARGV, 3 do
  if call('LINDEX', journal, ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end
call('HDEL', state, '')
` + writeLua + `for i = 8, #ARGV, 3 do
  local failed = write({'LSET', journal, ARGV[i], ARGV[i + 1]}, 'LSET', journal, ARGV[i], ARGV[i + 2])
  if failed then
    return failed
  end
end
if after ~= '' then
  local back = ARGV[5] == '' and {'HDEL', state, user} or {'HSET', state, user, ARGV[5]}
  local failed = write(back, 'HSET', state, user, after)
  if failed then
    return failed
  end
end
if ARGV[7] == '' then
  return 1
end
local stamp = ''
for _ = 1, 6 do
  stamp, ms = string.char(ms % 256) .. stamp, floor(ms / 256)
end
return write({}, 'RPUSH', journal, version .. stamp .. ARGV[7]) or 1`

// swapScript replaces an element of a list, if it is as it was read.
//
//	KEYS  list
//	ARGV  number, as it was read, new
const swapScript = `
if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
return 1`

var (
	eraseCall       = newScript(eraseScript)
	bucketEraseCall = newScript(bucketEraseScript)
	swapCall        = newScript(swapScript)
)
