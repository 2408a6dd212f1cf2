package ledger

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// chunkScript grants the members of one delta in one chunk if all of them are new, and otherwise changes nothing and
// tells the caller who has been granted, so that it can leave those out. It is optimistic because shards remember whom
// they granted: overlaps come from other replicas and from replays only.
//
//	KEYS  granted journal calls delta scratch
//	ARGV  run (8 bytes), identity of the call, entry without its first 7 bytes, offsets
//
// Offsets are 2 bytes each, big-endian; when there are none, the members are the bitmap that was staged under the delta
// key. Staging keeps 8 KiB out of Lua, which hashes each byte of each string: about 15 µs a call.
//
// The reply is 1 when the delta was applied, 2 when this very call had been applied before, or else the bitmap.
//
// Whatever may fail (memory, type of a key) fails before the first change or not at all. The delta key expires, so it is
// not what becomes granted.
const chunkScript = `
local call, byte = redis.call, string.byte
local granted, delta, members = KEYS[1], KEYS[4], ARGV[4]
local last = call('HGET', KEYS[3], ARGV[1])
if last == ARGV[2] then
  call('DEL', delta)
  return 2
end
if members == '' then
  if call('STRLEN', delta) ~= 8192 then
    return {err = 'TRYAGAIN the staged delta is gone'}
  end
  call('BITOP', 'AND', KEYS[5], delta, granted)
  local overlap = call('BITPOS', KEYS[5], 1)
  if overlap ~= -1 then
    call('DEL', delta, KEYS[5])
    return call('GET', granted)
  end
  call('BITOP', 'OR', granted, granted, delta)
  call('DEL', delta, KEYS[5])
else
  for i = 1, #members, 2 do
    local hi, lo = byte(members, i, i + 1)
    if call('SETBIT', granted, hi * 256 + lo, 1) == 1 then
      for j = 1, i - 2, 2 do
        hi, lo = byte(members, j, j + 1)
        call('SETBIT', granted, hi * 256 + lo, 0)
      end
      return call('GET', granted)
    end
  end
end
local now, floor = call('TIME'), math.floor
local ms = now[1] * 1000 + floor(now[2] / 1000)
local hi, lo = floor(ms / 4294967296), ms % 4294967296
call('RPUSH', KEYS[2], string.char(1, floor(hi / 256), hi % 256,
  floor(lo / 16777216), floor(lo / 65536) % 256, floor(lo / 256) % 256, lo % 256) .. ARGV[3])
if not last and call('HLEN', KEYS[3]) >= 64 then
  call('DEL', KEYS[3])
end
call('HSET', KEYS[3], ARGV[1], ARGV[2])
return 1`

// tipScript advances the tip of a shard, unless it is behind the last acknowledged one: then the ledger lost writes.
//
//	KEYS  tip
//	ARGV  shard, acknowledged tip, new tip, seconds to live
//
// The reply is the tip that is there now, or −1 − what was found when that is behind.
const tipScript = `
local found = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if found < tonumber(ARGV[2]) then
  return -1 - found
end
if found >= tonumber(ARGV[3]) then
  return found
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if found == 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return tonumber(ARGV[3])`

// checkpointScript writes a checkpoint on one anchor, unless an acknowledged tip or a part of the last checkpoint is
// missing there.
//
//	KEYS  checkpoint tip
//	ARGV  seconds to live, number of shards, (shard, acknowledged tip)…, (partition, expected, next)…
//
// The reply is empty, or {what, which, expected, found}. Nothing is written in the second case.
const checkpointScript = `
local at, writes = 3, {}
for _ = 1, tonumber(ARGV[2]) do
  local found = redis.call('HGET', KEYS[2], ARGV[at]) or '0'
  if tonumber(found) < tonumber(ARGV[at + 1]) then
    return {'shard', ARGV[at], ARGV[at + 1], found}
  end
  at = at + 2
end
while at < #ARGV do
  local found = redis.call('HGET', KEYS[1], ARGV[at]) or '-1'
  if tonumber(found) < tonumber(ARGV[at + 1]) then
    return {'partition', ARGV[at], ARGV[at + 1], found}
  end
  if tonumber(found) < tonumber(ARGV[at + 2]) then
    writes[#writes + 1] = at
  end
  at = at + 3
end
for _, i in ipairs(writes) do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
return {}`

// specScript stores the spec if there is none, or if nothing was granted under the one there is.
//
//	KEYS  spec chunks
//	ARGV  hash, canonical, time
//
// The reply is {hash, canonical} of the spec that holds now.
const specScript = `
local hash = redis.call('HGET', KEYS[1], 'hash')
if not hash or (hash ~= ARGV[1] and redis.call('SCARD', KEYS[2]) == 0) then
  redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'canonical', ARGV[2], 'stored_at', ARGV[3])
end
return {redis.call('HGET', KEYS[1], 'hash'), redis.call('HGET', KEYS[1], 'canonical')}`

type script struct{ text, sha string }

func newScript(text string) script { return script{text, redis.NewScript(text).Hash()} }

var (
	chunkCall      = newScript(chunkScript)
	tipCall        = newScript(tipScript)
	checkpointCall = newScript(checkpointScript)
	specCall       = newScript(specScript)
)

// loadScripts makes every master know the scripts. Restarts, fail-overs and SCRIPT FLUSH make them forget.
func (l *Ledger) loadScripts(ctx context.Context) error {
	return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		for _, s := range []script{chunkCall, tipCall, checkpointCall, specCall, controlCall, takeCall} {
			if err := c.ScriptLoad(ctx, s.text).Err(); err != nil {
				return fmt.Errorf("loading scripts on %s: %w", c.Options().Addr, err)
			}
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
