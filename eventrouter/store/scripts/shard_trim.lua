-- shard_trim: drop expired records, about 2,000 at most.
-- KEYS 1 m  2 d
-- ARGV 1 horizon and 2 wall as in shard_read
-- Answers {'MORE'} if there may be more to drop | {'OK', records that stay} | {'MISSING'}
-- Whole nodes of the stream go first; when none is left to drop, what has expired is within one node.
--!include _release
if redis.call('HEXISTS', KEYS[1], 's') == 0 then
  return {'MISSING'}
end
local time = redis.call('TIME')
local wall = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local horizon = tonumber(ARGV[1]) - math.max(0, tonumber(ARGV[2]) - wall)
if horizon > 0 then
  local oldest = string.format('%.0f', horizon) .. '-0'
  local expired = redis.call('XREVRANGE', KEYS[2], '(' .. oldest, '-', 'COUNT', 1)
  if #expired > 0 then
    local ms, n = string.match(expired[1][1], '^(%d+)-(%d+)$')
    redis.call('HSET', KEYS[1], 'tm', ms, 'tn', n)
    if redis.call('XTRIM', KEYS[2], 'MINID', '~', oldest, 'LIMIT', 2000) > 0 then
      return {'MORE'}
    end
    redis.call('XTRIM', KEYS[2], 'MINID', '=', oldest)
  end
end
return {'OK', redis.call('XLEN', KEYS[2])}
