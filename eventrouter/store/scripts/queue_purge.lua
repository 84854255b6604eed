-- queue_purge: remove every message of a queue, and forget deduplication.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 token: made by the caller, names this purge
-- Answers {'OK', lease} | {'BUSY', lease} within 60 s of another purge | {'MISSING', 0}
-- Harmless to repeat for 60 s: the same token purges once.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
local last = redis.call('HMGET', Q, 'purged_at', 'purged_by', 'purged_wall')
if last[1] and now - last[1] < 60000 and agreed - (last[3] or agreed) < 60000 then
  if last[2] == ARGV[3] then return {'OK', now} end
  return {'BUSY', now}
end
redis.call('UNLINK', V, M, B, X, S, D, RN, RT, FO, GA, GW, FD, FX, OW)
redis.call('HSET', Q, 'purged_at', text(now), 'purged_by', ARGV[3], 'purged_wall', text(agreed))
return {'OK', now}
