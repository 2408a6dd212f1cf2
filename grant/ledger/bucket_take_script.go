package ledger

// The scripts by which users of a bucket take an item. All users of a call are of one bucket, and were looked at before: either
// all of them take it, or nothing is changed.
//
//	bucketTakeCall   KEYS  journal calls, taken takes
//	                 ARGV  spec, not from then on, entry, entries seen, 0, members
//	bucketJudgeCall  KEYS  journal calls
//	                 ARGV  spec, entries seen
//	bucketQuotaCall  KEYS  spec first, taken takes
//	                 ARGV  spec, not from then on, entry, until when the users count as judged, how many may take it, members
//
// taken is a hash: when each member took the item, in 6 bytes; takes is the list of entries. The rest is as in the scripts of
// chunks. Whether the users may take the item was read out of the bucket: whoever changes that appends an entry, so while there
// are as many as were seen, it is so. Where an item has a quota, bucketJudgeCall says at what time it still was.
//
// The reply is the time in Unix milliseconds when all took it, or when this very call was applied before; or 0, when they have to
// be looked at again; else a letter for each user (see letters). That of bucketJudgeCall is a list with the time, or 0. When a
// write fails, those before it are taken back by the commands that made them; the first HDEL finds out whether that is allowed.

// membersLua keeps what stands in the way of members, and knows the call that was applied before.
const membersLua = `
local call, try, byte, floor = redis.call, redis.pcall, string.byte, math.floor
local taken, takes, first = KEYS[3], KEYS[4], 6
local now = call('TIME')
local ms = now[1] * 1000 + floor(now[2] / 1000)
local letters, good = {}, true
local function letter(i, what)
  if letters[i] == '.' then
    letters[i], good = what, false
  end
end
local function refuse()
  local before = 0
  for i = first, #ARGV do
    local n = i - first + 1
    letters[n] = '.'
    if call('HEXISTS', taken, ARGV[i]) == 1 then
      letter(n, 't')
      before = before + 1
    elseif ms >= tonumber(ARGV[2]) then
      letter(n, 'l')
    end
  end
  if before == #letters then
    for _, e in ipairs(call('LRANGE', takes, -4, -1)) do
      if string.sub(e, 8) == ARGV[3] then
        local a, b, c, d, e, f = byte(e, 2, 7)
        return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
      end
    end
  end
end
local function write(count)
  local hi, lo = floor(ms / 4294967296), ms % 4294967296
  local at = string.char(floor(hi / 256), hi % 256, floor(lo / 16777216), floor(lo / 65536) % 256, floor(lo / 256) % 256,
    lo % 256)
  call('HDEL', taken, '')
  local failed, last = nil, #ARGV
  for i = first, #ARGV do
    local done = try('HSET', taken, ARGV[i], at)
    if type(done) == 'table' then
      failed, last = done, i - 1
      break
    end
  end
  if not failed then
    failed = count and count(1)
    if not failed then
      local done = try('RPUSH', takes, '\3' .. at .. ARGV[3])
      if type(done) ~= 'table' then
        return ms
      end
      failed = done
      if count then
        count(-1)
      end
    end
  end
  for i = first, last do
    try('HDEL', taken, ARGV[i])
  end
  return failed
end
`

const bucketTakeScript = membersLua + `
local stored = call('HGET', KEYS[2], 'spec')
if stored and stored ~= ARGV[1] then
  return {err = 'FENCED spec ' .. stored}
end
local before = refuse()
if before then
  return before
end
if call('LLEN', KEYS[1]) ~= tonumber(ARGV[4]) then
  return 0
end
return good and write() or table.concat(letters)`

const bucketJudgeScript = `
local stored = redis.call('HGET', KEYS[2], 'spec')
if stored and stored ~= ARGV[1] then
  return {err = 'FENCED spec ' .. stored}
end
if redis.call('LLEN', KEYS[1]) ~= tonumber(ARGV[2]) then
  return 0
end
local now = redis.call('TIME')
return {string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))}`

const bucketQuotaScript = membersLua + `
local stored = call('HGET', KEYS[1], 'hash')
if stored ~= ARGV[1] then
  return {err = 'FENCED spec ' .. tostring(stored)}
end
local before = refuse()
if before then
  return before
end
if ms >= tonumber(ARGV[4]) then
  return 0
end
local limit, n = tonumber(ARGV[5]), tonumber(call('HGET', KEYS[2], 'taken') or 0)
for i = 1, #letters do
  if letters[i] == '.' then
    n = n + 1
    if n > limit then
      letter(i, 'q')
    end
  end
end
if not good then
  return table.concat(letters)
end
local size = #letters
return write(function(sign)
` + countLua + `
end)`

var (
	bucketTakeCall  = newScript(bucketTakeScript)
	bucketJudgeCall = newScript(bucketJudgeScript)
	bucketQuotaCall = newScript(bucketQuotaScript)
)
