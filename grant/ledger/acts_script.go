package ledger

// actScript does what somebody decided about users of one chunk: all of it or nothing. What an act makes of a user is
// grant.UserState.After's to say, before the call; the script makes sure that it was asked about what is there.
//
//	KEYS  granted excluded journal state calls, and bitmaps in which none of the users may be
//	ARGV  hash of the spec, not before, not from then on (Unix milliseconds, by the clock of this Redis),
//	      entry without its first 7 bytes, offsets of the users (2 bytes each, big-endian),
//	      place before and after: 0 none, 1 granted, 2 excluded, or empty: whatever it is, it stays;
//	      (state before, state after)…, in the order of the users, or nothing at all: empty is none
//
// The reply is 1, or 0 when something is not as it was before. So an act that is sent twice is done once: its caller looks
// again, and finds it. Another spec than that of the chunk, and another time, are refused as the chunk script does.
//
// When a write fails, those before it are taken back by the commands that made them. The first HDEL finds out whether that
// is allowed.
const actScript = `
local call, try, byte, floor = redis.call, redis.pcall, string.byte, math.floor
local granted, excluded, journal, state, calls = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local offsets, before, after = ARGV[5], ARGV[6], ARGV[7]
local spec = call('HGET', calls, 'spec')
if spec and spec ~= ARGV[1] then
  return {err = 'FENCED spec ' .. spec}
end
local time = call('TIME')
local ms = time[1] * 1000 + floor(time[2] / 1000)
if ms < tonumber(ARGV[2]) or ms >= tonumber(ARGV[3]) then
  return {err = string.format('FENCED time %.0f', ms)}
end
local users = {}
for i = 1, #offsets, 2 do
  local hi, lo = byte(offsets, i, i + 1)
  local user = hi * 256 + lo
  users[#users + 1] = user
  local place = call('GETBIT', granted, user) + call('GETBIT', excluded, user)
  if before ~= '' and tostring(place) ~= before then
    return 0
  end
  for k = 6, #KEYS do
    if call('GETBIT', KEYS[k], user) == 1 then
      return 0
    end
  end
  if #ARGV > 7 and (call('HGET', state, tostring(user)) or '') ~= ARGV[6 + 2 * #users] then
    return 0
  end
end
call('HDEL', state, '')
` + writeLua + `local failed = not spec and write({'HDEL', calls, 'spec'}, 'HSET', calls, 'spec', ARGV[1])
for i, user in ipairs(users) do
  if before == '0' and after ~= before and not failed then
    failed = write({'SETBIT', granted, user, 0}, 'SETBIT', granted, user, 1)
  end
  if after == '2' and before ~= after and not failed then
    failed = write({'SETBIT', excluded, user, 0}, 'SETBIT', excluded, user, 1)
  end
  if before == '2' and after == '1' and not failed then
    failed = write({'SETBIT', excluded, user, 1}, 'SETBIT', excluded, user, 0)
  end
  if #ARGV > 7 and not failed then
    local field, old, new = tostring(user), ARGV[6 + 2 * i], ARGV[7 + 2 * i]
    failed = write(old == '' and {'HDEL', state, field} or {'HSET', state, field, old}, 'HSET', state, field, new)
  end
  if failed then
    return failed
  end
end
local stamp = ''
for _ = 1, 6 do
  stamp, ms = string.char(ms % 256) .. stamp, floor(ms / 256)
end
failed = write({}, 'RPUSH', journal, string.char(2) .. stamp .. ARGV[4])
if failed then
  return failed
end
return 1`

// writeLua has write, which makes a write and notes the command that takes it back. When a write fails, it takes back those
// before it, the last one first, removes what of the first two keys, bitmaps, is empty then, and returns the error.
const writeLua = `local undo = {}
local function write(back, ...)
  local done = try(...)
  if type(done) == 'table' and done.err then
    for i = #undo, 1, -1 do
      try(unpack(undo[i]))
    end
    for i = 1, 2 do
      if try('BITPOS', KEYS[i], 1) == -1 then
        try('DEL', KEYS[i])
      end
    end
    return done
  end
  undo[#undo + 1] = back
end
`

var actCall = newScript(actScript)
