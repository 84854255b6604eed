-- Passage: lease time. KEYS[1] is the tag's clock, a hash: w last wall, l lease now, p tombstone period.
-- Gives `wall` and `now` in ms. A step of the wall clock moves lease time by 0 to 2,000 ms, whatever its size.
local time = redis.call('TIME')
local wall = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local clock = redis.call('HMGET', KEYS[1], 'w', 'l', 'p')
local now = tonumber(clock[2] or wall)
local step = wall - tonumber(clock[1] or wall)
now = now + math.max(0, math.min(step, 2000))
if step ~= 0 or not clock[1] then
  redis.call('HSET', KEYS[1], 'w', string.format('%.0f', wall), 'l', string.format('%.0f', now))
end
