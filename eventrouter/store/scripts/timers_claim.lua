-- timers_claim: take timers that are due for a while, so that one node acts on each of them.
-- KEYS 1 values: timer -> text   2 due: timer -> when to look at it, wall ms
-- ARGV 1 wall: the caller's wall time   2 for how many ms they are taken   3 how many at most (100)
-- Answers {'OK', agreed wall time, when the next one is due or -1, timer, its value, …}
-- Due is what both clocks have passed, so one wrong clock makes nothing early. A timer that nobody moves is due again
-- when the time it was taken for is over: after a lost answer, too.
--!include _release
local time = redis.call('TIME')
local wall = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local agreed = math.min(wall, tonumber(ARGV[1]))
local answer = {'OK', agreed, -1}
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', agreed), 'LIMIT', 0, tonumber(ARGV[3]))
for _, timer in ipairs(found) do
  local value = redis.call('HGET', KEYS[1], timer)
  if value then
    redis.call('ZADD', KEYS[2], string.format('%.0f', agreed + tonumber(ARGV[2])), timer)
    answer[#answer + 1] = timer
    answer[#answer + 1] = value
  else
    redis.call('ZREM', KEYS[2], timer)
  end
end
local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if head[2] then answer[3] = tonumber(head[2]) end
return answer
