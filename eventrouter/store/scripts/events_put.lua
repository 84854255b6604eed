-- events_put: accept one asynchronous event.
-- KEYS 1 clock  2 ev  3 pl  4 idx  5 hold  6 queue of the function  7-9 tombstones
-- ARGV 1 id  2 function  3 qualifier or ''  4 trace  5 payload  6 caller's wall, ms
--      7 issued: the lease time the caller last saw, or ''
-- Answers {'OK', now} | {'DUP', now} | {'STALE', now}
-- Known ids are refused while they live and 120 s after. A call that is older than 60 s of lease time stores
-- nothing, so a late duplicate cannot outlive the tombstone.
--!intake
--!include _lease_clock
local tombs = {KEYS[7], KEYS[8], KEYS[9]}
--!include _tombstones
--!include _index
--!include _event
local id, fn = ARGV[1], ARGV[2]
if redis.call('HEXISTS', KEYS[2], id) == 1 or buried(id) then
  return {'DUP', now}
end
if ARGV[7] ~= '' and now - tonumber(ARGV[7]) > 60000 then
  return {'STALE', now}
end
-- The later of two clocks: with the earlier one, a clock that is behind now would age the event later.
local accepted = math.max(wall, tonumber(ARGV[6]))
redis.call('HSET', KEYS[2], id, write_event({
  s = 'R', o = '', a = 0, n = 0, c = 0, d = now, w = accepted, f = fn, q = ARGV[3], trace = ARGV[4]}))
redis.call('HSET', KEYS[3], id, ARGV[5])
redis.call('ZADD', KEYS[6], string.format('%.0f', now), id)
local due = redis.call('ZSCORE', KEYS[4], fn)
if not due or tonumber(due) > now then
  reindex(KEYS[4], KEYS[5], KEYS[6], fn)
end
return {'OK', now}
