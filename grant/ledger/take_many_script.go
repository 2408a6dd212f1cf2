package ledger

// manyCall has many users of a chunk take an item without a quota. It works on bitmaps, so it costs the same for 256 users and
// for all of the chunk, and writes no time for each of them: that is in the entry, which a key of its own finds (see takeKeys).
//
//	KEYS  calls granted excluded state, taken takes many, delta scratch
//	ARGV  spec, how many users, not from then on, entry
//
// The users are the bitmap that was staged under the delta key. Either all of them take it, and the reply is the time, as that
// of takeCall; or nothing is changed, and it is the bitmaps of granted, taken and excluded, the fields of the state, and 1 if it
// is too late, from which the caller finds out who stands in the way; or 'crowded', where there is too much state for that.
//
// What is undone is undone by the command that did it.
const manyScript = `
local call, try, floor = redis.call, redis.pcall, math.floor
local granted, excluded, state, taken, takes, many = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local delta, scratch, n = KEYS[8], KEYS[9], tonumber(ARGV[2])
local now = call('TIME')
local ms = now[1] * 1000 + floor(now[2] / 1000)
local stored = call('HGET', KEYS[1], 'spec')
if stored and stored ~= ARGV[1] then
  return {err = 'FENCED spec ' .. stored}
end
if call('STRLEN', delta) ~= 8192 then
  return {err = 'TRYAGAIN the staged delta is gone'}
end
local failed
local function among(key)
  call('BITOP', 'AND', scratch, delta, key)
  local found = try('BITCOUNT', scratch)
  call('DEL', scratch)
  if type(found) == 'table' then
    failed = found
    return 0
  end
  return found
end
local had, may = among(taken), among(granted)
local out = call('EXISTS', excluded) == 1 and among(excluded) or 0
if failed then
  return failed
end
if had == n then
  for _, e in ipairs(call('LRANGE', takes, -4, -1)) do
    if string.sub(e, 8) == ARGV[4] then
      local a, b, c, d, e, f = string.byte(e, 2, 7)
      return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
    end
  end
end
local fields = {}
if call('EXISTS', state) == 1 then
  if call('HLEN', state) > 1024 then
    return 'crowded'
  end
  fields = call('HKEYS', state)
end
local acts, late = false, ms >= tonumber(ARGV[3])
for _, user in ipairs(fields) do
  acts = acts or call('GETBIT', delta, user) == 1
end
if had > 0 or may < n or out > 0 or acts or late then
  return {call('GET', granted) or '', call('GET', taken) or '', call('GET', excluded) or '', fields, late and 1 or 0}
end
local before, place = call('GET', many) or '', call('LLEN', takes)
local hi, lo = floor(ms / 4294967296), ms % 4294967296
local stamp = string.char(2, floor(hi / 256), hi % 256, floor(lo / 16777216), floor(lo / 65536) % 256, floor(lo / 256) % 256,
  lo % 256)
place = string.char(floor(place / 16777216), floor(place / 65536) % 256, floor(place / 256) % 256, place % 256)
failed = try('BITOP', 'OR', taken, taken, delta)
if type(failed) ~= 'table' then
  failed = try('SET', many, before .. place)
  if type(failed) ~= 'table' or not failed.err then
    failed = try('RPUSH', takes, stamp .. ARGV[4])
    if type(failed) ~= 'table' then
      try('DEL', delta)
      return ms
    end
    try('SET', many, before)
    if before == '' then
      try('DEL', many)
    end
  end
  try('BITOP', 'XOR', taken, taken, delta)
end
if try('BITPOS', taken, 1) == -1 then
  try('DEL', taken)
end
return failed`

var manyCall = newScript(manyScript)
