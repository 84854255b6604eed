-- shard_put: store records of a shard, in order and with ids in a row.
-- KEYS 1 clk  2 d: stream of records, each one field: partition key -> data
--      3 m: hash s 'o' open or 'c' closed, ms and n of the last id, big: bytes of the largest record ever,
--        ts tc tb: a second, and the records and bytes taken in it, tm tn: the newest id that was trimmed
--      4 new: stream whose one entry has the id of the newest record; watchers wait on it
--      5-7 stored calls, hashes used in turn: call -> `ms n accepted`
-- ARGV 1 call: made by the caller, names this put  2 issued: the lease time the caller last saw, or ''
--      3 records and 4 bytes that the shard takes in a second, or ''  5.. partition key, data, …
-- Answers {'OK', lease, ms and n of the first id, accepted} | {'STALE', lease} | {'CLOSED', lease} | {'MISSING', 0}
-- What exceeds a limit is not accepted, nor is what follows it. Ids go by the server's wall clock and never back.
-- Harmless to repeat: a call is remembered for 120 s of lease time, and one older than 60 s stores nothing.
--!intake
local m = redis.call('HMGET', KEYS[3], 's', 'ms', 'n', 'big', 'ts', 'tc', 'tb')
if not m[1] then
  return {'MISSING', 0}
end
--!include _lease_clock
local tombs = {KEYS[5], KEYS[6], KEYS[7]}
--!include _tombstones
for i = 1, 3 do
  local known = redis.call('HGET', tombs[i], ARGV[1])
  if known then
    local ms, n, count = string.match(known, '^(%d+) (%d+) (%d+)$')
    return {'OK', now, tonumber(ms), tonumber(n), tonumber(count)}
  end
end
if m[1] == 'c' then
  return {'CLOSED', now}
end
if ARGV[2] ~= '' and now - tonumber(ARGV[2]) > 60000 then
  return {'STALE', now}
end
local ms, n = tonumber(m[2]), tonumber(m[3]) + 1
if wall > ms then
  ms, n = wall, 0
end
local id = string.format('%.0f', ms) .. '-'
local second, records, bytes = math.floor(ms / 1000), 0, 0
if tonumber(m[5]) == second then
  records, bytes = tonumber(m[6]), tonumber(m[7])
end
local most_records, most_bytes = tonumber(ARGV[3]) or math.huge, tonumber(ARGV[4]) or math.huge
local big, count = tonumber(m[4] or 0), 0
for i = 5, #ARGV, 2 do
  local size = #ARGV[i] + #ARGV[i + 1]
  if records + 1 > most_records or bytes + size > most_bytes then
    break
  end
  records, bytes, big = records + 1, bytes + size, math.max(big, size)
  redis.call('XADD', KEYS[2], id .. (n + count), ARGV[i], ARGV[i + 1])
  count = count + 1
end
local first = string.format('%.0f', ms)
redis.call('HSET', tomb, ARGV[1], first .. ' ' .. n .. ' ' .. count)
redis.call('PEXPIRE', tomb, 3600000)
if count > 0 then
  redis.call('HSET', KEYS[3], 'ms', first, 'n', n + count - 1, 'big', big, 'ts', second, 'tc', records, 'tb', bytes)
  redis.call('XADD', KEYS[4], 'MAXLEN', '1', id .. (n + count - 1), 'r', '')
end
return {'OK', now, ms, n, count}
