-- shard_last: tell the newest record of a shard.
-- KEYS 1 m  2 d
-- Answers {'OK', ms and n of its id} | {'NONE'} if no record is retained | {'MISSING'}
local m = redis.call('HMGET', KEYS[1], 's', 'ms', 'n')
if not m[1] then
  return {'MISSING'}
end
if redis.call('XLEN', KEYS[2]) == 0 then
  return {'NONE'}
end
return {'OK', tonumber(m[2]), tonumber(m[3])}
