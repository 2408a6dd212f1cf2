package ledger

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// chunkScript grants the members of one delta in one chunk if all of them are new, and otherwise changes nothing and
// returns who has been granted, so that it can leave those out. It is optimistic because shards remember whom
// they granted: overlaps come from other replicas and from replays only.
//
//	KEYS  granted journal calls delta scratch excluded
//	ARGV  run (8 bytes), identity of the call, entry without its first 7 bytes, offsets,
//	      hash of the spec, not before, not from then on (Unix milliseconds, by the clock of this Redis)
//
// Offsets are 2 bytes each, big-endian; when there are none, the members are the bitmap that was staged under the delta
// key. Staging keeps 8 KiB out of Lua, which hashes each byte of each string: about 15 µs a call.
//
// The reply is 1 when the delta was applied, 2 when this very call had been applied before, or else the bitmap, and with it,
// where somebody is excluded, the bitmap of those: nothing but an overlap makes a call look there. A call
// under another spec than that of the first grant of the chunk, or outside of its time, is refused: see fence. Chunks that
// version 0.1 wrote have no spec, and get that of the next call.
//
// Nothing is changed when anything fails, be it memory, a right that was taken away, or the type of a key. The order is
// that of the undoing: each write is taken back by the command that made it, which is allowed because it just was. The
// delta key expires, and is not what becomes granted.
const chunkScript = `
local call, try, byte = redis.call, redis.pcall, string.byte
local granted, delta, members = KEYS[1], KEYS[4], ARGV[4]
local known = call('HMGET', KEYS[3], ARGV[1], 'spec')
local last, spec = known[1], known[2]
if last == ARGV[2] then
  call('DEL', delta)
  return 2
end
if spec and spec ~= ARGV[5] then
  return {err = 'FENCED spec ' .. spec}
end
local now, floor = call('TIME'), math.floor
local ms = now[1] * 1000 + floor(now[2] / 1000)
if ms < tonumber(ARGV[6]) or ms >= tonumber(ARGV[7]) then
  return {err = string.format('FENCED time %.0f', ms)}
end
local crowded = not last and call('HLEN', KEYS[3]) > 64
if members == '' then
  if call('STRLEN', delta) ~= 8192 then
    return {err = 'TRYAGAIN the staged delta is gone'}
  end
  call('BITOP', 'AND', KEYS[5], delta, granted)
  local overlap = try('BITPOS', KEYS[5], 1)
  call('DEL', KEYS[5])
  if type(overlap) == 'table' then
    return overlap
  end
  if overlap ~= -1 then
    call('DEL', delta)
    local excluded = call('GET', KEYS[6])
    return excluded and {call('GET', granted), excluded} or call('GET', granted)
  end
  call('BITOP', 'OR', granted, granted, delta)
else
  for i = 1, #members, 2 do
    local hi, lo = byte(members, i, i + 1)
    if call('SETBIT', granted, hi * 256 + lo, 1) == 1 then
      for j = 1, i - 2, 2 do
        hi, lo = byte(members, j, j + 1)
        call('SETBIT', granted, hi * 256 + lo, 0)
      end
      local excluded = call('GET', KEYS[6])
      return excluded and {call('GET', granted), excluded} or call('GET', granted)
    end
  end
end
local done
if spec then
  done = try('HSET', KEYS[3], ARGV[1], ARGV[2])
else
  done = try('HSET', KEYS[3], ARGV[1], ARGV[2], 'spec', ARGV[5])
end
if type(done) ~= 'table' then
  local hi, lo = floor(ms / 4294967296), ms % 4294967296
  done = try('RPUSH', KEYS[2], string.char(2, floor(hi / 256), hi % 256,
    floor(lo / 16777216), floor(lo / 65536) % 256, floor(lo / 256) % 256, lo % 256) .. ARGV[3])
  if type(done) == 'table' then
    try('HSET', KEYS[3], ARGV[1], last or '')
    if not last then
      try('HDEL', KEYS[3], ARGV[1])
    end
    if not spec then
      try('HDEL', KEYS[3], 'spec')
    end
  end
end
if type(done) == 'table' then
  if members == '' then
    try('BITOP', 'XOR', granted, granted, delta)
  else
    for i = 1, #members, 2 do
      local hi, lo = byte(members, i, i + 1)
      try('SETBIT', granted, hi * 256 + lo, 0)
    end
  end
  if try('BITPOS', granted, 1) == -1 then
    try('DEL', granted)
  end
  return done
end
if members == '' then
  try('DEL', delta)
end
if crowded then
  try('DEL', KEYS[3])
  try('HSET', KEYS[3], ARGV[1], ARGV[2], 'spec', ARGV[5])
end
return 1`

// tipScript advances the tip of a shard, unless it is behind the last acknowledged one: then the ledger lost writes.
//
//	KEYS  tip
//	ARGV  shard, acknowledged tip, new tip, seconds to live
//
// The reply is the tip that is there now, or −1 − what was found when that is behind. EXPIRE comes first to find out whether
// it is allowed: a key that is not there yet it leaves alone.
const tipScript = `
local found = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if found < tonumber(ARGV[2]) then
  return -1 - found
end
if found >= tonumber(ARGV[3]) then
  return found
end
if found == 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if found == 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return tonumber(ARGV[3])`

// checkpointScript writes a checkpoint on one anchor, unless an acknowledged tip or a part of the last checkpoint is
// missing there, or what is there counts in another topic.
//
//	KEYS  checkpoint tip
//	ARGV  seconds to live, topic, topic as older brokers identify it, number of shards, (shard, acknowledged tip)…,
//	      (partition, expected, next, leader epoch)…
//
// The reply is empty, or {what, which, expected, found}. Nothing is written in the second case.
const checkpointScript = `
local at, writes = 5, {}
for _ = 1, tonumber(ARGV[4]) do
  local found = redis.call('HGET', KEYS[2], ARGV[at]) or '0'
  if tonumber(found) < tonumber(ARGV[at + 1]) then
    return {'shard', ARGV[at], ARGV[at + 1], found}
  end
  at = at + 2
end
local topic = redis.call('HGET', KEYS[1], 'topic')
if topic and topic ~= ARGV[2] and topic ~= ARGV[3] then
  return {'topic', '', ARGV[2], topic}
end
while at < #ARGV do
  local found = redis.call('HGET', KEYS[1], ARGV[at]) or '-1'
  if tonumber(found) < tonumber(ARGV[at + 1]) then
    return {'partition', ARGV[at], ARGV[at + 1], found}
  end
  if tonumber(found) < tonumber(ARGV[at + 2]) then
    writes[#writes + 1] = at
  end
  at = at + 4
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
if topic ~= ARGV[2] and ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'topic', ARGV[2])
end
for _, i in ipairs(writes) do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2], 'e' .. ARGV[i], ARGV[i + 3])
end
return {}`

// anewScript makes a checkpoint on one anchor one of a topic, with nothing granted yet, if it is of another topic or
// beyond what a partition still has.
//
//	KEYS  checkpoint
//	ARGV  topic, partition, offset; or topic alone
//
// The reply is 1, or 0 when there was nothing to do. The first HSET changes nothing: it finds out whether it is allowed.
const anewScript = `
local topic = redis.call('HGET', KEYS[1], 'topic') or ''
local next = ARGV[2] and redis.call('HGET', KEYS[1], ARGV[2])
if topic == ARGV[1] and not (next and tonumber(next) > tonumber(ARGV[3])) then
  return 0
end
if topic ~= '' then
  redis.call('HSET', KEYS[1], 'topic', topic)
end
redis.call('DEL', KEYS[1])
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'topic', ARGV[1])
end
return 1`

// specScript decides under which spec users may be granted, and gives a run its lease: until when it may do so. A spec is
// stored if there is none, and replaced if nobody was granted anything under it; neither while a run has a lease for
// another one.
//
//	KEYS  spec chunks leases format
//	ARGV  hash, canonical, time, run, milliseconds of the lease, "searched " and the hash of the spec before,
//	      format, the first version of granter that knows it
//
// The reply is {what, hash and canonical of the spec that holds, end of a lease in Unix milliseconds, chunks missing in the
// index}. what is:
//
//	ok       the spec is the given one, and the lease is given
//	granted  another spec holds, and users were granted under it
//	leased   a run may be granting users under another spec until the end of its lease
//	search   there is no such obstacle; but the index may be damaged, so the caller looks for grants and asks again
//	format   the ledger is of a newer format; in place of hash and canonical are that, and the version of granter it needs
//
// A ledger of an older format becomes one of this format here, before the first grant: from then on the journal may have
// what an older granter cannot read. Such a one knows no format, but all of them refuse a stored_at that is no time, and
// show it: so the time that is stored has the format behind it.
//
// The spec remembers how many chunks the index had. Nothing is changed when anything fails: PEXPIRE comes first to find
// out whether it is allowed, and leases that have lapsed may stay.
const specScript = `
local call = redis.call
local now = call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local format = call('HMGET', KEYS[4], 'version', 'granter')
local version = tonumber(format[1] or 0)
if version > tonumber(ARGV[7]) then
  return {'format', format[1], format[2] or '', 0, 0}
end
local stored = call('HMGET', KEYS[1], 'hash', 'canonical', 'chunks', 'stored_at')
local hash, canonical, most = stored[1] or '', stored[2] or '', tonumber(stored[3] or 0)
local chunks = call('SCARD', KEYS[2])
local leased, lapsed = 0, {}
local leases = call('HGETALL', KEYS[3])
for i = 1, #leases, 2 do
  local to, spec = string.match(leases[i + 1], '^(%d+) (.*)$')
  if not to or tonumber(to) <= ms then
    lapsed[#lapsed + 1] = leases[i]
  elseif spec ~= ARGV[1] and leases[i] ~= ARGV[4] then
    leased = math.max(leased, tonumber(to))
  end
end
local function reply(what, to)
  return {what, hash, canonical, to, math.max(0, most - chunks)}
end
if hash ~= ARGV[1] then
  if hash ~= '' and (chunks > 0 or most > 0) then
    return reply('granted', 0)
  end
  if leased > 0 then
    return reply('leased', leased)
  end
  if ARGV[6] ~= 'searched ' .. hash then
    return reply('search', 0)
  end
  hash, canonical, most = ARGV[1], ARGV[2], 0
end
call('PEXPIRE', KEYS[3], ARGV[5])
local note = ' (format ' .. ARGV[7] .. ', for granter ' .. ARGV[8] .. ' or later)'
if version < tonumber(ARGV[7]) then
  call('HSET', KEYS[4], 'version', ARGV[7], 'granter', ARGV[8])
  if stored[1] == hash then
    call('HSET', KEYS[1], 'stored_at', string.match(stored[4] or '', '^[^ ]*') .. note)
  end
end
if stored[1] ~= hash then
  call('HSET', KEYS[1], 'hash', hash, 'canonical', canonical, 'stored_at', ARGV[3] .. note, 'chunks', chunks)
elseif chunks > most then
  call('HSET', KEYS[1], 'chunks', chunks)
end
local to = ms + tonumber(ARGV[5])
call('HSET', KEYS[3], ARGV[4], string.format('%.0f ', to) .. hash)
call('PEXPIRE', KEYS[3], ARGV[5])
for i = 1, #lapsed do
  if lapsed[i] ~= ARGV[4] then
    redis.pcall('HDEL', KEYS[3], lapsed[i])
  end
end
return reply('ok', to)`

// controlScript stores what an order makes of the control, and its entry in the audit trail, unless somebody else was faster.
//
//	KEYS  control history
//	ARGV  control expected and control to store, as JSON or empty: none; entry as JSON
//
// The reply is 1, or 0 when another control is there. An entry that cannot be stored takes the control back, by a command
// that has just been allowed: the first DEL finds that out where there is no control.
const controlScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if ARGV[2] ~= '' then
  if ARGV[1] == '' then
    redis.call('DEL', KEYS[1])
  end
  redis.call('SET', KEYS[1], ARGV[2])
end
local done = redis.pcall('RPUSH', KEYS[2], ARGV[3])
if type(done) == 'table' then
  if ARGV[2] ~= '' and ARGV[1] == '' then
    redis.pcall('DEL', KEYS[1])
  elseif ARGV[2] ~= '' then
    redis.pcall('SET', KEYS[1], ARGV[1])
  end
  return done
end
return 1`

// budgetScript hands out users to grant from the budget that all replicas share: it fills at a rate, up to half a second's
// worth, so that a replica that was held up can catch up. Where the rate is not that of the call before, the lower one
// counts: replicas that disagree, as they may after Redis lost an order, must not keep each other from granting anybody.
//
//	KEYS  budget
//	ARGV  users wanted, users per second
//
// The reply is how many may be granted now. The first EXPIRE finds out whether it is allowed.
const budgetScript = `
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local rate, want = tonumber(ARGV[2]), tonumber(ARGV[1])
local old = redis.call('HMGET', KEYS[1], 'at', 'left', 'rate')
local left = 0
if old[1] then
  local slower = math.min(rate, tonumber(old[3]))
  left = tonumber(old[2]) + (at - tonumber(old[1])) * slower / 1000000
  left = math.max(0, math.min(left, math.max(slower / 2, 1)))
end
local taken = math.min(want, math.floor(left))
redis.call('EXPIRE', KEYS[1], 60)
redis.call('HSET', KEYS[1], 'at', string.format('%.0f', at), 'left', string.format('%.6f', left - taken), 'rate', ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
return taken`

type script struct{ text, sha string }

func newScript(text string) script { return script{text, redis.NewScript(text).Hash()} }

var (
	chunkCall      = newScript(chunkScript)
	tipCall        = newScript(tipScript)
	checkpointCall = newScript(checkpointScript)
	anewCall       = newScript(anewScript)
	specCall       = newScript(specScript)
	controlCall    = newScript(controlScript)
	budgetCall     = newScript(budgetScript)
	leadCall       = newScript(leadScript)
	advanceCall    = newScript(advanceScript)
)

var allScripts = []*script{&chunkCall, &tipCall, &checkpointCall, &anewCall, &specCall, &controlCall, &budgetCall,
	&takeCall, &manyCall, &judgeCall, &quotaCall, &actCall, &leadCall, &advanceCall, &proposalCall, &aloneCall, &mendCall,
	&bucketCall, &bucketActCall, &bucketLookCall, &bucketTakeCall, &bucketJudgeCall, &bucketQuotaCall, &eraseCall,
	&bucketEraseCall, &swapCall, &replaceCall, &shortenCall, &purgeCall}

// loadScripts makes every master know the scripts. Restarts, fail-overs and SCRIPT FLUSH make them forget.
func (l *Store) loadScripts(ctx context.Context) error {
	return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, s := range allScripts {
				p.ScriptLoad(ctx, s.text)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("loading scripts on %s: %w", c.Options().Addr, err)
		}
		return nil
	})
}

// command is EVALSHA of the script.
func (s *script) command(ctx context.Context, keys []string, args ...any) *redis.Cmd {
	all := append(make([]any, 0, 3+len(keys)+len(args)), "evalsha", s.sha, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	return cmd
}
