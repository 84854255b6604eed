-- Passage: delete a record. KEYS as _record_check. ARGV 1 key  2 expected revision  3 floor: a field of meta
-- Answers {'NONE'} if there is no such record | {'CONFLICT', revision}, or deletes it and goes on with `revision`.
-- The deletion has a revision of its own, so that other nodes read it. At most 1,000 deletions are kept: the floor
-- is the newest one dropped, and whoever has seen less reads everything.
local key = ARGV[1]
if redis.call('HEXISTS', KEYS[1], key) == 0 then
  return {'NONE'}
end
local revision = tonumber(redis.call('ZSCORE', KEYS[2], key))
if revision ~= tonumber(ARGV[2]) then
  return {'CONFLICT', revision}
end
revision = redis.call('INCR', KEYS[4])
redis.call('HDEL', KEYS[1], key)
redis.call('ZADD', KEYS[2], revision, key)
redis.call('ZADD', KEYS[3], revision, key)
if redis.call('ZCARD', KEYS[3]) > 1000 then
  local oldest = redis.call('ZPOPMIN', KEYS[3])
  redis.call('ZREM', KEYS[2], oldest[1])
  redis.call('HSET', KEYS[5], ARGV[3], oldest[2])
end
