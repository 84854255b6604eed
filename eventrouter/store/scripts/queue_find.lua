-- queue_find: say where a message stands, without receiving it.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 id
-- Answers {'OK', lease, 'HERE', ms until it is visible, receives, incarnation that holds it or '', sent (wall, ms)}
--         | {'OK', lease, 'LEAVING'}: on its way to another queue | {'OK', lease, 'NONE'} | {'MISSING', 0}
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
trim(now, agreed)
local id = ARGV[3]
local stored = redis.call('HGET', M, id)
if not stored then
  return {'OK', now, redis.call('HEXISTS', OB, id) == 1 and 'LEAVING' or 'NONE'}
end
local record = cjson.decode(stored)
local wait = math.max(tonumber(redis.call('ZSCORE', V, id)) - now, 0)
return {'OK', now, 'HERE', wait, record.n, wait > 0 and record.a or '', record.t}
