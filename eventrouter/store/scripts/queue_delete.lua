-- queue_delete: remove a message that was received.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 id   4 receive count   5 nonce: all three of the receipt
-- Answers {'OK', lease} | {'STALE', 0} if it was received again since | {'GONE', 0} if it is not here
--         | {'MISSING', 0}: no queue
-- Writes nothing unless the receipt is the latest; visibility may have run out. Harmless to repeat.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
local stored = redis.call('HGET', M, ARGV[3])
if not stored then return {'GONE', 0} end
local record = cjson.decode(stored)
if record.n ~= tonumber(ARGV[4]) or record.r ~= ARGV[5] then return {'STALE', 0} end
--!include _release
--!include _lease_clock
--!include _witness
remove_message(ARGV[3], now, record.k)
return {'OK', now}
