-- queue_get: a queue's settings and how many messages it holds.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness
-- Answers {'OK', lease, fields and values, visible, hidden, those of the hidden that were not yet due}
--         | {'MISSING', 0}
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
trim(now, agreed)
local later = string.format('(%.0f', now)
local hidden = redis.call('ZCOUNT', V, later, '+inf')
local early = redis.call('ZCOUNT', D, later, '+inf')
return {'OK', now, redis.call('HGETALL', Q), redis.call('ZCARD', V) - hidden, hidden, early}
