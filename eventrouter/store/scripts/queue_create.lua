-- queue_create: create a queue unless it exists.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 generation: made by the caller, names this life of the queue
--      4.. the settings, as field and value
-- Answers {'OK', lease, fields and values of the queue that exists now} | {'DELETED', lease} within 60 s of its
--         deletion. Lease is 0 where the clock was not read.
-- Intake. Harmless to repeat: a queue that exists is left as it is.
--!intake
--!include _queue
if redis.call('EXISTS', Q) == 0 then
--!include _lease_clock
--!include _witness
  local gone = redis.call('HMGET', GONE, 'at', 'wall')
  if gone[1] and now - gone[1] < 60000 and agreed - (gone[2] or agreed) < 60000 then return {'DELETED', now} end
  redis.call('HSET', Q, 'generation', ARGV[3], 'revision', 1, 'created_at_ms', text(agreed))
  redis.call('HSET', Q, 'modified_at_ms', text(agreed))
  for i = 4, #ARGV, 2 do redis.call('HSET', Q, ARGV[i], ARGV[i + 1]) end
  redis.call('DEL', GONE)
  redis.call('PERSIST', CLK)
end
return {'OK', 0, redis.call('HGETALL', Q)}
