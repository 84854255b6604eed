-- functions_put: store a function's record if nobody has changed it meanwhile, and its reservation with it.
-- KEYS 1 functions  2 frev  3 gone  4 rev  5 lim  6 use  7 meta
-- ARGV 1 function  2 expected revision (0: must not exist)  3 seen: the newest revision this node knows
--      4 record, JSON  5 reserved concurrency or ''  6 account limit  7 minimum that stays unreserved
-- Answers {'OK', revision} | {'CONFLICT', revision or 0} | {'BEHIND', newest revision} | {'RESERVED', unreserved}
-- A record equal to the stored one was stored by an earlier run of this call. A creation by a node that has not
-- seen a later deletion is BEHIND: it may be a late duplicate of the creation that was deleted.
--!intake
--!include _slots
local fn, expected, seen, record = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local stored = redis.call('HGET', KEYS[1], fn)
local revision = tonumber(stored and redis.call('ZSCORE', KEYS[2], fn) or 0)
if stored == record and revision > expected then
  return {'OK', revision}
end
if revision ~= expected then
  return {'CONFLICT', revision}
end
if not stored then
  local newest = tonumber(redis.call('ZSCORE', KEYS[3], fn) or redis.call('HGET', KEYS[7], 'floor') or 0)
  if newest > seen then
    return {'BEHIND', newest}
  end
end
local before, after = redis.call('HGET', KEYS[5], fn), ARGV[5]
local sum = '_r:' .. pool(fn)
local change = (tonumber(after) or 0) - tonumber(before or 0)
if change > 0 then
  local left = tonumber(ARGV[6]) - tonumber(redis.call('HGET', KEYS[5], sum) or 0)
  if left - change < tonumber(ARGV[7]) then
    return {'RESERVED', left}
  end
end
revision = redis.call('INCR', KEYS[4])
redis.call('HSET', KEYS[1], fn, record)
redis.call('ZADD', KEYS[2], revision, fn)
redis.call('ZREM', KEYS[3], fn)
--!include _reserve
return {'OK', revision}
