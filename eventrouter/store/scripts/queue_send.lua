-- queue_send: store a message.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 id: made by the caller   4 body   5 extras, or ''   6 sender
--      7 size: bytes that count against the maximum   8 delay (ms), -1 for the queue's
--      9 keep: how long (ms) to remember the id once the message is deleted
-- Answers {'OK', lease, delay that applied} | {'DUP', lease, 0} if the id is or was here
--         | {'LARGE', 0, the queue's maximum} | {'MISSING', 0}
-- Intake: a deny-oom write comes first. Harmless to repeat: see DUP.
--!intake
--!include _queue
local settings = redis.call('HMGET', Q, 'delay_ms', 'max_bytes')
if not settings[1] then return {'MISSING', 0} end
if tonumber(ARGV[7]) > tonumber(settings[2]) then return {'LARGE', 0, tonumber(settings[2])} end
--!include _lease_clock
--!include _witness
local id = ARGV[3]
if redis.call('HEXISTS', M, id) == 1 or redis.call('ZSCORE', DD, id) then return {'DUP', now, 0} end
local delay = tonumber(ARGV[8])
if delay < 0 then delay = tonumber(settings[1]) end
local due = string.format('%.0f', now + delay)
redis.call('ZADD', V, due, id)
redis.call('HSET', M, id, cjson.encode({n = 0, t = agreed, k = tonumber(ARGV[9]), u = ARGV[6]}))
redis.call('HSET', B, id, ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', X, id, ARGV[5]) end
redis.call('ZADD', S, string.format('%.0f', agreed), id)
if delay > 0 then redis.call('ZADD', D, due, id) end
trim(now, agreed)
return {'OK', now, delay}
