-- Passage, after _slots: set the reservation of `fn` from `before` (false: none) to `after` ('': none), by `change`
-- in `sum`. KEYS[5] lim, KEYS[6] use.
if after ~= '' then
  redis.call('HSET', KEYS[5], fn, after)
else
  redis.call('HDEL', KEYS[5], fn)
end
count(KEYS[5], sum, change)
local running = tonumber(redis.call('HGET', KEYS[6], fn) or 0)
if not before and after ~= '' then
  count(KEYS[6], '_u:' .. pool(fn), -running)
elseif before and after == '' then
  count(KEYS[6], '_u:' .. pool(fn), running)
end
