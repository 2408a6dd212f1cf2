package ledger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

// bucketActScript does what somebody decided about users of one bucket: all of it or nothing. What an act makes of a user is
// grant.UserState.After's to say, before the call; the script makes sure that nobody changed the bucket since: whoever does
// appends an entry.
//
//	KEYS  journal state calls
//	ARGV  hash of the spec, not before, not from then on (Unix milliseconds, by the clock of this Redis), entries seen, how many
//	      users get a place, how many of these more are excluded, members that a bucket may have,
//	      entry without its first 7 bytes, (user, state after)…, or nothing at all
//
// The reply is 1; 0 when there are other entries; or {-2, members} when the bucket is full. Another spec than that of the bucket,
// and another time, are refused as the bucket script does. When a write fails, those before it are taken back by the commands
// that made them. The first HDEL finds out whether that is allowed.
const bucketActScript = `
local call, try, floor = redis.call, redis.pcall, math.floor
local journal, state, calls = KEYS[1], KEYS[2], KEYS[3]
local known = call('HMGET', calls, 'spec', 'count', 'excluded')
if known[1] and known[1] ~= ARGV[1] then
  return {err = 'FENCED spec ' .. known[1]}
end
local time = call('TIME')
local ms = time[1] * 1000 + floor(time[2] / 1000)
if ms < tonumber(ARGV[2]) or ms >= tonumber(ARGV[3]) then
  return {err = string.format('FENCED time %.0f', ms)}
end
if call('LLEN', journal) ~= tonumber(ARGV[4]) then
  return 0
end
local more = {tonumber(ARGV[5]), tonumber(ARGV[6])}
local count = tonumber(known[2] or 0)
if more[1] > 0 and count + more[1] > tonumber(ARGV[7]) then
  return {-2, count}
end
call('HDEL', state, '')
local before = {}
for i = 9, #ARGV, 2 do
  before[i] = call('HGET', state, ARGV[i])
end
` + writeLua + `local failed = not known[1] and write({'HDEL', calls, 'spec'}, 'HSET', calls, 'spec', ARGV[1])
for i, field in ipairs({'count', 'excluded'}) do
  local old = known[1 + i]
  if more[i] ~= 0 and not failed then
    failed = write(old and {'HSET', calls, field, old} or {'HDEL', calls, field}, 'HSET', calls, field,
      tonumber(old or 0) + more[i])
  end
end
for i = 9, #ARGV, 2 do
  local old = before[i]
  if not failed then
    failed = write(old and {'HSET', state, ARGV[i], old} or {'HDEL', state, ARGV[i]}, 'HSET', state, ARGV[i], ARGV[i + 1])
  end
end
if failed then
  return failed
end
local stamp = ''
for _ = 1, 6 do
  stamp, ms = string.char(ms % 256) .. stamp, floor(ms / 256)
end
return write({}, 'RPUSH', journal, string.char(3) .. stamp .. ARGV[8]) or 1`

var bucketActCall = newScript(bucketActScript)

// group returns the chunk, or bucket, that a user is in.
func (l *Store) group(user grant.UserID) (uint64, error) {
	if !l.campaign.Input.Opaque() {
		return user.Number() >> 16, nil
	}
	member, err := l.memberOf(user)
	return l.layout.Bucket(opaque.Hash(member)), err
}

// memberOf returns what the ledger knows a user by.
func (l *Store) memberOf(user grant.UserID) ([]byte, error) {
	member, fault := l.form.Member(nil, []byte(user.String()))
	if fault != "" {
		return nil, fmt.Errorf("user %s: is no ID of %s, whose source.id is %s (%s)", user, l.campaign.Name, l.campaign.Input.IDs,
			fault)
	}
	return member, nil
}

// appendBucketAct appends the entry of an act in a bucket without its first 7 bytes. The members must be in their order.
func appendBucketAct(dst []byte, kind EntryKind, act []byte, width opaque.Width, members [][]byte) []byte {
	dst = append(dst, byte(kind))
	dst = append(dst, make([]byte, runLength+2)...) // no run, no shard, no flush
	dst = append(binary.AppendUvarint(dst, uint64(len(members))), 0)
	dst = append(binary.AppendUvarint(dst, uint64(len(act))), act...)
	dst = append(dst, byte(width))
	for _, m := range members {
		dst = width.Append(dst, m)
	}
	return dst
}

// appendBucketGrant appends the entry of a flush of other members.
func appendBucketGrant(dst []byte, e *Entry, width opaque.Width, members [][]byte) ([]byte, error) {
	dst = binary.AppendUvarint(appendHead(dst, e.Run, e.Shard, e.Flush), uint64(len(members)))
	dst, err := appendRanges(dst, e.Ranges)
	dst = append(dst, byte(width))
	for _, m := range members {
		dst = width.Append(dst, m)
	}
	return dst, err
}

// lookInBucket is what plan asks about users where IDs are not dense.
func (c *chunkActs) lookInBucket(ctx context.Context, asked []*User) error {
	of := make([]askedMember, len(asked))
	for i, u := range asked {
		member, err := c.memberOf(u.User)
		if err != nil {
			return err
		}
		of[i] = askedMember{u: u, member: member, hash: opaque.Hash(member)}
	}
	var err error
	c.seen, err = c.reader.lookUpBucket(ctx, c.chunk, of)
	return err
}

// callBucket is call where IDs are not dense.
func (c *chunkActs) callBucket(ctx context.Context, a *actCalled) (done bool, err error) {
	members := make([][]byte, len(a.users))
	states := []any{}
	for i, u := range a.users {
		user := c.acts[u.index].User
		if members[i], err = c.memberOf(user); err != nil {
			return false, err
		}
		if u.after != "" {
			states = append(states, user.String(), u.after)
		}
	}
	slices.SortFunc(members, opaque.Compare)
	entry := appendBucketAct(nil, a.kind, a.act, c.layout.Width, members)
	settled, excluded := 0, 0
	if a.before == grant.PlaceNone && a.after != a.before {
		settled = len(members)
	}
	switch {
	case a.after == a.before:
	case a.after == grant.PlaceExcluded:
		excluded = len(members)
	case a.before == grant.PlaceExcluded:
		excluded = -len(members)
	}
	keys := c.keys.chunk(c.chunk, "")
	var reply any
	err = c.grants.deliver(ctx, fmt.Sprintf("doing acts about users of bucket %d", c.chunk), func() error {
		fence := c.actFence(a)
		head := []any{fence.spec, fence.notBefore, fence.notAfter(), c.seen, settled, excluded, MaxBucket, entry}
		args := slices.Concat(head, states)
		if err := c.client.SAdd(ctx, c.keys.chunks, c.chunk).Err(); err != nil { // as in call
			return fmt.Errorf("%s: %w", c.keys.chunks, err)
		}
		pipe := c.client.Pipeline()
		cmd := bucketActCall.command(ctx, []string{keys.journal, keys.state, keys.calls}, args...)
		if err := pipe.Process(ctx, cmd); err != nil {
			return err
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fence.refused(err)
		}
		reply = cmd.Val()
		return nil
	})
	if err != nil && !errors.Is(err, grant.ErrEnded) {
		c.grants.inDoubt.Store(true)
	}
	if list, ok := reply.([]any); err == nil && ok && len(list) == 2 {
		n, _ := list[1].(int64)
		return false, &FullError{Key: keys.journal, Members: n, Spec: c.campaign.Population}
	}
	if n, _ := reply.(int64); err == nil && n == 1 {
		c.seen++ // the other calls of this plan are about other users
		done = true
	}
	return done, err
}

// askedMember is a user who is looked up, and what the ledger knows the user by.
type askedMember struct {
	u          *User
	member     []byte
	hash       uint64
	reinstated bool // by an entry that was looked at
}

// lookUpBucket fills in what is known of some users of a bucket, and returns how many entries it has, all of which were looked at
// as far as need be.
func (l *Reader) lookUpBucket(ctx context.Context, bucket uint64, asked []askedMember) (int64, error) {
	entries, page, err := l.statesOfBucket(ctx, bucket, asked)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(asked, func(a, b askedMember) int { return opaque.Compare(a.member, b.member) })
	left := make([]*askedMember, len(asked))
	for i := range asked {
		left[i] = &asked[i]
	}
	key := l.keys.journal(bucket)
	var e Entry
	for to := entries; ; {
		from := to - int64(len(page))
		for i, text := range slices.Backward(page) {
			if left, err = l.findIn(&e, text, left); err != nil {
				return 0, fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, key, from+int64(i), err)
			}
		}
		if to = from; to <= 0 || len(left) == 0 {
			return entries, nil
		}
		if page, err = l.client.LRange(ctx, key, max(0, to-journalPage), to-1).Result(); err != nil {
			return 0, fmt.Errorf("%s: %w", key, err)
		}
		if len(page) == 0 {
			return 0, fmt.Errorf("%w: %s became shorter while a user was looked up", ErrInconsistent, key)
		}
	}
}

// findIn looks for members in an entry, and returns those whose place it does not say. They are in the order of entries.
func (l *Reader) findIn(e *Entry, text string, asked []*askedMember) (left []*askedMember, err error) {
	members, err := e.UnmarshalBucket([]byte(text))
	if err != nil || !e.Kind.Settles() && e.Kind != EntryReinstate || len(asked) == 0 {
		return asked, err
	}
	at := 0
	var bad error
	err = members.Each(func(hash uint64, member []byte) bool {
		for at < len(asked) && asked[at].hash < hash {
			left, at = append(left, asked[at]), at+1
		}
		for n := at; n < len(asked) && asked[n].hash == hash; n++ {
			switch {
			case !bytes.Equal(asked[n].member, member):
			case e.Kind == EntryReinstate:
				asked[n].reinstated = true
			default:
				bad = cmp.Or(bad, asked[n].settledBy(e))
				asked[n], asked[at] = asked[at], asked[n] // who is in front of at is settled
				at++
			}
		}
		return at < len(asked)
	})
	return append(left, asked[at:]...), cmp.Or(err, bad)
}

// settledBy notes which entry gave a user a place.
func (m *askedMember) settledBy(e *Entry) error {
	err := e.readAct()
	u := m.u
	if u.Place = grant.PlaceGranted; e.Kind == EntryExclude && !m.reinstated {
		u.Place = grant.PlaceExcluded
	}
	u.Settled = &Grant{
		User: u.User, Kind: e.Kind, At: e.At, Run: e.Run, Shard: e.Shard, Flush: e.Flush,
		Ranges: slices.Clone(e.Ranges), Act: u.State.Told(e.Act),
	}
	return err
}

// statesOfBucket fills in what acts made of users, and returns how many entries the bucket had then, and the last of them: most
// lookups need no more, and wait for Redis once.
func (l *Reader) statesOfBucket(
	ctx context.Context, bucket uint64, asked []askedMember,
) (entries int64, newest []string, err error) {
	keys := l.keys.chunk(bucket, "")
	fields := make([]string, len(asked))
	for i := range asked {
		fields[i] = asked[i].u.User.String()
	}
	for {
		pipe := l.client.Pipeline()
		before, states := pipe.LLen(ctx, keys.journal), pipe.HMGet(ctx, keys.state, fields...)
		page, after := pipe.LRange(ctx, keys.journal, -journalPage, -1), pipe.LLen(ctx, keys.journal)
		if _, err := pipe.Exec(ctx); err != nil {
			return 0, nil, named([]redis.Cmder{before, states, page, after}, err)
		}
		if before.Val() != after.Val() {
			continue
		}
		for i := range asked {
			u := asked[i].u
			*u = User{User: u.User, Place: grant.PlaceNone}
			text, _ := states.Val()[i].(string)
			if err := u.readState(text); err != nil {
				return 0, nil, fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, keys.state, fields[i], err)
			}
		}
		return after.Val(), page.Val(), nil
	}
}
