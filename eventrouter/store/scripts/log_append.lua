-- log_append: store entries of a log group, then drop what is too old or beyond the group's bytes.
-- KEYS 1 d    stream of entries: s log stream, f and l first and last time of its lines, e lines as JSON
--      2 meta hash: created_at_ms, bytes, max_bytes, retention_ms
--      3 st   hash log stream -> {n entries, c created, f first event, l last event, i last ingested}
--      4 sz   list of "ms size stream", one per entry of d, in its order
--      5 ap   zset token of an append -> wall time
-- ARGV 1 token: made by the caller, names this append   2 wall: the caller's wall time
--      3 max_bytes   4 retention (ms)   5.. entries (100 at most), five each: log stream, first and last time of
--      its lines, size in bytes, lines
-- Answers {'OK' | 'DUP', 1 if the group is new}
-- Harmless to repeat within a minute: a token stores once. Drops at most 200 entries a call, twice what one adds.
--!intake
local D, META, ST, SZ, AP = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local t = redis.call('TIME')
local wall = math.min(t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[2]))
local stamp = string.format('%.0f', wall)

if redis.call('ZADD', AP, 'NX', stamp, ARGV[1]) == 0 then return {'DUP', 0} end
for _, token in ipairs(redis.call('ZRANGEBYSCORE', AP, '-inf', string.format('%.0f', wall - 60000), 'LIMIT', 0, 100)) do
  redis.call('ZREM', AP, token)
end
local created = redis.call('HSETNX', META, 'created_at_ms', stamp)
redis.call('HSET', META, 'max_bytes', ARGV[3], 'retention_ms', ARGV[4])

local bytes = tonumber(redis.call('HGET', META, 'bytes') or 0)
for i = 5, #ARGV, 5 do
  local stream, first, last, size = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local id = redis.call('XADD', D, '*', 's', stream, 'f', ARGV[i + 1], 'l', ARGV[i + 2], 'e', ARGV[i + 4])
  redis.call('RPUSH', SZ, string.match(id, '^%d+') .. ' ' .. size .. ' ' .. stream)
  bytes = bytes + size
  local stored = redis.call('HGET', ST, stream)
  local record = stored and cjson.decode(stored) or {n = 0, c = wall, f = first, l = last}
  record.n = record.n + 1
  record.f = math.min(record.f, first)
  record.l = math.max(record.l, last)
  record.i = wall
  redis.call('HSET', ST, stream, cjson.encode(record))
end

local dropped = 0
for _, item in ipairs(redis.call('LRANGE', SZ, 0, 199)) do
  local at, size, stream = string.match(item, '^(%d+) (%d+) (.*)$')
  if tonumber(at) >= wall - ARGV[4] and bytes <= tonumber(ARGV[3]) then break end
  dropped = dropped + 1
  bytes = bytes - size
  local record = cjson.decode(redis.call('HGET', ST, stream))
  record.n = record.n - 1
  if record.n == 0 then
    redis.call('HDEL', ST, stream)
  else
    redis.call('HSET', ST, stream, cjson.encode(record))
  end
end
if dropped > 0 then
  redis.call('LTRIM', SZ, dropped, -1)
  redis.call('XTRIM', D, 'MAXLEN', redis.call('XLEN', D) - dropped)
end
redis.call('HSET', META, 'bytes', string.format('%.0f', bytes))
return {'OK', created}
