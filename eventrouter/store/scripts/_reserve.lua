-- Passage, after _slots: set the reservation of `key` from `before` (false: none) to `after` ('': none), by `change`
-- in `sum`. KEYS[6] lim, KEYS[7] use.
if after ~= '' then
  redis.call('HSET', KEYS[6], key, after)
else
  redis.call('HDEL', KEYS[6], key)
end
count(KEYS[6], sum, change)
local running = tonumber(redis.call('HGET', KEYS[7], key) or 0)
if not before and after ~= '' then
  count(KEYS[7], '_u:' .. pool(key), -running)
elseif before and after == '' then
  count(KEYS[7], '_u:' .. pool(key), running)
end
