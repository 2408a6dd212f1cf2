package ledger

// bucketScript appends an entry to a bucket, if its caller has seen all that are there, and otherwise changes nothing and returns
// the first of those that the caller has not seen. It is optimistic because shards remember what they have seen: others write
// only where there are several replicas, or after a restart.
//
//	KEYS  journal calls
//	ARGV  entries seen, members, entry without its first 7 bytes, hash of the spec, not before, not from then on (Unix
//	      milliseconds, by the clock of this Redis), entries to return at most, members that a bucket may have
//
// The reply is 1 when the entry was appended, or else the entries. Those that its own call appended before it was sent again are
// among them. Fewer than the caller has seen are {-1, how many}, and a bucket that is full is {-2, members}. A call under another
// spec than that of the first grant of the bucket, or outside of its time, is refused, as in chunkScript.
//
// Nothing is changed when anything fails: each write is taken back by the command that made it.
const bucketScript = `
local call, try = redis.call, redis.pcall
local seen, members = tonumber(ARGV[1]), tonumber(ARGV[2])
local entries = call('LLEN', KEYS[1])
if entries < seen then
  return {-1, entries}
end
if entries > seen then
  return call('LRANGE', KEYS[1], seen, seen + ARGV[7] - 1)
end
local known = call('HMGET', KEYS[2], 'spec', 'count')
local spec, count = known[1], tonumber(known[2] or 0)
if spec and spec ~= ARGV[4] then
  return {err = 'FENCED spec ' .. spec}
end
local now, floor = call('TIME'), math.floor
local ms = now[1] * 1000 + floor(now[2] / 1000)
if ms < tonumber(ARGV[5]) or ms >= tonumber(ARGV[6]) then
  return {err = string.format('FENCED time %.0f', ms)}
end
if count + members > tonumber(ARGV[8]) then
  return {-2, count}
end
if spec then
  call('HSET', KEYS[2], 'count', count + members)
else
  call('HSET', KEYS[2], 'count', count + members, 'spec', ARGV[4])
end
local hi, lo = floor(ms / 4294967296), ms % 4294967296
local done = try('RPUSH', KEYS[1], string.char(3, floor(hi / 256), hi % 256,
  floor(lo / 16777216), floor(lo / 65536) % 256, floor(lo / 256) % 256, lo % 256) .. ARGV[3])
if type(done) == 'table' then
  try('HSET', KEYS[2], 'count', count)
  if not spec then
    try('DEL', KEYS[2])
  end
  return done
end
return 1`

var bucketCall = newScript(bucketScript)
