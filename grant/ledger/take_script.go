package ledger

// The scripts by which users take an item. All users of a call are of one chunk. Either all of them take it, or nothing is
// changed and the reply says for each what stands in the way, so that the caller leaves those out and asks again.
//
//	takeCall   KEYS  calls granted excluded state, taken takes, segments
//	           ARGV  spec, offsets, not from then on, entry, states
//	judgeCall  KEYS  calls granted excluded state
//	           ARGV  spec, offsets, states
//	quotaCall  KEYS  spec first, taken takes, segments
//	           ARGV  spec, offsets, not from then on, entry, how many may take it, until when the users count as judged
//
// segments are the keys of those segments of the times of taking in which users are, ascending. Offsets are 2 bytes each,
// big-endian, ascending. spec is the hash; not from then on is in Unix milliseconds by the clock of this Redis; the entry is
// without its first 7 bytes. states are none, or the state of each user that the caller has judged to allow the take.
//
// Where an item has a quota, its counter and what it counts are on the master of {C}, so that one script sees both: it is
// exact by construction. Whether the users may take it is then asked before, of their chunk, by judgeCall, which returns the
// time; the take comes no more than some seconds later (see judgedFor), or the reply is 0. Who is revoked in between took it
// first.
//
// The reply is the time in Unix milliseconds when all took it, or when this very call was applied before; else a letter for
// each user (see letters). The first writes are undone by themselves when a later one fails.

// usersLua reads who is meant, and keeps what stands in their way.
const usersLua = `
local call, try, byte, floor = redis.call, redis.pcall, string.byte, math.floor
local now = call('TIME')
local ms = now[1] * 1000 + floor(now[2] / 1000)
local users, letters, good, masks = {}, {}, true, {128, 64, 32, 16, 8, 4, 2, 1}
for i = 1, #ARGV[2], 2 do
  local hi, lo = byte(ARGV[2], i, i + 1)
  users[#users + 1] = hi * 256 + lo
end
local function has(key)
  if #users < 256 then
    return function(user) return call('GETBIT', key, user) == 1 end
  end
  local bits = call('GETRANGE', key, 0, -1)
  return function(user)
    local at = user % 8
    local b, m = byte(bits, (user - at) / 8 + 1), masks[at + 1]
    return b and b % (2 * m) >= m
  end, bits
end
local function letter(i, what)
  if not letters[i] then
    letters[i] = what
    good = false
  end
end
local function reply()
  for i = 1, #users do
    letters[i] = letters[i] or '.'
  end
  return table.concat(letters)
end
`

// judgeLua finds out which users may take an item: those whose place is granted, and about whom acts say nothing that the
// caller has not judged.
const judgeLua = usersLua + `
local function judge(calls, granted, excluded, state, states)
  local stored = call('HGET', calls, 'spec')
  if stored and stored ~= ARGV[1] then
    return {err = 'FENCED spec ' .. stored}
  end
  local is = has(granted)
  for i, user in ipairs(users) do
    if not is(user) then
      letter(i, 'n')
    end
  end
  if call('EXISTS', excluded) == 1 then
    is = has(excluded)
    for i, user in ipairs(users) do
      if is(user) then
        letter(i, 'x')
      end
    end
  end
  if call('EXISTS', state) == 1 then
    for i, user in ipairs(users) do
      if (call('HGET', state, tostring(user)) or '') ~= (ARGV[states + i] or '') then
        letter(i, 's')
      end
    end
  end
end
`

// takeLua sets the bits and times of the users and appends the entry, if nothing stands in the way. Where there are many of
// them, it writes the bits of 1,024 users at once, and where these are 32 or more, also their times: a command for each costs
// three times as much, and all of them go into the append-only file. To take back is to write what was there.
const takeLua = `
local function stamp(ms)
  local hi, lo = floor(ms / 4294967296), ms % 4294967296
  return string.char(floor(hi / 256), hi % 256, floor(lo / 16777216), floor(lo / 65536) % 256, floor(lo / 256) % 256, lo % 256)
end
local stored -- the bitmap before, of many users
local function refuse(taken, takes)
  if ms >= tonumber(ARGV[3]) then
    for i = 1, #users do
      letter(i, 'l')
    end
  end
  local is, old = has(taken)
  local before = 0
  stored = old
  for i, user in ipairs(users) do
    if is(user) then
      letters[i], good, before = 't', false, before + 1
    end
  end
  if before == #users then
    for _, e in ipairs(call('LRANGE', takes, -4, -1)) do
      if string.sub(e, 8) == ARGV[4] then
        local a, b, c, d, e, f = byte(e, 2, 7)
        return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
      end
    end
  end
end
local function row(first, from, to)
  local b, low, high = {byte(stored, first + 1, first + 128)}, nil, nil
  for i = from, to do
    local at = users[i] % 8
    high = (users[i] - at) / 8 - first + 1
    low = low or high
    b[high] = (b[high] or 0) + masks[at + 1]
  end
  for i = low, high do
    b[i] = b[i] or 0
  end
  return low, string.char(unpack(b, low, high))
end
local function bits(taken, to)
  local i = 1
  while i <= #users do
    local done
    if stored then
      local last, first = i, floor(users[i] / 1024) * 128
      while users[last + 1] and users[last + 1] < first * 8 + 1024 do
        last = last + 1
      end
      local low, new = row(first, i, last)
      if to == 0 then
        local old = string.sub(stored, first + low, first + low + #new - 1)
        new = old .. string.rep('\0', #new - #old)
      end
      done, i = try('SETRANGE', taken, first + low - 1, new), last + 1
    else
      done, i = try('SETBIT', taken, users[i], to), i + 1
    end
    if type(done) == 'table' then
      return done
    end
  end
end
local function whole(key, from, to, stamp)
  local old = try('GETRANGE', key, 0, -1)
  if type(old) == 'table' then
    return old
  end
  if old == '' then
    old = string.rep('\0', 6144)
  end
  local parts, at = {}, 0
  for i = from, to do
    local place = users[i] % 1024 * 6
    if place > at then
      parts[#parts + 1] = string.sub(old, at + 1, place)
    end
    parts[#parts + 1], at = stamp, place + 6
  end
  parts[#parts + 1] = string.sub(old, at + 1)
  return try('SETRANGE', key, 0, table.concat(parts))
end
local function single(key, from, to, stamp)
  local done = try('STRLEN', key)
  if done == 0 then
    done = try('SETRANGE', key, 6138, '\0\0\0\0\0\0')
  end
  for i = from, to do
    if type(done) == 'table' then
      return done
    end
    done = try('SETRANGE', key, users[i] % 1024 * 6, stamp)
  end
  return done
end
local function times(segments, stamp)
  local key, i = segments, 1
  while i <= #users do
    local last, beyond = i, floor(users[i] / 1024) * 1024 + 1024
    while users[last + 1] and users[last + 1] < beyond do
      last = last + 1
    end
    local done = (last - i < 32 and single or whole)(KEYS[key], i, last, stamp)
    if type(done) == 'table' then
      return done
    end
    key, i = key + 1, last + 1
  end
end
local function tidy(from, to)
  for i = from, to do
    if try('BITPOS', KEYS[i], 1) == -1 then
      try('DEL', KEYS[i])
    end
  end
end
local function write(taken, takes, count)
  local at = stamp(ms)
  local failed = times(takes + 1, at)
  if not failed then
    failed = bits(KEYS[taken], 1)
    if not failed then
      failed = count and count(1)
      if not failed then
        local done = try('RPUSH', KEYS[takes], '\2' .. at .. ARGV[4])
        if type(done) ~= 'table' then
          return ms
        end
        failed = done
        if count then
          count(-1)
        end
      end
    end
    bits(KEYS[taken], 0)
    tidy(taken, taken)
  end
  times(takes + 1, '\0\0\0\0\0\0')
  tidy(takes + 1, #KEYS)
  return failed
end
`

const takeScript = judgeLua + takeLua + `
local fenced = judge(KEYS[1], KEYS[2], KEYS[3], KEYS[4], 4)
if fenced then
  return fenced
end
local before = refuse(KEYS[5], KEYS[6])
if before then
  return before
end
if not good then
  return reply()
end
return write(5, 6)`

const judgeScript = judgeLua + `
local fenced = judge(KEYS[1], KEYS[2], KEYS[3], KEYS[4], 2)
return fenced or {string.format('%.0f', ms), reply()}`

// countLua adds the size users of a call to the counter of a quota, or takes them away, and returns what failed.
const countLua = `  local done = try('HINCRBY', KEYS[2], 'taken', sign * size)
  if type(done) ~= 'table' and sign == 1 and n == limit then
    done = try('HSET', KEYS[2], 'full_at', string.format('%.0f', ms))
    if type(done) == 'table' then
      try('HINCRBY', KEYS[2], 'taken', -size)
    end
  elseif done == 0 then
    try('DEL', KEYS[2])
  elseif n == limit then
    try('HDEL', KEYS[2], 'full_at')
  end
  return type(done) == 'table' and done`

const quotaScript = usersLua + takeLua + `
local stored = call('HGET', KEYS[1], 'hash')
if stored ~= ARGV[1] then
  return {err = 'FENCED spec ' .. tostring(stored)}
end
local before = refuse(KEYS[3], KEYS[4])
if before then
  return before
end
if ms >= tonumber(ARGV[6]) then
  return 0
end
local limit, n = tonumber(ARGV[5]), tonumber(call('HGET', KEYS[2], 'taken') or 0)
for i = 1, #users do
  if not letters[i] then
    n = n + 1
    if n > limit then
      letter(i, 'q')
    end
  end
end
if not good then
  return reply()
end
local size = #users
return write(3, 4, function(sign)
` + countLua + `
end)`

var (
	takeCall  = newScript(takeScript)
	judgeCall = newScript(judgeScript)
	quotaCall = newScript(quotaScript)
)
