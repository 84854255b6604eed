-- functions_delete: remove a function's record and its reservation.
-- KEYS 1 functions  2 frev  3 gone  4 rev  5 lim  6 use  7 meta
-- ARGV 1 function  2 expected revision
-- Answers {'OK', revision} | {'NONE'} if there is no such function | {'CONFLICT', revision}
-- The deletion has a revision of its own, so that other nodes read it. At most 1,000 deletions are kept: `floor` in
-- meta is the newest one dropped, and whoever has seen less reads everything.
--!include _release
local fn = ARGV[1]
if redis.call('HEXISTS', KEYS[1], fn) == 0 then
  return {'NONE'}
end
local revision = tonumber(redis.call('ZSCORE', KEYS[2], fn))
if revision ~= tonumber(ARGV[2]) then
  return {'CONFLICT', revision}
end
--!include _slots
revision = redis.call('INCR', KEYS[4])
redis.call('HDEL', KEYS[1], fn)
redis.call('ZADD', KEYS[2], revision, fn)
redis.call('ZADD', KEYS[3], revision, fn)
local before, after = redis.call('HGET', KEYS[5], fn), ''
local sum, change = '_r:' .. pool(fn), -tonumber(before or 0)
--!include _reserve
if redis.call('ZCARD', KEYS[3]) > 1000 then
  local oldest = redis.call('ZPOPMIN', KEYS[3])
  redis.call('ZREM', KEYS[2], oldest[1])
  redis.call('HSET', KEYS[7], 'floor', oldest[2])
end
return {'OK', revision}
