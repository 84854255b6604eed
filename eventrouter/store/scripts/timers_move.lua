-- timers_move: set, move and remove timers, each by compare-and-set on its value.
-- KEYS 1 values: timer -> text   2 due: timer -> when to look at it, wall ms
-- ARGV 1 how many timers there may be, 0 for any number
--      2.. groups of four: timer, its value ('' if there must be none), its new value ('' to remove it), when due, ms
-- Answers {'OK', when the next one is due or -1, for each group 1 if it was moved and 0 if not}
-- Takes no room but for what is new, which the caller bounds: it must work on a full server. Harmless to repeat: a
-- value that has moved on is left as it is.
--!include _release
local room = tonumber(ARGV[1])
local answer = {'OK', -1}
for i = 2, #ARGV, 4 do
  local timer, old, new = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local moved = 0
  if (redis.call('HGET', KEYS[1], timer) or '') == old then
    if new == '' then
      redis.call('HDEL', KEYS[1], timer)
      redis.call('ZREM', KEYS[2], timer)
      moved = 1
    elseif old ~= '' or room == 0 or redis.call('HLEN', KEYS[1]) < room then
      redis.call('HSET', KEYS[1], timer, new)
      redis.call('ZADD', KEYS[2], ARGV[i + 3], timer)
      moved = 1
    end
  end
  answer[#answer + 1] = moved
end
local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if head[2] then answer[2] = tonumber(head[2]) end
return answer
