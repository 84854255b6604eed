-- queue_change: set a queue's settings, if nobody has since the caller read them.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 token: made by the caller, names this change   4 the revision it read
--      5 '1' if users shall see when it was   6.. the settings, as field and value
-- Answers {'OK', lease, fields and values of the queue} | {'CONFLICT', lease} | {'MISSING', 0}
-- Intake. Harmless to repeat: a change is made at one revision only, and its token tells who made it.
--!intake
--!include _queue
local stored = redis.call('HMGET', Q, 'generation', 'revision', 'changed_by')
if not stored[1] then return {'MISSING', 0} end
--!include _lease_clock
--!include _witness
local revision = tonumber(stored[2] or 1)
if stored[3] ~= ARGV[3] or revision ~= ARGV[4] + 1 then
  if revision ~= tonumber(ARGV[4]) then return {'CONFLICT', now} end
  redis.call('HSET', Q, 'revision', revision + 1, 'changed_by', ARGV[3])
  if ARGV[5] == '1' then redis.call('HSET', Q, 'modified_at_ms', text(agreed)) end
  for i = 6, #ARGV, 2 do redis.call('HSET', Q, ARGV[i], ARGV[i + 1]) end
end
return {'OK', now, redis.call('HGETALL', Q)}
