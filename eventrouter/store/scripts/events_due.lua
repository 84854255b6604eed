-- events_due: tick the partition's clock and say which functions have an event due.
-- KEYS 1 clock  2 idx  3 hold  4-6 tombstones
-- Answers {'OK', now, ms until the next function is due or -1, function…}; at most 16 functions, longest due first.
-- Drops holds that have passed and hold nothing back.
--!include _release
--!include _lease_clock
local tombs = {KEYS[4], KEYS[5], KEYS[6]}
--!include _tombstones
local score = string.format('%.0f', now)
for _, fn in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', score, 'LIMIT', 0, 16)) do
  if not redis.call('ZSCORE', KEYS[2], fn) then
    redis.call('ZREM', KEYS[3], fn)
  end
end
local answer = {'OK', now, -1}
for _, fn in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', score, 'LIMIT', 0, 16)) do
  answer[#answer + 1] = fn
end
local later = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. score, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if later[2] then
  answer[3] = tonumber(later[2]) - now
end
return answer
