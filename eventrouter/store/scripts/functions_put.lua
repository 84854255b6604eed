-- functions_put: store a function's record if nobody has changed it meanwhile, and its reservation with it.
-- KEYS 1-5 as _record_check  6 lim  7 use
-- ARGV 1-5 as _record_check  6 reserved concurrency or ''  7 account limit  8 minimum that stays unreserved
-- Answers as _record_check | {'RESERVED', unreserved}
--!intake
--!include _record_check
--!include _slots
local before, after = redis.call('HGET', KEYS[6], key), ARGV[6]
local sum = '_r:' .. pool(key)
local change = (tonumber(after) or 0) - tonumber(before or 0)
if change > 0 then
  local left = tonumber(ARGV[7]) - tonumber(redis.call('HGET', KEYS[6], sum) or 0)
  if left - change < tonumber(ARGV[8]) then
    return {'RESERVED', left}
  end
end
--!include _record_write
--!include _reserve
return {'OK', revision}
