-- events_hold: hold a function's events back; touches no event.
-- KEYS 1 clock  2 idx  3 hold  4 queue
-- ARGV 1 function  2 delay ms  3 issued: the lease time the caller last saw, or ''
-- Answers {'OK', now}
-- Counted from `issued`, so that repeating the call sets the same end.
--!include _release
--!include _lease_clock
--!include _index
local from = now
if ARGV[3] ~= '' then
  from = math.min(now, tonumber(ARGV[3]))
end
redis.call('ZADD', KEYS[3], string.format('%.0f', from + tonumber(ARGV[2])), ARGV[1])
reindex(KEYS[2], KEYS[3], KEYS[4], ARGV[1])
return {'OK', now}
