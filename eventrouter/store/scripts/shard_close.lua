-- shard_close: let a shard take no more records, and tell whoever waits for one.
-- KEYS 1 m  2 new
-- Answers {'OK', ms and n of the last id, or of the one that it was opened after} (now or before) | {'MISSING'}
--!include _release
local m = redis.call('HMGET', KEYS[1], 's', 'ms', 'n')
if not m[1] then
  return {'MISSING'}
end
if m[1] == 'o' then
  redis.call('HSET', KEYS[1], 's', 'c')
  redis.call('XADD', KEYS[2], 'MAXLEN', '1', m[2] .. '-' .. (tonumber(m[3]) + 1), 'r', '')
end
return {'OK', tonumber(m[2]), tonumber(m[3])}
