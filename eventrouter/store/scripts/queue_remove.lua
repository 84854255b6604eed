-- queue_remove: delete a queue with all it holds.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 token: made by the caller, names this deletion
-- Answers {'OK', lease, generation that was deleted} | {'MISSING', 0}
-- Harmless to repeat while the deletion is remembered. What remembers it, and the lease clock that measures it,
-- are rubbish after 60 s: losing them early only lets the name be used again early.
--!include _queue
local generation = redis.call('HGET', Q, 'generation')
if not generation then
  local gone = redis.call('HMGET', GONE, 'token', 'generation')
  if gone[1] == ARGV[3] then return {'OK', 0, gone[2]} end
  return {'MISSING', 0}
end
--!include _release
--!include _lease_clock
--!include _witness
redis.call('UNLINK', Q, V, M, B, X, S, D, DD, RN, RT, FO, GA, GW, FD, FX, OW, OB, OZ, MV)
redis.call('HSET', GONE, 'at', text(now), 'wall', text(agreed), 'token', ARGV[3], 'generation', generation)
redis.call('PEXPIRE', GONE, 600000)
redis.call('PEXPIRE', CLK, 600000)
return {'OK', now, generation}
